"""What each adapter makes of the odd rows of its source."""

import math
from pathlib import Path

import pytest

from covid_cxr.cohort import datasets
from covid_cxr.cohort.cells import age_of, host_of, offset_of, sex_of, view_of
from covid_cxr.cohort.records import Record
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError, UnknownName


def read(adapter: str, root: Path, **options: object) -> list[Record]:
    return datasets.adapter(adapter)(root, DatasetConfig(adapter=adapter, **options))


def test_unknown_adapter_suggests_the_closest():
    with pytest.raises(UnknownName, match="unknown data set adapter 'milla': did you mean 'mila'"):
        datasets.adapter("milla")


def test_folder_and_csv_are_never_recognised():
    assert datasets.recogniser("folder") is None
    assert datasets.recogniser("csv") is None


@pytest.mark.parametrize(
    ("raw", "years"),
    [
        ("65", 65),
        ("50+", 50),
        ("058Y", 58),
        ("006M", 0.5),
        ("012W", 84 / 365.25),  # twelve weeks are 84 days
        ("0.03", 0.03),
        (" 7 ", 7),
        ("12.5", 12.5),
    ],
)
def test_age(raw: str, years: float):
    assert age_of(raw) == pytest.approx(years)


@pytest.mark.parametrize("raw", ["", "early 40s", "414Y", "-3", "nan"])
def test_age_unknown(raw: str):
    assert math.isnan(age_of(raw))


@pytest.mark.parametrize(
    ("raw", "view"),
    [
        ("PA", "PA"),
        ("AP erect", "AP"),
        ("AP  Semi Erect", "AP"),
        ("AP Supine", "AP Supine"),
        ("Lateral", "L"),
        ("?", ""),
        ("", ""),
        ("Axial", "Axial"),
    ],
)
def test_view(raw: str, view: str):
    assert view_of(raw) == view


@pytest.mark.parametrize(("raw", "sex"), [("Male", "M"), (" f", "F"), ("O", ""), ("", "")])
def test_sex(raw: str, sex: str):
    assert sex_of(raw) == sex


@pytest.mark.parametrize(
    ("raw", "days"), [("0", 0), ("-360", -360), (" 7 ", 7), ("2.5", 2.5), ("+3", 3)]
)
def test_offset(raw: str, days: float):
    assert offset_of(raw) == days


@pytest.mark.parametrize("raw", ["", "?", "5-7", "a few", "nan", "inf", "1e3"])
def test_offset_unknown(raw: str):
    assert math.isnan(offset_of(raw))


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://www.NEJM.org/x", "nejm.org"), ("nejm.org", ""), ("https://[x", ""), ("", "")],
)
def test_host(url: str, host: str):
    assert host_of(url) == host


MILA = "patientid,offset,sex,age,finding,view,modality,folder,filename,url,license\n"


def mila(root: Path, row: str) -> Record:
    (root / "metadata.csv").write_text(MILA + row + "\n", encoding="utf-8")
    return read("mila", root)[0]


def test_mila_site_is_the_host_without_www(tmp_path: Path):
    row = mila(tmp_path, "012,-5,M,65,SARS,PA,X-ray,images,a.jpg,https://www.NEJM.org/x,CC BY")
    assert (row.site, row.patient_id, row.path) == ("nejm.org", "012", "images/a.jpg")
    assert (row.license, row.offset) == ("CC BY", -5)
    assert mila(tmp_path, "1,,,,SARS,,X-ray,images,a.jpg,,").site == ""


def test_mila_volume_is_ct_and_row_without_patient_its_own(tmp_path: Path):
    assert mila(tmp_path, "1,,,,SARS,,,volumes,a.nii.gz,,").modality == "CT"
    assert mila(tmp_path, ",,,,SARS,,X-ray,images,a.jpg,,").patient_id == "file-a.jpg"


