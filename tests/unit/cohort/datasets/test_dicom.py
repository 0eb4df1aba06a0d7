"""DICOM exports: which file a label goes to, whose patient it is, and what is wrong with a file."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)

from covid_cxr.cohort import datasets
from covid_cxr.cohort.labels import HEADER_UNREADABLE, NOT_CHOSEN, REPEATED, resolve
from covid_cxr.cohort.records import Record
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

STUDY = "StudyInstanceUID"


def save(path: Path, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> None:
    """Write a header without pixels; a file named by digits has its name as SOPInstanceUID."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    header = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    instance = path.name if path.name[0].isdigit() else None
    stated = {"SOPInstanceUID": instance, "PatientID": "P", "Modality": "DX", STUDY: "1.5"}
    for keyword, value in {**stated, **elements}.items():
        if value is not None:
            setattr(header, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path)


def export(root: Path, *labels: str, key: str = STUDY) -> list[Record]:
    """Read a folder with labels such as "1.5,COVID-19"."""
    (root / "labels.csv").write_text("\n".join([f"{key},finding", *labels]))
    return datasets.adapter("dicom")(root, DatasetConfig(adapter="dicom"))


def carrier(root: Path) -> str:
    """Return the file that gets the label of the one study, and see that the others get none."""
    found = {row.path: row.raw_finding for row in export(root, "1.5,COVID-19")}
    carriers = [path for path, raw in found.items() if raw == "COVID-19"]
    assert sorted(found.values()) == ["COVID-19", *[NOT_CHOSEN] * (len(found) - 1)]
    return carriers[0]


WORSE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "modality": ({"Modality": "CR", "NumberOfFrames": 2}, {"Modality": "CT"}),
    "frames": ({"BodyPartExamined": "ABDOMEN"}, {"NumberOfFrames": 2}),
    "body part": ({"ViewPosition": "LL"}, {"BodyPartExamined": "ABDOMEN"}),
    "lateral": ({"ImageType": ["DERIVED", "SECONDARY"]}, {"ViewPosition": "LL"}),
    "coded lateral": ({"ImageType": ["DERIVED", "SECONDARY"]}, {"view code": "left lateral"}),
    "secondary": (
        {"PresentationIntentType": "FOR PROCESSING"},
        {"ImageType": ["DERIVED", "SECONDARY"], "ViewPosition": "PA"},
    ),
    "processing": (
        {"PresentationIntentType": "FOR PRESENTATION", "ViewPosition": "AP"},
        {"PresentationIntentType": "FOR PROCESSING", "ViewPosition": "PA"},
    ),
    "AP": ({"ViewPosition": "PA", "AcquisitionDate": "20200302"}, {"ViewPosition": "AP"}),
    "supine": ({"ViewPosition": "AP"}, {"ViewPosition": "AP SUPINE"}),
    "unstated": ({"ViewPosition": "AP"}, {"AcquisitionDate": "20200302"}),
    "date": (
        {"AcquisitionDate": "20200302", "AcquisitionTime": "235959"},
        {"AcquisitionDate": "20200303", "AcquisitionTime": "000001"},
    ),
    "time": (
        {"AcquisitionDate": "20200302", "AcquisitionTime": "080000"},
        {"AcquisitionDate": "20200302", "AcquisitionTime": "080000.5"},
    ),
    "undated": ({"AcquisitionDate": "20200302"}, {}),
    "chest by another name": ({"BodyPartExamined": "PORT THORAX"}, {"ViewPosition": "LL"}),
}


@pytest.mark.parametrize(("better", "worse"), WORSE.values(), ids=WORSE)
def test_a_label_of_a_study_goes_to_one_file_by_rule(
    tmp_path: Path, better: dict[str, Any], worse: dict[str, Any]
):
    worse = dict(worse)
    if meaning := worse.pop("view code", None):
        code = Dataset()
        code.CodeMeaning = meaning
        worse["ViewCodeSequence"] = [code]
    # The worse one has the smaller SOPInstanceUID and path, so only the rule can tell.
    save(tmp_path / "b" / "1.9", **better)
    save(tmp_path / "a" / "1.1", **worse)
    assert carrier(tmp_path) == "b/1.9"


