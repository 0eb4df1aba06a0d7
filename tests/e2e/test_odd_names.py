"""A folder of odd names and odd things goes through predict and through cohort build."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr import cli
from covid_cxr.cohort import schema
from covid_cxr.images.phantom import draw

NAMES = (
    "plain.png",
    "with space.png",
    "quote\"and'.png",
    "comma,semi;colon.png",
    "two\nlines.png",
    "-leading.png",
    "=1+1.png",
    "@formula.png",
    "Größe-肺.png",
    "\u202eright-to-left.png",
    ".hidden.png",
    "x" * 200 + ".png",
)
NO_UNICODE = b"\xff\xfe.png"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes; one holds the odd names, the other odd things."""
    root = tmp_path_factory.mktemp("odd")
    for name in ("names", "things"):
        (root / "set" / name).mkdir(parents=True)
    for number, name in enumerate((*NAMES, os.fsdecode(NO_UNICODE))):
        # Films that differ, else they were copies of one another.
        film = draw("normal", 100 + number, size=96).pixels
        _save(root / "set" / "names" / name, film)
    things = root / "set" / "things"
    _save(things / "film.png", draw("pneumonia", 99, size=96).pixels)
    (things / "empty.png").touch()
    (things / "text.dcm").write_text("no picture")
    (things / "gone.png").symlink_to(things / "nowhere.png")
    (things / "loop.png").symlink_to(things / "loop.png")
    os.mkfifo(things / "pipe.png")
    return root / "set"


def _save(path: Path, film: np.ndarray) -> None:
    Image.fromarray((film * 255).astype("u1")).save(path, "PNG")


def test_predict_answers_every_entry_once(odd: Path, tmp_path: Path) -> None:
    assert cli.run(["predict", str(odd), "--out", str(tmp_path / "out"), "-q"]) == 4
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"].removeprefix(f"{odd}/"): row["status"] for row in csv.DictReader(file)}
    # A name that is no Unicode is shown escaped; a spreadsheet meets a path, never a bare "=".
    expected = {f"names/{name}" for name in NAMES} | {"names/\\xff\\xfe.png"}
    assert {name for name, status in rows.items() if status == "ok"} == {
        *expected,
        "things/film.png",
    }
    assert {name for name, status in rows.items() if status == "error"} == {
        f"things/{name}" for name in ("empty.png", "text.dcm", "gone.png", "loop.png", "pipe.png")
    }


def test_cohort_build_keeps_or_explains_every_entry(odd: Path, tmp_path: Path) -> None:
    config = tmp_path / "odd.yaml"
    config.write_text(
        "cohort:\n  datasets:\n    odd:\n      adapter: folder\n      path: .\n"
        "      labels: {names: normal, things: pneumonia}\n"
    )
    out = tmp_path / "out"
    arguments = ["cohort", "build", "--data", str(odd), "--config", str(config), "--out", str(out)]
    assert cli.run([*arguments, "-q"]) == 0
    cohort = schema.load(out / "cohort.csv").set_index("image_id")["exclusion"]
    named = cohort[cohort.index.str.startswith("odd:names/")]
    # Hidden files are no films of a data set; a name that no CSV can hold is left out, and said.
    assert len(named) == len(NAMES)
    misnamed = named.pop("odd:names/\\xff\\xfe.png")
    assert misnamed == "unreadable: its name is no Unicode, rename it"
    assert (named == "").all()
    for name in NAMES:
        if not name.startswith("."):
            assert cohort[f"odd:names/{name}"] == ""
    assert cohort["odd:things/film.png"] == ""
    assert cohort["odd:things/empty.png"] == "unreadable: is empty (0 bytes)"
    assert cohort["odd:things/text.dcm"].startswith("unreadable: ")
    assert cli.run(["cohort", "check", str(out / "cohort.csv")]) == 0
