"""Filters of a cohort, and what a file says where a table is silent."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from covid_cxr.cohort import exclusions
from covid_cxr.cohort.build import build, write
from covid_cxr.config import CohortConfig, DatasetConfig, FilterConfig


def table(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    plain: dict[str, list[object]] = {
        "image_id": [f"i{number}" for number in range(n)],
        "source": ["s"] * n,
        "patient_id": ["p"] * n,
        "raw_finding": ["normal"] * n,
        "duplicate_group": [""] * n,
        "sha256": [""] * n,
        "age": [float("nan")] * n,
        "offset": [float("nan")] * n,
        "taken": [""] * n,
        "paediatric": [False] * n,
        "width": [10] * n,
        "height": [10] * n,
    }
    empty = ("site", "view", "sex", "license", "modality", "exclusion", "rule", "finding")
    plain |= {name: [""] * n for name in empty}
    return pd.DataFrame(plain | columns)


def described(filters: FilterConfig, **columns: list[object]) -> list[str]:
    rows = table(**columns)
    exclusions.by_description(rows, {"s": {}}, filters)
    return rows["exclusion"].tolist()


def test_children_are_out_by_age_and_by_source():
    ages = [17.9, 18.0, float("nan")]
    assert described(FilterConfig(), age=ages) == ["younger than 18 years", "", ""]
    assert described(FilterConfig(min_age=0), age=ages) == ["", "", ""]
    suspected = {"paediatric": [True, True], "age": [float("nan"), 3.0]}
    why = ["source suspected to hold children", "younger than 18 years"]
    assert described(FilterConfig(), **suspected) == why
    assert described(FilterConfig(paediatric_sources=True), **suspected) == ["", why[1]]


def test_children_keep_their_finding_for_the_table_of_conflicts():
    rows = table(paediatric=[True])
    exclusions.by_description(rows, {"s": {}}, FilterConfig())
    assert rows["finding"].tolist() == ["normal"]


def test_views_are_chosen():
    views = ["PA", "AP", "AP Supine", "", "L", "Axial"]
    reasons = ["", "", "", "", "lateral view", "view Axial"]
    assert described(FilterConfig(), view=views) == reasons
    reasons = ["", "view AP", "view AP Supine", "view not stated", "lateral view", "view Axial"]
    assert described(FilterConfig(views=("PA",)), view=views) == reasons


def test_time_window_has_both_ends_in_and_unknown_stays():
    days = [-1.0, 0.0, 14.0, 14.5, float("nan")]
    assert described(FilterConfig(offset=(0, 14)), offset=days) == [
        "taken on day -1, outside the time window",
        "",
        "",
        "taken on day 14.5, outside the time window",
        "",
    ]


@pytest.mark.parametrize(("which", "kept"), [("first", "i2"), ("last", "i1")])
def test_one_image_a_patient_is_the_earliest_or_latest_dated(which, kept):
    rows = table(
        patient_id=["p", "p", "p", "p", "q"],
        offset=[float("nan"), 9.0, 2.0, 5.0, float("nan")],
        exclusion=["", "", "", "label unknown", ""],
    )
    exclusions.by_duplicates(rows, CohortConfig(filters=FilterConfig(one_per_patient=which)))
    assert rows.loc[rows["exclusion"] == "", "image_id"].tolist() == [kept, "i4"]
    assert set(rows["exclusion"]) == {"", "label unknown", f"not the patient's {which} image"}


def kept_of_each(which: str, **columns: list[object]) -> list[str]:
    rows = table(**columns)
    exclusions.by_duplicates(rows, CohortConfig(filters=FilterConfig(one_per_patient=which)))
    return rows.loc[rows["exclusion"] == "", "image_id"].tolist()


def test_images_without_an_offset_are_ordered_by_their_date():
    taken = ["20200303", "", "202003020800", "202003021200"]
    assert kept_of_each("first", taken=taken) == ["i2"]
    assert kept_of_each("last", taken=taken) == ["i0"]
    # Days since symptoms say more than a date.
    assert kept_of_each("first", taken=taken, offset=[float("nan")] * 3 + [9.0]) == ["i3"]


def test_a_person_in_two_sources_keeps_one_image():
    rows = {
        "source": ["a", "a", "b", "b"],
        "patient_id": ["a:1", "a:1", "b:1", "b:1"],
        "duplicate_group": ["", "g", "g", ""],
        "exclusion": ["", "", "duplicate of i1", ""],
        "offset": [3.0, 2.0, 2.0, 1.0],
    }
    assert kept_of_each("first", **rows) == ["i3"]


def test_filters_by_time_say_which_source_has_none(caplog: pytest.LogCaptureFixture):
    columns = {"source": list("sst"), "offset": [1.0, float("nan"), float("nan")]}
    rows = table(**columns)
    exclusions.by_description(rows, {"s": {}, "t": {}}, FilterConfig(offset=(0, 14)))
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "filters.offset knows no date of source 't' and leaves all its images in"
    ]
    caplog.clear()
    kept_of_each("first", **columns)
    assert len(caplog.messages) == 1 and "no date of source 't'" in caplog.text
    caplog.clear()
    kept_of_each("first", **columns, taken=["", "", "2020"])
    assert not caplog.messages


def test_views_are_written_as_anyone_would():
    for views in (("pa",), ("AP erect", " PA "), ("Pa", "?")):
        assert described(FilterConfig(views=views), view=["PA"]) == [""]
    assert described(FilterConfig(views=("ap erect",)), view=["PA"]) == ["view PA"]


def dicom(path: Path, **elements: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    image = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    image.Rows = image.Columns = 32
    image.SamplesPerPixel, image.BitsAllocated, image.BitsStored, image.HighBit = 1, 8, 8, 7
    image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    seed = len(path.name)
    image.PixelData = np.random.default_rng(seed).integers(0, 256, 1024, np.uint8).tobytes()
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())


def test_a_file_speaks_where_the_table_is_silent(tmp_path: Path):
    dicom(tmp_path / "a.dcm", Modality="DX", ViewPosition="PA")
    dicom(tmp_path / "bb.dcm", Modality="DX", ViewPosition="LL")
    dicom(tmp_path / "ccc.dcm", Modality="CT")
    dicom(tmp_path / "dddd.dcm", Modality="OT", ViewPosition="PA")
    rows = ["a.dcm,1,", "bb.dcm,2,", "ccc.dcm,3,", "dddd.dcm,4,AP"]
    text = "\n".join(["path,patient_id,view,finding", *(f"{row},normal" for row in rows)])
    (tmp_path / "manifest.csv").write_text(text)
    datasets = {"a": DatasetConfig(adapter="csv", path=".")}
    cohort = build(tmp_path, CohortConfig(datasets=datasets), seed=0).cohort
    assert cohort["view"].tolist() == ["PA", "L", "", "AP"]
    assert cohort["exclusion"].tolist() == ["", "lateral view", "modality CT", ""]


def test_boxes_of_a_source_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from covid_cxr.cohort import datasets
    from covid_cxr.cohort.records import Record

    Image.linear_gradient("L").save(tmp_path / "a.png")
    found = [Record("a", "a.png", "1", "pneumonia", boxes=((1, 2, 3, 4), (5, 6, 7, 8.5)))]
    monkeypatch.setattr(datasets, "adapter", lambda name: lambda root, options: found)
    chosen = CohortConfig(datasets={"r": DatasetConfig(adapter="csv", path=".")})
    result = build(tmp_path, chosen, seed=0)
    write(result, tmp_path / "out")
    lines = (tmp_path / "out" / "boxes.csv").read_text().splitlines()
    assert lines == ["image_id,x,y,width,height", "r:a,1,2,3,4", "r:a,5,6,7,8.5"]