def test_missing_column_is_named(tmp_path: Path):
    (tmp_path / "metadata.csv").write_text("patientid,finding\n1,SARS\n", encoding="utf-8")
    with pytest.raises(CohortError, match="lacks column offset, sex, age, view"):
        read("mila", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00broken", MILA.encode()])
def test_table_that_is_none_is_a_cohort_error(tmp_path: Path, content: bytes):
    (tmp_path / "metadata.csv").write_bytes(content)
    with pytest.raises(CohortError, match=r"metadata\.csv"):
        read("mila", tmp_path)


def test_figure1_letter_numbers_images_of_one_patient(tmp_path: Path):
    text = "patientid,offset,sex,age,finding,view,modality\n" + "".join(
        f"COVID-{n},8,,,,,\n" for n in ("00003a", "00003b", "00004")
    )
    (tmp_path / "metadata.csv").write_text(text, encoding="latin-1")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "COVID-00003b.png").touch()
    rows = read("figure1", tmp_path)
    assert [row.patient_id for row in rows] == ["COVID-00003", "COVID-00003", "COVID-00004"]
    assert {row.offset for row in rows} == {8}
    assert rows[0].path == "images/COVID-00003a.jpg"  # absent: `build` says "file missing"
    assert rows[1].path == "images/COVID-00003b.png"


def test_nih_patient_is_the_same_in_both_layouts(tmp_path: Path):
    for name in ("No_findings/00000061_000.png", "Pneumonia/00000061_012.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert {row.patient_id for row in read("nih", tmp_path)} == {"00000061"}
    head = "Image Index,Finding Labels,Patient ID,Patient Age,Patient Gender,View Position\n"
    (tmp_path / "Data_Entry_2017.csv").write_text(head + "00000061_000.png,No Finding,61,9,F,PA\n")
    rows = read("nih", tmp_path)
    assert [(row.patient_id, row.view, row.path) for row in rows] == [
        ("00000061", "PA", "No_findings/00000061_000.png")
    ]
    (tmp_path / "Data_Entry_2017_v2020.csv").touch()
    with pytest.raises(CohortError, match="keep one"):
        read("nih", tmp_path)


def test_folder_lists_classes_that_the_map_lacks(tmp_path: Path):
    for name in ("Covid", "Normal", "Viral"):
        (tmp_path / name).mkdir()
    with pytest.raises(CohortError, match="does not name: Normal, Viral"):
        read("folder", tmp_path, labels={"Covid": "covid-19"})
    with pytest.raises(CohortError, match="holds no files"):
        read("folder", tmp_path, labels=dict.fromkeys(("Covid", "Normal", "Viral"), "normal"))


def test_manifest_may_be_named_or_lie_in_its_folder(tmp_path: Path):
    text = "image_id,path,patient_id,finding,site,view,sex,age\ni,a.png,007,normal,A,AP,female,44\n"
    (tmp_path / "manifest.csv").write_text(text)
    expected = Record("i", "a.png", "007", "normal", "A", "AP", "F", 44.0)
    assert read("csv", tmp_path) == [expected]
    assert read("csv", tmp_path / "manifest.csv") == [expected]


def test_manifest_without_patient_names_the_line(tmp_path: Path):
    (tmp_path / "manifest.csv").write_text("path,patient_id,finding\na.png,1,SARS\nb.png,,SARS\n")
    with pytest.raises(CohortError, match="line 3 lacks path or patient_id"):
        read("csv", tmp_path)


def test_manifest_with_other_columns_says_what_to_do(tmp_path: Path):
    (tmp_path / "manifest.csv").write_text("path,Patient,finding\na.png,1,SARS\n")
    with pytest.raises(CohortError, match=r"lacks column patient_id; .*; rename them, or name"):
        read("csv", tmp_path)


def test_manifest_columns_must_exist_on_both_sides(tmp_path: Path):
    (tmp_path / "manifest.csv").write_text("path,patient_id,finding\na.png,1,SARS\n")
    with pytest.raises(CohortError, match="'columns' names colour"):
        read("csv", tmp_path, columns={"colour": "path"})
    with pytest.raises(CohortError, match="lacks column gender"):
        read("csv", tmp_path, columns={"sex": "gender"})
