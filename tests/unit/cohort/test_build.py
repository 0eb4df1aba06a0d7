"""`build`, `write` and `load` over small data sets on disk, one rule a test."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr.cohort import schema
from covid_cxr.cohort.build import build, split_counts, write
from covid_cxr.config import CohortConfig, DatasetConfig
from covid_cxr.errors import CohortError, LeakError
from covid_cxr.progress import reporting


def picture(path: Path, seed: int, size: tuple[int, int] = (36, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def manifest(folder: Path, *rows: str) -> None:
    """Write a manifest `path,patient_id,finding,view,modality` and a picture a distinct path."""
    folder.mkdir(parents=True, exist_ok=True)
    head = "path,patient_id,finding,view,modality"
    (folder / "manifest.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    for number, row in enumerate(rows):
        picture(folder / row.partition(",")[0], number)


def config(*sources: str, external: tuple[str, ...] = ()) -> CohortConfig:
    datasets = {name: DatasetConfig(adapter="csv", path=name) for name in sources}
    return CohortConfig(datasets=datasets, external=external)


def exclusion(cohort: pd.DataFrame, image_id: str) -> str:
    return str(cohort.set_index("image_id")["exclusion"][image_id])


def test_every_rule_says_why_and_is_counted(tmp_path: Path):
    manifest(
        tmp_path / "a",
        "ok.png,1,normal,PA,",
        "noview.png,2,SARS,,DX",
        "ct.png,3,COVID-19,,CT",
        "side.png,4,COVID-19,Lateral,",
        "axial.png,4,COVID-19,Axial,",
        "todo.png,5,todo,PA,",
        "gone.png,6,normal,PA,",
        "bad.png,7,normal,PA,",
        "copy.png,8,normal,,",
    )
    (tmp_path / "a" / "gone.png").unlink()
    (tmp_path / "a" / "bad.png").write_bytes(b"no picture")
    (tmp_path / "a" / "copy.png").write_bytes((tmp_path / "a" / "ok.png").read_bytes())
    result = build(tmp_path, config("a"), seed=1)
    why = result.cohort.set_index("image_id")["exclusion"]
    assert why["a:ok.png"] == why["a:noview.png"] == ""
    assert why["a:ct.png"] == "modality CT"
    assert why["a:side.png"] == "lateral view"
    assert why["a:axial.png"] == "view Axial"
    assert why["a:todo.png"] == "label unknown"
    assert why["a:gone.png"] == "file missing"
    assert why["a:bad.png"].startswith("unreadable: ")
    assert str(tmp_path) not in why["a:bad.png"]
    assert why["a:copy.png"] == "duplicate of a:ok.png"
    assert result.attrition["rule"].tolist() == [
        "rows in the source",
        "modality",
        "view",
        "label",
        "children",
        "time",
        "file",
        "duplicates",
        "one per patient",
        "external",
        "split",
    ]
    assert result.attrition["removed"].tolist() == [0, 1, 2, 1, 0, 0, 2, 1, 0, 0, 0]
    assert result.attrition["remaining"].tolist() == [9, 8, 6, 5, 5, 5, 3, 2, 2, 2, 2]
    assert result.duplicates["image_id"].tolist() == ["a:ok.png", "a:copy.png"]


def test_ids_are_prefixed_and_facts_read_from_the_file(tmp_path: Path):
    manifest(tmp_path / "a", "x/1.png,007,COVID-19,AP erect,")
    picture(tmp_path / "a" / "x" / "1.png", 5, size=(50, 60))
    row = build(tmp_path, config("a"), seed=1).cohort.iloc[0]
    assert (row["image_id"], row["patient_id"], row["site"]) == ("a:x/1.png", "a:007", "a")
    assert (row["path"], row["width"], row["height"]) == ("a/x/1.png", 50, 60)
    assert (row["finding"], row["raw_finding"], row["view"]) == ("covid-19", "COVID-19", "AP")
    assert len(row["sha256"]) == 64


def test_set_outside_the_data_root_has_absolute_paths(tmp_path: Path):
    manifest(tmp_path / "elsewhere", "1.png,1,normal,,")
    (tmp_path / "root").mkdir()
    outside = DatasetConfig(adapter="csv", path=str(tmp_path / "elsewhere" / "manifest.csv"))
    cohort = build(tmp_path / "root", CohortConfig(datasets={"a": outside}), seed=1).cohort
    assert cohort["path"].tolist() == [(tmp_path / "elsewhere" / "1.png").as_posix()]


def test_same_patient_number_in_two_sources_is_two_patients(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,")
    manifest(tmp_path / "b", "1.png,1,normal,,")
    picture(tmp_path / "b" / "1.png", 99)
    cohort = build(tmp_path, config("a", "b"), seed=1).cohort
    assert cohort["patient_id"].tolist() == ["a:1", "b:1"]


def test_conflicting_duplicates_are_all_out(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,", "2.png,2,COVID-19,,", "3.png,3,normal,,")
    (tmp_path / "a" / "2.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    cohort = build(tmp_path, config("a"), seed=1).cohort
    for image in ("a:1.png", "a:2.png"):
        assert exclusion(cohort, image) == "conflicting labels in duplicate group"


def test_external_images_of_trained_patients_are_out(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,", "2.png,1,normal,,")
    manifest(tmp_path / "x", "1.png,1,normal,,", "2.png,1,normal,,", "3.png,3,normal,,")
    for number in (1, 2, 3):
        picture(tmp_path / "x" / f"{number}.png", 10 + number)
    (tmp_path / "x" / "1.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    cohort = build(tmp_path, config("a", "x", external=("x",)), seed=1).cohort
    assert exclusion(cohort, "x:1.png") == "duplicate of a:1.png"
    assert exclusion(cohort, "x:2.png") == "patient or copy also in a source that is trained on"
    assert cohort.set_index("image_id")["split"]["x:3.png"] == "external"


def test_unknown_external_source_is_an_error(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,")
    with pytest.raises(CohortError, match="external source 'b' is not in the cohort; it has a"):
        build(tmp_path, config("a", external=("b",)), seed=1)


def test_label_in_no_table_is_an_error_and_own_table_the_remedy(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,KL2,,", "2.png,2,KL2,,")
    with pytest.raises(CohortError, match=r"source 'a' .*'KL2' \(2\)"):
        build(tmp_path, config("a"), seed=1)
    own = DatasetConfig(adapter="csv", path="a", labels={"KL2": "pneumonia"})
    cohort = build(tmp_path, CohortConfig(datasets={"a": own}), seed=1).cohort
    assert set(cohort["finding"]) == {"pneumonia"}


def test_source_without_usable_images_is_an_error(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,todo,,", "2.png,2,normal,L,")
    with pytest.raises(CohortError, match=r"'a' has no usable image left of 2: .*label unknown"):
        build(tmp_path, config("a"), seed=1)


def test_repeated_image_is_an_error(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,", "1.png,2,normal,,")
    with pytest.raises(CohortError, match=r"image_id 'a:1\.png' occurs twice"):
        build(tmp_path, config("a"), seed=1)


def test_root_is_recognised_itself_or_in_its_folders(tmp_path: Path, caplog):
    picture(tmp_path / "chest" / "No_findings" / "00000001_000.png", 1)
    picture(tmp_path / "chest" / "Pneumonia" / "00000002_000.png", 2)
    (tmp_path / "holiday").mkdir()
    with caplog.at_level(logging.INFO):
        inside = build(tmp_path, CohortConfig(), seed=1).cohort
    assert "left out, as their layout is not recognised: holiday" in caplog.text
    assert inside["path"].tolist()[0] == "chest/No_findings/00000001_000.png"
    itself = build(tmp_path / "chest", CohortConfig(), seed=1).cohort
    assert itself["path"].tolist()[0] == "No_findings/00000001_000.png"
    assert set(itself["source"]) == {"nih"}


def test_nothing_or_two_of_a_kind_recognised_is_an_error(tmp_path: Path):
    with pytest.raises(CohortError, match=r"looked for .*figure1, .*mila, nih, rsna;"):
        build(tmp_path, CohortConfig(), seed=1)
    for name in ("one", "two"):
        (tmp_path / name / "No_findings").mkdir(parents=True)
        (tmp_path / name / "Pneumonia").mkdir()
    with pytest.raises(CohortError, match=r"one' and .*two' both have the layout of 'nih'"):
        build(tmp_path, CohortConfig(), seed=1)


def test_places_that_are_not_there_are_named(tmp_path: Path):
    with pytest.raises(CohortError, match="nowhere' is no folder"):
        build(tmp_path / "nowhere", CohortConfig(), seed=1)
    with pytest.raises(CohortError, match=r"source 'a': .* does not exist"):
        build(tmp_path, config("a"), seed=1)
    for adapter in ("mila", "csv"):
        chosen = CohortConfig(datasets={"m": DatasetConfig(adapter=adapter)})
        with pytest.raises(CohortError, match=r"give its path, datasets\.m\.path"):
            build(tmp_path, chosen, seed=1)


def test_progress_counts_every_file(tmp_path: Path):
    manifest(tmp_path / "a", "1.png,1,normal,,", "2.png,2,normal,,")
    recorded: list[tuple[str, int, int]] = []
    with reporting(lambda *step: recorded.append(step)):
        build(tmp_path, config("a"), seed=1)
    reading, comparing = "reading radiographs", "comparing radiographs"
    assert recorded == [(reading, 1, 2), (reading, 2, 2), (comparing, 1, 1)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    rows = [f"{n}.png,{n // 2:04},{('normal', 'SARS')[n % 2]},," for n in range(30)]
    manifest(tmp_path / "a", *rows)
    write(build(tmp_path, config("a"), seed=1), tmp_path / "out")
    return tmp_path / "out" / "cohort.csv"


def test_what_is_written_is_read_back_unchanged(tmp_path: Path, written: Path):
    result = build(tmp_path, config("a"), seed=1)
    pd.testing.assert_frame_equal(schema.load(written), result.cohort)
    assert schema.load(written)["patient_id"].iloc[0] == "a:0000"
    assert sorted(path.name for path in written.parent.iterdir()) == [
        "attrition.csv",
        "cohort.csv",
        "duplicates.csv",
        "near-duplicates.csv",
        "overlap.csv",
        "reading-flags.csv",
        "unread-cells.csv",
    ]
    again = written.with_name("again.csv")
    schema.save(schema.load(written), again)
    assert again.read_bytes() == written.read_bytes()


def test_split_edited_by_hand_is_a_leak(written: Path):
    cohort = schema.read(written)
    first = cohort.index[cohort["split"] == "test"][0]
    cohort.loc[first, "split"] = "train"
    schema.save(cohort, written)
    with pytest.raises(LeakError, match=rf"patient '{cohort['patient_id'][first]}'"):
        schema.load(written)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "training", "split"),
        ("finding", "covid", "finding"),
        ("sex", "X", "sex"),
        ("age", "old", "age"),
        ("width", "wide", "width"),
        ("age", "300", "age"),
        ("patient_id", "", "patient_id"),
        ("sha256", "abc", "sha256"),
        ("sha256", "", "an included row has finding"),
        ("exclusion", "blurred", "if and only if it is excluded"),
        ("image_id", "a:1.png", "image_id"),
    ],
)
def test_cell_edited_by_hand_is_named(written: Path, column: str, value: str, message: str):
    cohort = pd.read_csv(written, dtype=str, keep_default_na=False)
    cohort.loc[0, column] = value
    cohort.to_csv(written, index=False)
    with pytest.raises(CohortError, match=message) as caught:
        schema.load(written)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_lost_column_is_named(written: Path):
    pd.read_csv(written, dtype=str).drop(columns="view").to_csv(written, index=False)
    with pytest.raises(CohortError, match="lacks column view"):
        schema.load(written)


def test_summary_counts_included_images(written: Path):
    counts = split_counts(schema.load(written))
    assert counts.columns.tolist() == [
        "source",
        "finding",
        "train",
        "val",
        "test",
        "external",
        "total",
    ]
    assert counts["total"].tolist() == [15, 15]
    assert counts[["train", "val", "test"]].sum().sum() == 30