def test_files_equal_in_all_are_ordered_by_their_uid(tmp_path: Path):
    save(tmp_path / "a", SOPInstanceUID="1.2")
    save(tmp_path / "b", SOPInstanceUID="1.1")
    assert carrier(tmp_path) == "b"


def test_header_fields_become_the_record(tmp_path: Path):
    save(
        tmp_path / "deep" / "er" / "image",
        SOPInstanceUID="1.2.3",
        PatientID=" 0042 ",
        SpecificCharacterSet="ISO_IR 100",
        InstitutionName="Städtische  Klinik",
        ViewPosition="PA",
        PatientSex="F",
        PatientAge="058Y",
        AccessionNumber="A7",
    )
    found = export(tmp_path, "A7,normal", key="AccessionNumber")
    assert [repr(row) for row in found] == [
        repr(
            Record(
                *("1.2.3", "deep/er/image", "0042", "normal", "Städtische Klinik", "PA", "F", 58.0),
                modality="DX",
            )
        )
    ]


def test_time_is_that_of_the_acquisition_then_of_the_study(tmp_path: Path):
    study = {"StudyDate": "20200303", "StudyTime": "1000"}
    save(tmp_path / "1.1", **study)
    save(tmp_path / "1.2", AcquisitionDate="20200302", AcquisitionTime="081500", **study)
    save(tmp_path / "1.3", AcquisitionTime="081500")
    found = {row.path: row.taken for row in export(tmp_path, "1.5,normal")}
    assert found == {"1.1": "202003031000", "1.2": "20200302081500", "1.3": ""}


def test_labels_may_state_the_day(tmp_path: Path):
    for name in ("1.1", "1.2", "1.3"):
        save(tmp_path / name)
    (tmp_path / "labels.csv").write_text(
        "SOPInstanceUID,finding,offset\n1.1,normal,-2\n1.2,normal,?\n"
    )
    found = datasets.adapter("dicom")(tmp_path, DatasetConfig(adapter="dicom"))
    assert [row.offset for row in found] == pytest.approx([-2, math.nan, math.nan], nan_ok=True)
    (tmp_path / "labels.csv").write_text("SOPInstanceUID,finding,offset\n1.1,n,1\n1.1,n,2\n")
    with pytest.raises(CohortError, match=r"'1\.1' the offsets '1' and '2'; keep one"):
        datasets.adapter("dicom")(tmp_path, DatasetConfig(adapter="dicom"))


def test_labels_by_instance_leave_the_others_unlabelled(tmp_path: Path):
    for name in ("1.1", "1.2", "1.3"):
        save(tmp_path / name, ViewPosition="AP")
    found = export(tmp_path, "1.1,normal", "1.3,COVID-19", key="SOPInstanceUID")
    assert [row.raw_finding for row in found] == ["normal", "", "COVID-19"]


@pytest.mark.parametrize(
    ("elements", "years"),
    [
        ({"PatientAge": "012W"}, 84 / 365.25),
        ({"PatientBirthDate": "20100302", "StudyDate": "20200302"}, 10.0),  # 3653 days
        ({"PatientBirthDate": "20100302"}, math.nan),
        ({"PatientBirthDate": "20210302", "StudyDate": "20200302"}, math.nan),
        ({"PatientAge": "060Y", "PatientBirthDate": "20100302", "StudyDate": "20200302"}, 60),
    ],
)
def test_age_is_stated_or_from_birth_to_study(
    tmp_path: Path, elements: dict[str, str], years: float
):
    save(tmp_path / "1.1", **elements)
    assert export(tmp_path, "1.5,normal")[0].age == pytest.approx(years, abs=0.01, nan_ok=True)


