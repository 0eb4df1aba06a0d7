"""The bundle that ships: small, self-describing, honest, and it answers."""

import csv
from pathlib import Path

import pytest

import covid_cxr
from covid_cxr import cli
from covid_cxr.models.bundle import SHIPPED_LUNGS
from covid_cxr.phantoms import draw
from covid_cxr.types import Radiograph

SOURCES = {"mila", "figure1", "nih", "covid-cxnet"}


def test_it_is_small_and_says_what_it_is() -> None:
    shipped = covid_cxr.default_bundle()
    files = list(shipped.folder.iterdir())
    assert sum(file.stat().st_size for file in files) <= 40e6
    names = {"manifest.json", "model.onnx", "reference.npz", "MODEL_CARD.md"}
    assert {file.name for file in files} == names
    manifest = shipped.manifest
    assert set(manifest.files) == names - {"manifest.json"} | {"lungs.onnx", "lungs.json"}
    assert shipped.lungs == SHIPPED_LUNGS  # once in the package, referred to by hash
    assert manifest.command == "covid-cxr run configs/default.yaml --data DATA"
    assert {source.source for source in manifest.training_data} == SOURCES
    for measured in manifest.metrics.values():
        assert measured.auroc.low <= measured.auroc.value <= measured.auroc.high
        assert set(measured.auroc_per_source) == SOURCES


def test_its_card_warns_and_lists_every_source() -> None:
    card = (covid_cxr.default_bundle().folder / "MODEL_CARD.md").read_text()
    for words in ("Not a medical device", *SOURCES, "one class only", "Shortcut audit", "Research"):
        assert words in card


def test_two_lines_of_python_give_an_explained_prediction() -> None:
    phantom = draw("covid-19", seed=1)
    radiograph = Radiograph(phantom.pixels, origin="phantom", format="PNG", bit_depth=8)
    reading = covid_cxr.load(threads=1).predict(radiograph)
    assert sum(reading.prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert reading.explanation is not None
    assert reading.explanation.method == "cam"
    assert reading.picture is not None
    assert reading._repr_png_().startswith(b"\x89PNG")


def test_it_ships_no_weights_and_says_so(
    capsys: pytest.CaptureFixture[str], phantoms: Path, tmp_path: Path
) -> None:
    radiograph = next((phantoms / "images").glob("*.png"))
    arguments = ["explain", str(radiograph), "--method", "gradcam", "--out", str(tmp_path)]
    assert cli.run(arguments) == 2
    assert "gradcam" in capsys.readouterr().err
    assert not (tmp_path / "predictions.csv").exists()


def test_every_figure1_image_gets_a_row_and_an_overlay(
    capsys: pytest.CaptureFixture[str], real_data: Path, tmp_path: Path
) -> None:
    folder = real_data / "Figure1-COVID-chestxray-dataset" / "images"
    assert cli.run(["predict", str(folder), "--explain", "cam", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    with (tmp_path / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(list(folder.iterdir())) == 41
    assert all((tmp_path / row["explanation"]).is_file() for row in rows)
