"""What settings reject on the command line: images that are too large, a source named twice."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr import cli, default_bundle
from covid_cxr.cohort import schema

LIMIT = 2000


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A manifest with a image of 40 x 40 pixels and one of 60 x 60."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for edge in (40, 60):
        pixels = rng.integers(0, 256, (edge, edge), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{edge}.png")
    rows = ["path,patient_id,finding", "40.png,1,normal", "60.png,2,COVID-19"]
    (folder / "manifest.csv").write_text("\n".join(rows))
    return folder


def build(images: Path, *more: object) -> int:
    named = ["--dataset", f"csv={images}", "--processes", "1"]
    where = ["--data", images.parent, "--out", images.parent / "out"]
    return cli.run(["cohort", "build", *map(str, (*where, *named, *more))])


def test_a_cohort_leaves_out_images_over_the_limit_of_its_settings(images: Path) -> None:
    assert build(images) == 0
    assert set(schema.load(images.parent / "out" / "cohort.csv")["exclusion"]) == {""}
    assert build(images, "-s", f"preprocess.max_pixels={LIMIT}") == 0
    why = schema.load(images.parent / "out" / "cohort.csv")["exclusion"].tolist()
    assert why == ["", "unreadable: has 60 x 60 pixels, the limit is 2000 in all"]


def test_a_prediction_rejects_images_over_the_limit_of_its_bundle(images: Path) -> None:
    small = images.parent / "bundle"
    shutil.copytree(default_bundle().folder, small)
    manifest = json.loads((small / "manifest.json").read_text())
    manifest["preprocess"]["max_pixels"] = LIMIT
    (small / "manifest.json").write_text(json.dumps(manifest))
    out = images.parent / "out"
    pictures = [str(images / name) for name in ("40.png", "60.png")]
    assert cli.run(["predict", *pictures, "--model", str(small), "--out", str(out)]) == 4
    with (out / "predictions.csv").open(newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert rows["40.png"]["status"] != "error"
    assert rows["60.png"]["status"] == "error"
    assert "60 x 60 pixels, the limit is 2000" in rows["60.png"]["message"]


def test_a_source_named_twice_is_an_error(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(images, "--dataset", "csv=elsewhere") == 2
    error = capsys.readouterr().err
    assert "--dataset names 'csv' more than once" in error
    assert "--config" in error
