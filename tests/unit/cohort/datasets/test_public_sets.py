"""RSNA, Actualmed, Hannover, COVID-CXNet and the Kaggle set: the odd rows, and the real sets."""

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from pydicom import Dataset

from covid_cxr.cohort import datasets, labels
from covid_cxr.cohort.records import Record
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError


def read(adapter: str, root: Path) -> list[Record]:
    return datasets.adapter(adapter)(root, DatasetConfig(adapter=adapter))


def rsna(root: Path, boxes: str, classes: str | None = None) -> list[Record]:
    """Read rows given as "a,1,2,3,4,1 b,,,,,0" and "a:Lung Opacity b:Normal"."""
    rows = ["patientId,x,y,width,height,Target", *boxes.split(" ")]
    (root / "stage_2_train_labels.csv").write_text("\n".join(rows))
    if classes is not None:
        rows = ["patientId,class", *(row.replace(":", ",") for row in classes.split("; "))]
        (root / "stage_2_detailed_class_info.csv").write_text("\n".join(rows))
    return read("rsna", root)


def test_rsna_yields_an_image_once_with_all_its_boxes(tmp_path: Path):
    rows = "a,1,2,30,40,1 b,,,,,0 a,50,60.5,7,8,1 a,1,2,30,40,1 c,,,,,0"
    classes = "a:Lung Opacity; a:Lung Opacity; b:Normal; c:No Lung Opacity / Not Normal"
    found = rsna(tmp_path, rows, classes)
    assert [row.image_id for row in found] == ["a", "b", "c"]
    assert found[0].boxes == ((1, 2, 30, 40), (50, 60.5, 7, 8))
    assert found[1].boxes == found[2].boxes == ()
    assert found[0].path == "stage_2_train_images/a.dcm"
    answers = labels.resolve([row.raw_finding for row in found], {}, "rsna")
    assert [answers[row.raw_finding] for row in found] == ["pneumonia", "normal", labels.OTHER]


def test_rsna_without_classes_has_no_normal_images(tmp_path: Path):
    found = rsna(tmp_path, "a,1,2,30,40,1 b,,,,,0")
    answers = labels.resolve([row.raw_finding for row in found], {}, "rsna")
    assert [answers[row.raw_finding] for row in found] == ["pneumonia", labels.AMBIGUOUS]


@pytest.mark.parametrize(
    ("boxes", "classes", "why"),
    [
        ("a,1,2,3,4,1 a,,,,,0", None, "'a' both Target 0 and Target 1"),
        ("b,,,,,0 a,,,,,1", None, "'a' has Target '1' and the box ', , , '"),
        ("a,1,2,3,4,0", None, "'a' has Target '0'"),
        ("a,1,2,3,4,2", None, "'a' has Target '2'"),
        ("a,1,2,0,4,1", None, "'a' has Target '1' and the box '1, 2, 0, 4'"),
        ("a,1,2,inf,4,1", None, "the box '1, 2, inf, 4'"),
        ("a,1,2,3,x,1", None, "the box '1, 2, 3, x'"),
        ("a,,,,,0", "a:Normal; a:Lung Opacity", "'a' the classes 'Normal' and 'Lung Opacity'"),
        ("a,,,,,0", "a:Lung Opacity", "'a' has 0 boxes"),
        ("a,1,2,3,4,1", "a:Normal", "'a' has 1 boxes .* 'Normal'"),
        ("a,,,,,0", "b:Normal", "'a' has 0 boxes"),
    ],
)
def test_rsna_rows_that_contradict_name_the_image(
    tmp_path: Path, boxes: str, classes: str | None, why: str
):
    with pytest.raises(CohortError, match=why):
        rsna(tmp_path, boxes, classes)


def test_rsna_images_of_one_nih_patient_are_known_by_its_own_mapping(tmp_path: Path):
    assert rsna(tmp_path, "a,,,,,0")[0].patient_id == "file-a"
    names = {"a": "00000013_004.png", "b": "00000013_007.png"}
    mapping = [{"subset_img_id": key, "img_id": name} for key, name in names.items()]
    path = tmp_path / "pneumonia-challenge-dataset-mappings_2018.json"
    path.write_text(json.dumps(mapping))
    found = rsna(tmp_path, "a,,,,,0 b,,,,,0 c,,,,,0")
    assert [row.patient_id for row in found] == ["00000013", "00000013", "file-c"]
    for content in ("{", "[1]", '[{"img_id": "x"}]'):
        path.write_text(content)
        with pytest.raises(CohortError, match="is no list of objects"):
            rsna(tmp_path, "a,,,,,0")


def test_rsna_takes_view_sex_and_age_from_the_headers(tmp_path: Path):
    header = Dataset()
    header.SOPInstanceUID, header.Modality, header.StudyID = "1.2.3", "CR", "NIH"
    header.InstitutionName = "a hospital with a name longer than any other's name"
    header.StudyDescription = "chest"
    header.PatientSex, header.PatientAge, header.ViewPosition = "F", "051Y", "PA"
    (tmp_path / "stage_2_train_images").mkdir()
    (tmp_path / "stage_2_train_images" / "b.dcm").write_bytes(b"damaged" * 40)
    path = tmp_path / "stage_2_train_images" / "a.dcm"
    header.save_as(path, implicit_vr=False, little_endian=True)
    whole, damaged, missing = rsna(tmp_path, "a,,,,,0 b,,,,,0 c,,,,,0")
    assert (whole.view, whole.sex, whole.age, whole.modality) == ("PA", "F", 51, "CR")
    assert damaged.view == missing.view == damaged.sex == missing.modality == ""