def test_patient_is_the_study_where_no_file_of_it_names_one(tmp_path: Path):
    save(tmp_path / "a", PatientID=None)
    save(tmp_path / "b", PatientID="P1")
    save(tmp_path / "c", PatientID="", StudyInstanceUID="1.6")
    save(tmp_path / "d", PatientID="", StudyInstanceUID="1.6")
    save(tmp_path / "e", PatientID=None, StudyInstanceUID=None)
    found = export(tmp_path, "1.5,normal")
    patients = ["P1", "P1", "study-1.6", "study-1.6", "file-e"]
    assert [row.patient_id for row in found] == patients


def test_label_without_a_file_is_a_record_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    save(tmp_path / "1.1", AccessionNumber="A1")
    with caplog.at_level(logging.WARNING):
        found = export(tmp_path, "A1,normal", "../A2,COVID-19", key="AccessionNumber")
    assert caplog.messages == [
        "no file for 1 of the labels, such as '../A2', the files have such as 'A1'"
    ]
    assert (found[1].image_id, found[1].raw_finding) == ("label-../A2", "COVID-19")
    assert found[1].path == "missing/label-..%2FA2"  # `build` says "file missing"


def test_damaged_headers_stay_and_other_files_are_passed_over(tmp_path: Path):
    save(tmp_path / "whole")
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "odd type").write_bytes(data.replace(b"\x10\0\x20\0LO", b"\x10\0\x20\0LY"))
    (tmp_path / "noise").write_bytes(data[:132] + b"\xff" * 200)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128).save_as(tmp_path / "DICOMDIR")
    (tmp_path / "notes.txt").write_text("exported " * 100)
    (tmp_path / "empty").touch()
    found = {row.path: row for row in export(tmp_path, "1.5,normal")}
    assert set(found) == {"odd type", "noise", "whole"}
    assert found["whole"].raw_finding == "normal"
    for name in ("odd type", "noise"):
        assert found[name].raw_finding == HEADER_UNREADABLE
        assert found[name].patient_id == found[name].image_id == f"file-{name}"


def test_same_instance_twice_is_taken_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    save(tmp_path / "b", SOPInstanceUID="1.1")
    save(tmp_path / "a", SOPInstanceUID="1.1")
    with caplog.at_level(logging.WARNING):
        found = export(tmp_path, "1.5,normal")
    assert [row.path for row in found] == ["a"]
    assert "1 files are byte for byte another one and are passed over, such as 'b'" in caplog.text


def test_another_image_under_the_same_number_is_excluded_with_a_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    save(tmp_path / "b", SOPInstanceUID="1.1", ViewPosition="PA")
    save(tmp_path / "a", SOPInstanceUID="1.1", ViewPosition="AP")
    with caplog.at_level(logging.WARNING):
        found = export(tmp_path, "1.5,normal")
    assert "1 files repeat another's SOPInstanceUID and are left out, such as 'b'" in caplog.text
    rows = [(row.image_id, row.path, row.raw_finding, row.patient_id) for row in found]
    assert rows == [("1.1", "a", "normal", "P"), ("file-b", "b", REPEATED, "P")]
    assert resolve([REPEATED], {}, "x") == {REPEATED: f"excluded: {REPEATED}"}
    assert "1 files repeat another's SOPInstanceUID and are left out, such as 'b'" in caplog.text


def test_odd_values_of_a_header_stay_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    save(tmp_path / "1.1", StudyInstanceUID="1.55")
    data = (tmp_path / "1.1").read_bytes()
    (tmp_path / "1.1").write_bytes(data.replace(b"1.55", b"JANE"))
    caplog.set_level(logging.WARNING, "pydicom")  # whatever a command set before
    with caplog.at_level(logging.INFO):
        assert len(export(tmp_path, "1.1,normal", key="SOPInstanceUID")) == 1
    assert "JANE" not in caplog.text
    assert logging.getLogger("pydicom").isEnabledFor(logging.WARNING)  # again


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_encoding_of_a_header_is_read(tmp_path: Path, syntax: str):
    save(tmp_path / "1.1", syntax, ViewPosition="AP")
    assert export(tmp_path, "1.5,normal")[0].view == "AP"


