"""A folder of odd names and odd things goes through predict and through cohort build."""

import csv
import os
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr import cli
from covid_cxr.cohort import schema
from covid_cxr.phantoms import draw

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
RADIOGRAPHS = ("image.png", "webp.jpg", "png.dcm")  # whatever they are called
NO_IMAGES = {
    "empty.png": b"",
    "text.dcm": b"no picture",
    "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "report.pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "archive.zip": b"PK\3\4" + bytes(60),
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    # 30,000 x 30,000 pixels, by its header.
    "bomb.bmp": b"BM" + bytes(12) + struct.pack("<IiiHH24x", 40, 30_000, 30_000, 1, 24),
}
NO_FILES = ("gone.png", "loop.png", "pipe.png", "socket.png", "link")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes; one holds the odd names, the other odd things."""
    root = tmp_path_factory.mktemp("odd")
    for name in ("names", "things"):
        (root / "set" / name).mkdir(parents=True)
    for number, name in enumerate((*NAMES, os.fsdecode(NO_UNICODE))):
        # Radiographs that differ, else they were copies of one another.
        image = draw("normal", 100 + number, size=96).pixels
        _save(root / "set" / "names" / name, image)
    things = root / "set" / "things"
    for number, (name, kind) in enumerate(zip(RADIOGRAPHS, ("PNG", "WEBP", "PNG"), strict=True)):
        _save(things / name, draw("pneumonia", 90 + number, size=96).pixels, kind)
    whole = (things / "image.png").read_bytes()
    for name, content in {**NO_IMAGES, "half.png": whole[: len(whole) // 2]}.items():
        (things / name).write_bytes(content)
    (things / "gone.png").symlink_to(things / "nowhere.png")
    (things / "loop.png").symlink_to(things / "loop.png")
    (things / "link").symlink_to(root / "set" / "names", target_is_directory=True)
    os.mkfifo(things / "pipe.png")
    os.mknod(things / "socket.png", stat.S_IFSOCK | 0o600)
    return root / "set"


def _save(path: Path, image: np.ndarray, kind: str = "PNG") -> None:
    Image.fromarray((image * 255).astype("u1")).save(path, kind)


def test_predict_answers_every_entry_once(odd: Path, tmp_path: Path) -> None:
    assert cli.run(["predict", str(odd), "--out", str(tmp_path / "out"), "-q"]) == 4
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    rows = {row["file"].removeprefix(f"{odd}/"): row["status"] for row in answers}
    assert len(rows) == len(answers)
    # A name that is no Unicode is shown escaped; a spreadsheet meets a path, never a bare "=".
    expected = {f"names/{name}" for name in NAMES} | {"names/\\xff\\xfe.png"}
    assert {name for name, status in rows.items() if status == "ok"} == {
        *expected,
        *(f"things/{name}" for name in RADIOGRAPHS),
    }
    assert {name for name, status in rows.items() if status == "error"} == {
        f"things/{name}" for name in (*NO_IMAGES, *NO_FILES, "half.png")
    }
    assert all(row["message"].isprintable() for row in answers)


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
    # Hidden files are no images of a data set; a name that no CSV can hold is left out, and said.
    assert len(named) == len(NAMES)
    misnamed = named.pop("odd:names/\\xff\\xfe.png")
    assert misnamed == "unreadable: its name is no Unicode, rename it"
    assert (named == "").all()
    for name in NAMES:
        if not name.startswith("."):
            assert cohort[f"odd:names/{name}"] == ""
    # Nor are links to nowhere, pipes and sockets; every other file has its row.
    things = cohort[cohort.index.str.startswith("odd:things/")]
    assert things.index.is_unique
    assert set(things.index) == {
        f"odd:things/{name}" for name in (*RADIOGRAPHS, *NO_IMAGES, "half.png")
    }
    assert {name for name, why in things.items() if why == ""} == {
        f"odd:things/{name}" for name in RADIOGRAPHS
    }
    assert things["odd:things/empty.png"] == "unreadable: is empty (0 bytes)"
    assert things[things != ""].str.startswith("unreadable: ").all()
    assert cli.run(["cohort", "check", str(out / "cohort.csv")]) == 0