ACTUALMED = "patientid,offset,sex,age,finding,view,modality,imagename,notes\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_actualmed_is_read_in_whatever_encoding_it_was_saved(tmp_path: Path, encoding: str):
    text = ACTUALMED + "ANON1,,,,COVID-19,AP,X-ray,CR.1.png,39 °C\n,2,,,,PA,X-ray,DX.2.png,\n"
    (tmp_path / "metadata.csv").write_text(text, encoding=encoding)
    (tmp_path / "images").mkdir()
    recognise = datasets.recogniser("actualmed")
    assert recognise and recognise(tmp_path)
    first, second = read("actualmed", tmp_path)
    assert (first.patient_id, first.raw_finding, first.view) == ("ANON1", "COVID-19", "AP")
    assert first.path == "images/CR.1.png"
    assert (second.patient_id, second.offset) == ("file-DX.2.png", 2)
    assert labels.finding_of(second.raw_finding, {}) == labels.UNKNOWN


def test_hannover_counts_days_from_admission_to_the_image(tmp_path: Path):
    head = (
        "patient_id,image_id,sex,age,admission_offset,icu_admission_offset,death_offset,modality,"
        "projection\n"
    )
    # The first patient died 20 days after an image that was taken 6 days after admission.
    rows = "p,a,m,,-6,0.0,20.0,CR,ap\nq,b,w,41,10,,,DX,pa\nr,c,f,,,,,DX,pa\n"
    (tmp_path / "data.csv").write_text(head + rows)
    inside, before, unknown = read("hannover", tmp_path)
    assert (inside.offset, before.offset) == (6, -10)
    assert math.isnan(unknown.offset)
    assert [row.sex for row in (inside, before, unknown)] == ["M", "F", "F"]
    assert (inside.view, before.view, before.age) == ("AP", "PA", 41)
    assert (inside.path, inside.raw_finding) == ("png/a.png", "COVID-19")


CXNET = "filename,patient_id,sex,age,view,label,admission_offset,symptom_offset,url\n"


def test_covid_cxnet_has_the_files_that_its_table_lacks(tmp_path: Path):
    folder = tmp_path / "chest_xray_images" / "covid19"
    folder.mkdir(parents=True)
    for name in ("1.jpg", "2.jfif", "3.PNG"):
        (folder / name).touch()
    rows = "2.jfif,11,male,0.03,AP,COVID-19,,,https://www.sirm.org/x\n9.jpg,12,,,,,,,\n"
    (tmp_path / "metadata.csv").write_text(CXNET + rows)
    found = {row.image_id: row for row in read("covid-cxnet", tmp_path)}
    assert list(found) == ["2.jfif", "9.jpg", "1.jpg", "3.PNG"]
    assert (found["2.jfif"].site, found["2.jfif"].age) == ("sirm.org", 0.03)
    assert found["9.jpg"].path == "chest_xray_images/covid19/9.jpg"  # `build` says "file missing"
    assert found["9.jpg"].raw_finding == ""
    assert (found["3.PNG"].patient_id, found["3.PNG"].raw_finding) == ("file-3.PNG", "COVID-19")


def test_covid_cxnet_counts_the_images_of_a_patient_by_one_rule(tmp_path: Path):
    rows = "a,1,,,,,,5,\nb,1,,,,,3,9,\nc,2,,,,,,7,\n"
    (tmp_path / "metadata.csv").write_text(CXNET + rows)
    offsets = [row.offset for row in read("covid-cxnet", tmp_path)]
    # Patient 1 has an admission, so symptoms do not count; patient 2 has symptoms alone.
    assert math.isnan(offsets[0])
    assert offsets[1:] == [3, 7]


def test_kaggle_is_paediatric_and_named_by_path(tmp_path: Path):
    for name in ("train/Normal/01.jpeg", "val/Normal/01.jpeg", "test/Viral Pneumonia/01.jpeg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = read("kaggle-covid19", tmp_path)
    assert [row.image_id for row in found] == [
        "train/Normal/01.jpeg",
        "val/Normal/01.jpeg",
        "test/Viral Pneumonia/01.jpeg",
    ]
    assert found[0].patient_id == "file-train/Normal/01.jpeg"
    assert all(row.paediatric for row in found)
    with pytest.raises(CohortError, match="holds no files in train, val, test"):
        read("kaggle-covid19", tmp_path / "train")


def test_real_covid_cxnet(real_data: Path):
    found = read("covid-cxnet", real_data / "COVID-CXNet")
    assert len(found) == 810
    assert sum(row.patient_id.startswith("file-") for row in found) == 400
    assert Counter(row.raw_finding for row in found) == {"COVID-19": 809, "": 1}
    assert all((real_data / "COVID-CXNet" / row.path).is_file() for row in found)
    assert sum(row.age < 1 for row in found) == 6
    patient = [row.offset for row in found if row.patient_id == "221"]
    assert patient == [9, 13, 3]  # has symptom offsets alone


def test_real_kaggle_set(real_data: Path):
    found = read("kaggle-covid19", real_data / "covid19-image-dataset")
    counts = Counter(row.raw_finding for row in found)
    assert counts == {"Covid": 111, "Normal": 90, "Viral Pneumonia": 90}
    assert sum(counts.values()) == len({row.image_id for row in found}) == 291
