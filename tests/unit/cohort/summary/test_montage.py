"""Montages: what is placed where, from which seed, and images that cannot be read."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from covid_cxr import imaging
from covid_cxr.cohort.build import build
from covid_cxr.cohort.summary.montage import GRID, montages
from covid_cxr.config import CohortConfig, DatasetConfig
from covid_cxr.imaging import page as imaging_page
from covid_cxr.progress import reporting

WHITE = 255


def write_image(path: Path, size: tuple[int, int] = (40, 40), grey: int = WHITE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, grey).save(path)


def row(
    name: str, source: str = "a", finding: str = "normal", **cells: object
) -> dict[str, object]:
    filled = {"patient_id": name, "view": "PA", "sex": "F", "age": 61.0, "split": "train"}
    filled |= {"duplicate_group": "", "exclusion": "", "raw_finding": "", "sha256": ""}
    described = {"image_id": f"{source}:{name}", "path": name, "source": source, "finding": finding}
    return {**described, **filled, **cells}


def draw(folder: Path, rows: list[dict[str, object]], seed: int = 0) -> dict[str, Image.Image]:
    written = montages(pd.DataFrame(rows), folder, folder / "out", seed)
    return {path.stem: Image.open(path).convert("RGB") for path in written}


def cell(page: Image.Image, column: int, line: int) -> np.ndarray:
    x, y = GRID.corner(line * GRID.across + column)
    return np.asarray(page)[y : y + 160, x : x + 160]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every line of text drawn, as it stands there."""
    synthetic: list[str] = []
    write = imaging_page.write
    monkeypatch.setattr(
        imaging_page,
        "write",
        lambda draw, at, text, *rest: (synthetic.append(text), write(draw, at, text, *rest)),
    )
    return synthetic


def test_one_sheet_a_source_and_finding_with_counts_and_captions(tmp_path: Path, texts: list[str]):
    for name in ("1.png", "2.png", "3.png", "4.png"):
        write_image(tmp_path / name)
    rows = [
        row("1.png"),
        row("2.png", view="", sex="", age=np.nan),
        row("3.png", finding="covid-19", view="AP Supine", age=0.4),
        row("4.png", source="b"),
        row("5.png", split="excluded", exclusion="view L"),
    ]
    assert set(draw(tmp_path, rows)) == {"a-normal", "a-covid-19", "b-normal"}
    assert "a · normal" in texts
    assert "2 of 2 images of 2 patients, drawn with seed 0; below each: id, view, age/sex" in texts
    assert {"1.png", "PA · 61/F", "? · ?/?", "AP Supine · 0/F"} <= set(texts)
    assert "5.png" not in texts
    heads = [text for text in texts if text.startswith("Research use only")]
    assert len(heads) == 3 and all("never publish or commit" in text for text in heads)


def test_aspect_is_kept_on_black(tmp_path: Path):
    # 80 x 40 fills the cell's width and 80 of its 160 lines: black above 40 and from 120 on.
    write_image(tmp_path / "wide.png", (80, 40))
    found = cell(draw(tmp_path, [row("wide.png")])["a-normal"], 0, 0)
    assert (found[40:120] == WHITE).all()
    assert (found[:40] == 0).all() and (found[120:] == 0).all()


def test_forty_images_at_most_chosen_by_the_seed_whatever_the_order(
    tmp_path: Path, texts: list[str]
):
    rows = [row(f"{number:02d}.png") for number in range(50)]
    for number in range(50):
        write_image(tmp_path / f"{number:02d}.png", grey=number * 5)
    first = draw(tmp_path, rows)["a-normal"].tobytes()
    displayed = [text for text in texts if text.endswith(".png")]
    assert len(displayed) == 40 and displayed == sorted(set(displayed))
    assert "40 of 50 images of 50 patients" in texts[1]
    assert draw(tmp_path, rows[::-1])["a-normal"].tobytes() == first
    texts.clear()
    assert draw(tmp_path, rows, seed=1)["a-normal"].tobytes() != first
    assert [text for text in texts if text.endswith(".png")] != displayed


def test_images_that_cannot_be_read_are_crossed_cells_with_the_reason(
    tmp_path: Path, texts: list[str]
):
    (tmp_path / "text.png").write_text("no picture")
    write_image(tmp_path / "other.png", grey=10)
    os.mkfifo(tmp_path / "pipe.png")
    write_image(tmp_path / "good.png")
    names = ("gone.png", "good.png", "pipe.png", "text.png")
    replaced = row("other.png", sha256="0" * 64)
    page = draw(tmp_path, [*(row(name) for name in names), replaced])["a-normal"]
    assert any(text.startswith("is not the file that") for text in texts)
    assert "does not exist" in texts
    assert any(text.startswith("is a pipe") for text in texts)
    assert (cell(page, 1, 0) == WHITE).all()
    for column in (0, 2, 3):
        found = cell(page, column, 0)
        assert tuple(found[10, 10]) == tuple(found[10, 149]) == imaging_page.CROSS


