"""The input check, fitted on phantoms with the script and run in prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import covid_cxr
from covid_cxr.cohort import build, schema
from covid_cxr.config import RunConfig
from covid_cxr.inference import Predictor
from covid_cxr.inference.explaining import ExplainSettings
from covid_cxr.inference.input_check import (
    INVERTED,
    NO_CHEST,
    OUT_OF_DISTRIBUTION,
    TURNED,
    UPSIDE_DOWN,
)
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.models.bundle import SHIPPED_LUNGS
from covid_cxr.phantoms import draw
from covid_cxr.types import FloatArray
from research.input_check.__main__ import main
from support.predictions import predicted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def few(phantoms: Path, tiny_config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of ten films of one source."""
    cohort = build.build(phantoms, tiny_config.cohort, 1).cohort
    recorded = cohort[cohort["split"].isin(("train", "val"))]
    parts = [
        recorded[recorded["split"] == "train"].head(8),
        recorded[recorded["split"] == "val"].head(2),
    ]
    path = tmp_path_factory.mktemp("few") / "cohort.csv"
    schema.save(pd.concat(parts), path)
    return path


def test_the_script_fits_measures_and_puts_the_check_into_the_graph(
    capsys: pytest.CaptureFixture[str], few: Path, phantoms: Path, tmp_path: Path
) -> None:
    out, others = tmp_path / "check", tmp_path / "others"
    (others / "noise of others").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (90, 80)).astype(np.uint8)
    Image.fromarray(noise).save(others / "noise of others" / "a.png")
    words = ["--cohort", str(few), "--data", str(phantoms), "--out", str(out)]
    words += ["--pictures", "2", "--phantoms", "2", "--others", str(others), "--json"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["fitted"]["radiographs"] == 10
    assert {each["left_out"] for each in figures["measured"]} > {
        "noise",
        "others",
        "drawn phantoms",
    }
    assert json.loads((out / "input_check.json").read_text("utf-8")) == figures
    assert "noise of others" in (out / "INPUT_CHECK_CARD.md").read_text("utf-8")
    radiograph = draw("normal", 3).pixels
    fitted, shipped = LungSegmenter(out, threads=1), LungSegmenter(SHIPPED_LUNGS, threads=1)
    assert fitted.manifest.input_check is not None
    assert fitted.analyse([radiograph])[0].lungs is not None
    (one,), (other,) = fitted.segment([radiograph]), shipped.segment([radiograph])
    assert one is not None and other is not None
    assert np.array_equal(one.both, other.both)


def test_a_cohort_without_radiographs_to_fit_to_is_an_error(
    capsys: pytest.CaptureFixture[str], few: Path, phantoms: Path, tmp_path: Path
) -> None:
    excluded = schema.load(few).assign(split="excluded", exclusion="a test")
    schema.save(excluded, tmp_path / "cohort.csv")
    words = ["--cohort", str(tmp_path / "cohort.csv"), "--data", str(phantoms)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "no radiographs of train or val" in capsys.readouterr().err


WRONG = {
    "left": (np.rot90, TURNED),
    "right": (lambda radiograph: np.rot90(radiograph, 3), TURNED),
    "down": (lambda radiograph: np.rot90(radiograph, 2), UPSIDE_DOWN),
    "flipped": (lambda radiograph: radiograph[::-1], UPSIDE_DOWN),
    "inverted": (lambda radiograph: 1 - radiograph, INVERTED),
}


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    """A model of whole radiographs, without a lung network: the package's input check runs."""
    return covid_cxr.load(tiny_run / "bundle", threads=1)


def write(radiograph: FloatArray, path: Path) -> Path:
    Image.fromarray(np.round(radiograph * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("number", range(3))
def test_a_chest_is_answered_and_a_wrong_one_rejected_with_the_reason(
    model: Predictor, number: int, tmp_path: Path
) -> None:
    radiograph = draw(("normal", "covid-19", "pneumonia")[number], 40 + number).pixels
    write(radiograph, tmp_path / "a.png")
    for name, (change, _) in WRONG.items():
        write(change(radiograph), tmp_path / f"{name}.png")
    found = predicted(tmp_path / "out", model, [tmp_path], settings=ExplainSettings("cam"))
    said = {Path(each.file).stem: each for each in found}
    assert said["a"].status == "ok"
    assert said["a"].explanation
    for name, (_, reason) in WRONG.items():
        assert said[name].status == "abstained"
        assert reason in said[name].flags
        assert not said[name].probabilities
        assert not said[name].explanation


def test_a_mirrored_chest_is_answered(model: Predictor, tmp_path: Path) -> None:
    path = write(draw("normal", 50).pixels[:, ::-1], tmp_path / "mirrored.png")
    assert model.predict(path).prediction.status == "ok"


def test_one_by_one_rejects_as_a_batch_does_and_explains_nothing(
    model: Predictor, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).random((200, 200), dtype=np.float32)
    path = write(noise, tmp_path / "noise.png")
    (row,) = predicted(tmp_path / "out", model, [path])
    reading = model.explain(path, "cam")
    assert reading.prediction.status == row.status == "abstained"
    assert reading.prediction.flags == row.flags
    assert row.flags[0] in (NO_CHEST, OUT_OF_DISTRIBUTION)
    assert reading.explanation is None
    assert reading.similar_cases == ()
    assert reading.picture is None