def test_csv_may_be_named(tmp_path: Path):
    save(tmp_path / "1.1")
    table = tmp_path / "mine.csv"
    table.write_text(f"{STUDY},finding,reader\n1.5,normal,me\n")
    found = datasets.adapter("dicom")(table, DatasetConfig(adapter="dicom"))
    assert [row.raw_finding for row in found] == ["normal"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("finding,name\nnormal,1.5\n", r"key columns \(none\); expected exactly one of SOPInst"),
        (f"{STUDY},AccessionNumber,finding\n1.5,A,normal\n", "AccessionNumber, StudyInstanceUID"),
        (f"{STUDY},label\n1.5,normal\n", "lacks column finding"),
        (f"{STUDY},finding\n1.5,normal\n,COVID-19\n", "line 3 lacks StudyInstanceUID"),
        (f"{STUDY},finding\n1.5,normal\n1.5,SARS\n", "'1.5' the findings 'normal' and 'SARS'"),
        (f"{STUDY},finding\n1.6,normal\n", "none of 1 DICOM files .* such as '1.6'"),
    ],
)
def test_labels_that_contradict_are_errors(tmp_path: Path, text: str, why: str):
    save(tmp_path / "1.1")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(CohortError, match=why):
        datasets.adapter("dicom")(tmp_path, DatasetConfig(adapter="dicom"))


def test_one_number_on_two_patients_is_an_error(tmp_path: Path):
    save(tmp_path / "1.1", AccessionNumber="7", PatientID="P1")
    save(tmp_path / "1.2", AccessionNumber="7", PatientID="P2")
    with pytest.raises(CohortError, match="AccessionNumber '7' is on images of two patients"):
        export(tmp_path, "7,normal", key="AccessionNumber")
    assert len(export(tmp_path, "1.1,normal", key="SOPInstanceUID")) == 2


def test_a_patient_id_that_names_nobody_counts_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for number, study in ((1, "1.5"), (2, "1.6"), (3, "1.6")):
        save(tmp_path / f"1.{number}", StudyInstanceUID=study, PatientID="N/A")
    with caplog.at_level(logging.WARNING):
        found = export(tmp_path, "1.5,normal", "1.6,normal")
    assert [row.patient_id for row in found] == ["study-1.5", "study-1.6", "study-1.6"]
    assert "has PatientID that name nobody: 'N/A' (3)" in caplog.text


def test_zeros_lost_in_the_labels_are_said_with_a_value_of_either_side(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    save(tmp_path / "1.1", AccessionNumber="00012")
    save(tmp_path / "1.2", AccessionNumber="13", StudyInstanceUID="1.6", PatientID="Q")
    zeros = r"'12', the files '00012' \(were leading zeros lost in the table\?\)"
    with pytest.raises(CohortError, match=zeros):
        export(tmp_path, "12,normal", key="AccessionNumber")
    with caplog.at_level(logging.WARNING):
        export(tmp_path, "12,normal", "13,normal", key="AccessionNumber")
    assert "no file for 1 of the labels, such as '12', the files '00012'" in caplog.text


def test_a_key_that_a_spreadsheet_shortened_is_an_error(tmp_path: Path):
    save(tmp_path / "1.1", AccessionNumber="102000000001")
    with pytest.raises(CohortError, match=r"line 2 has '1\.02E\+11' as AccessionNumber"):
        export(tmp_path, "1.02E+11,normal", key="AccessionNumber")


@pytest.mark.parametrize(
    ("head", "is_misfit"),
    [("Accession Number,finding", True), ("AccessionNumber,label", True), ("file,label", False)],
)
def test_labels_that_are_not_understood_differ_from_those_of_other_sets(
    tmp_path: Path, head: str, is_misfit: bool
):
    (tmp_path / "labels.csv").write_text(f"{head}\n1,normal\n")
    misfit = datasets.misfit("dicom")
    assert misfit is not None
    assert (misfit(tmp_path) is not None) == is_misfit