def test_copies_stand_side_by_side_the_kept_one_first(tmp_path: Path, texts: list[str]):
    rows = []
    for group in range(5):
        for copy in range(3):
            name = f"{group}{copy}.png"
            write_image(tmp_path / name, grey=50 * (group + 1))
            fate = (
                {} if copy == 2 else {"split": "excluded", "exclusion": f"duplicate of a:{group}2"}
            )
            source = "ab"[copy % 2]
            rows.append(row(name, source, "covid-19", duplicate_group=f"g{group}", **fate))
    pages = draw(tmp_path, rows)
    assert set(pages) == {"a-covid-19", "duplicates-1"}
    # Eight cells a row hold two groups of three; the third does not fit and begins the next row.
    for column, line, grey in ((0, 0, 50), (2, 0, 50), (3, 0, 100), (5, 0, 100), (0, 1, 150)):
        assert (cell(pages["duplicates-1"], column, line) == grey).all()
    assert (cell(pages["duplicates-1"], 6, 0) == imaging_page.GROUND).all()
    assert "5 of 5 groups, drawn with seed 0; copies stand side by side" in texts
    start = texts.index("Duplicate groups, page 1 of 1")
    assert texts[start + 3 : start + 9] == [
        *("02.png", "a · covid-19", "kept, in train"),
        *("00.png", "a · covid-19", "excluded"),
    ]


def test_many_copies_and_many_groups(tmp_path: Path, texts: list[str]):
    large = [row(f"l{number:02d}.png", duplicate_group="a-large") for number in range(11)]
    pairs = [
        row(f"p{number:03d}.png", duplicate_group=f"g{number // 2:03d}") for number in range(300)
    ]
    names = set(draw(tmp_path, [*large, *pairs]))
    # 120 of 151 groups, at most 20 pairs a page: 6 pages, 7 if the large one took a row.
    assert {f"duplicates-{number}" for number in range(1, 7)} <= names
    assert "120 of 151 groups, drawn with seed 0; copies stand side by side" in texts
    few = montages(pd.DataFrame(large), tmp_path, tmp_path / "few", 0)
    assert [path.stem for path in few] == ["a-normal", "duplicates-1"]
    assert "kept, in train; 3 more copies" in texts


def test_any_name_of_a_source_makes_a_file_of_its_own(tmp_path: Path):
    names = ["a/b", "a b", "A-B", "..", "ü", "x" * 300]
    rows = [row("1.png", source=name) for name in names]
    found = montages(pd.DataFrame(rows), tmp_path, tmp_path / "out", 0)
    stems = {path.stem.removesuffix("-normal") for path in found}
    assert stems == {"A-B", "a-b-2", "a-b-3", "source", "source-2", "x" * 80}
    assert {path.parent for path in found} == {tmp_path / "out"}


def test_long_names_are_shortened_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synthetic: list[str] = []
    text = imaging_page.ImageDraw.ImageDraw.text

    def note(self, at, line, *rest, **named):  # type: ignore[no-untyped-def]
        synthetic.append(line)
        return text(self, at, line, *rest, **named)

    monkeypatch.setattr(imaging_page.ImageDraw.ImageDraw, "text", note)
    draw(tmp_path, [row("ü" + 60 * "m" + "-end.png")])
    (short,) = [line for line in synthetic if line.endswith("-end.png")]
    assert short.startswith("ümm") and "..." in short and len(short) < 40


def test_progress_counts_images_and_one_is_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    size = (1500, 1500)  # 9 MB as float32
    rows = [row(f"{number}.png") for number in range(12)]
    for each in rows:
        write_image(tmp_path / str(each["path"]), size)
    reports: list[tuple[str, int, int]] = []
    imaging.read(tmp_path / "0.png")  # decoders are loaded before memory is counted
    tracemalloc.start()
    with reporting(lambda *step: reports.append(step)):
        montages(pd.DataFrame(rows), tmp_path, tmp_path / "out", 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reports == [("drawing montages", number, 12) for number in range(1, 13)]
    assert peak < 6 * 9_000_000


def test_montages_of_the_phantom_cohort(phantoms: Path, tmp_path: Path):
    config = CohortConfig(datasets={"phantoms": DatasetConfig(adapter="csv", path="manifest.csv")})
    cohort = build(phantoms, config, seed=1).cohort
    found = montages(cohort, phantoms, tmp_path, 0)
    names = {path.stem for path in found}
    assert {"phantoms-normal", "phantoms-pneumonia", "phantoms-covid-19", "duplicates-1"} <= names
    with Image.open(tmp_path / "duplicates-1.png") as page:
        first, second = (cell(page.convert("RGB"), column, 0).astype(float) for column in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.95
