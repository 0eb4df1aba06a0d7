"""What a hospital's own export does to a cohort: copies elsewhere, empty splits, no dates."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr.cohort.build import build
from covid_cxr.cohort.notes import notes
from covid_cxr.cohort.splits.warnings import split_warnings
from covid_cxr.cohort.summary.summary import summarise
from covid_cxr.config import CohortConfig, DatasetConfig, FilterConfig
from covid_cxr.errors import CohortError
from covid_cxr.phantoms import draw


def write_image(path: Path, seed: int, scale: float = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (draw("normal", seed, size=128).pixels * 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    picture.resize((int(picture.width * scale), int(picture.height * scale))).save(path)


def manifest(folder: Path, *rows: str, head: str = "path,patient_id,finding") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text("\n".join([head, *rows]))


def config(*sources: str, **settings: object) -> CohortConfig:
    datasets = {name: DatasetConfig(adapter="csv", path=name) for name in sources}
    return CohortConfig(datasets=datasets, **settings)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Source x holds a larger copy of the first of two images of a patient of source a."""
    write_image(tmp_path / "a" / "1.png", 1)
    write_image(tmp_path / "a" / "2.png", 2)
    write_image(tmp_path / "x" / "1.png", 1, scale=2)
    write_image(tmp_path / "x" / "3.png", 3)
    manifest(tmp_path / "a", "1.png,1,normal", "2.png,1,normal")
    manifest(tmp_path / "x", "1.png,9,normal", "3.png,3,normal")
    return tmp_path


def test_a_larger_copy_in_an_external_source_costs_no_image_to_train_on(two: Path):
    cohort = build(two, config("a", "x", external=("x",)), seed=1).cohort
    why = cohort.set_index("image_id")["exclusion"]
    assert why.to_dict() == {
        "a:1.png": "",
        "a:2.png": "",
        "x:1.png": "duplicate of a:1.png",
        "x:3.png": "",
    }


def test_a_held_out_source_keeps_its_own_copy_before_all_others(two: Path):
    write_image(two / "b" / "1.png", 1, scale=3)
    write_image(two / "b" / "4.png", 4)
    manifest(two / "b", "1.png,1,normal", "4.png,4,normal")
    settings = {"external": ("x",), "strategy": "leave-one-source-out", "held_out": "a"}
    cohort = build(two, config("a", "b", "x", **settings), seed=1).cohort
    assert cohort.set_index("image_id")["split"].filter(like="a:").tolist() == ["test", "test"]


def test_a_source_that_is_a_copy_of_another_is_a_warning(two: Path, caplog):
    manifest(two / "x", "1.png,9,normal")
    with caplog.at_level(logging.WARNING):
        cohort = build(two, config("a", "x", external=("x",)), seed=1).cohort
    assert (cohort["split"] != "excluded").sum() == 2
    assert caplog.messages == [
        "source 'x' has no usable image left of 1: duplicate of a:1.png (1)",
    ]


def test_a_source_without_a_wanted_view_is_a_warning(two: Path, caplog):
    manifest(two / "a", "1.png,1,normal,PA", head="path,patient_id,finding,view")
    manifest(two / "x", "3.png,1,normal,AP", head="path,patient_id,finding,view")
    with caplog.at_level(logging.WARNING):
        build(two, config("a", "x", filters=FilterConfig(views=("pa",))), seed=1)
    assert caplog.messages == [
        "source 'x' has no usable image left of 1: view AP (1); see the setting "
        "cohort.filters.views"
    ]
    with pytest.raises(CohortError, match="no usable image left of 1: view PA"):
        build(two, config("a", "x", filters=FilterConfig(views=("LAO",))), seed=1)


@pytest.mark.parametrize("rows", [("1.png,1,todo",), ("gone.png,1,normal", "1.png,1,todo")])
def test_a_source_without_images_or_labels_is_an_error(two: Path, rows: tuple[str, ...]):
    manifest(two / "a", *rows)
    with pytest.raises(CohortError, match="source 'a' has no usable image left"):
        build(two, config("a", "x"), seed=1)


def test_a_manifest_may_state_the_day(two: Path):
    head = "path,patient_id,finding,offset"
    manifest(two / "a", "1.png,1,normal,12", "2.png,1,normal,-1", head=head)
    chosen = config("a", filters=FilterConfig(one_per_patient="first"))
    cohort = build(two, chosen, seed=1).cohort
    assert cohort["exclusion"].tolist() == ["not the patient's first image", ""]
    cohort = build(two, config("a", filters=FilterConfig(offset=(0, 14))), seed=1).cohort
    assert cohort["exclusion"].tolist() == ["", "taken on day -1, outside the time window"]


def split(*rows: tuple[str, str, str], patient: str | None = None) -> pd.DataFrame:
    """Rows of (split, finding, how many images), each its own patient."""
    spread = [(side, finding) for side, finding, count in rows for _ in range(int(count))]
    ids = [f"s:{number}" for number in range(len(spread))]
    table = pd.DataFrame(spread, columns=["split", "finding"]).assign(
        image_id=ids, patient_id=patient or ids, duplicate_group="", sha256=""
    )
    return table.astype({"patient_id": "str"})


def test_splits_that_cannot_be_scored_are_warned_of():
    whole = [
        (side, each, "2") for side in ("train", "val", "test") for each in ("normal", "covid-19")
    ]
    assert split_warnings(split(*whole)) == []
    assert split_warnings(split(*whole, ("external", "pneumonia", "3"))) == []
    assert split_warnings(split(("excluded", "normal", "3"))) == []
    assert split_warnings(split(*whole[:2], *whole[4:])) == [
        "val is empty; more patients, or another strategy or share, would fill it."
    ]
    assert split_warnings(split(*whole[:4], whole[4], ("train", "pneumonia", "1"))) == [
        "val holds no pneumonia.",
        "test holds no pneumonia and no covid-19.",
    ]


def test_one_patient_that_is_everybody_is_reported_by_build_and_show(tmp_path: Path):
    rows = [f"{number}.png,ANONYMOUS,{('normal', 'SARS')[number % 2]}" for number in range(6)]
    for number in range(6):
        write_image(tmp_path / "a" / f"{number}.png", number)
    manifest(tmp_path / "a", *rows)
    result = build(tmp_path, config("a"), seed=1)
    lines = [line for line in notes(result) if line.startswith("Warning: ")]
    assert lines[0].startswith("Warning: val is empty")
    assert lines[1].startswith("Warning: test is empty")
    assert lines[2].startswith("Warning: 6 of 6 images, such as 'a:0.png', hang together")
    found = summarise(result.cohort).warnings
    assert found.warns
    assert [f"Warning: {sentence}" for sentence in found.sentences[:3]] == lines


def test_a_cohort_of_few_patients_is_no_everybody():
    assert (
        split_warnings(split(*((side, "normal", "1") for side in ("train", "val", "test")))) == []
    )
