"""The recipe of the shipped bundle, on phantoms: lungs alone, a last layer by least squares."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr import pipeline
from covid_cxr.cohort import build
from covid_cxr.cohort.splits import hold_out
from covid_cxr.config import PreprocessSpec, RunConfig, TrainingConfig
from covid_cxr.errors import BundleError
from covid_cxr.imaging.crop import crop, lung_box
from covid_cxr.inference import Predictor
from covid_cxr.inference.explaining import ExplainSettings
from covid_cxr.models import bundle
from covid_cxr.training import hold_out_validation
from covid_cxr.training.inputs import preprocess_cohort
from support.predictions import predicted

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("graph_templates")]


@pytest.fixture(scope="module")
def config(tiny_config: RunConfig) -> RunConfig:
    preprocess = PreprocessSpec(size=64, lung_margin=0.06, equalise=True)
    training = TrainingConfig(method="linear-probe")
    return tiny_config.model_copy(update={"preprocess": preprocess, "training": training})


@pytest.fixture(scope="module")
def run(config: RunConfig, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lungs")
    folder = pipeline.RunFolder.create(out, config, phantoms, "covid-cxr train lungs.yaml")
    folder.put_cohort(build.build(phantoms, config.cohort, config.seed).cohort)
    pipeline.train(folder)
    return out


def test_the_bundle_carries_the_lung_network_it_was_trained_with(run: Path, tmp_path: Path) -> None:
    made = bundle.load(run / "bundle")
    assert made.lungs == made.folder
    assert {"lungs.onnx", "lungs.json"} <= set(made.manifest.files)
    copied = Path(shutil.copytree(run / "bundle", tmp_path / "other"))
    network = json.loads((copied / "lungs.json").read_text("utf-8")) | {"id": "another"}
    (copied / "lungs.json").write_text(json.dumps(network))
    with pytest.raises(BundleError, match=r"lungs\.json.*sha256 differs"):
        bundle.load(copied)


def test_a_bundle_that_lost_its_lung_network_is_an_error(run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(run / "bundle", tmp_path / "bare"))
    (copied / "lungs.onnx").unlink()
    bundle.write_manifest(copied, bundle.load(run / "bundle").manifest)
    with pytest.raises(BundleError, match=r"crops to the lungs but lists no lungs\.onnx"):
        bundle.load(copied)


def test_training_and_prediction_prepare_equally(
    run: Path, config: RunConfig, phantoms: Path, tmp_path: Path
) -> None:
    rows = pipeline.RunFolder.open(run).cohort().head(5)
    radiographs, _ = preprocess_cohort(rows, phantoms, config.preprocess, tmp_path / "films.npy")
    predictor = Predictor(bundle.load(run / "bundle"))
    for radiograph, path in zip(radiographs, rows["path"], strict=True):
        displayed = predictor.prepare(predictor.read(phantoms / path))
        np.testing.assert_allclose(
            radiograph, displayed.image, atol=1e-3
        )  # films are kept in float16
        assert displayed.box == lung_box(config.preprocess, displayed.lungs)


def test_an_explanation_is_nothing_outside_of_what_was_seen(run: Path, phantoms: Path) -> None:
    predictor = Predictor(bundle.load(run / "bundle"))
    path = pipeline.RunFolder.open(run).cohort()["path"].iloc[0]
    (inference,) = predictor.infer([predictor.read(phantoms / path)])
    every_map = ExplainSettings("lime", least_fidelity=-math.inf)
    explanation, displayed = (
        predictor.explain_inference(inference, every_map).explanation,
        inference.input,
    )
    assert explanation is not None and explanation.segments is not None
    inside = crop(explanation.attribution, displayed.box)
    assert np.abs(inside).sum() == pytest.approx(np.abs(explanation.attribution).sum())
    assert len(explanation.weights) == explanation.segments.max() + 1
    assert explanation.weights[-1] == 0  # the region outside


def test_a_batch_is_explained_with_its_counterfactual_regions(
    run: Path, phantoms: Path, tmp_path: Path
) -> None:
    predictor = Predictor(bundle.load(run / "bundle"))
    paths = pipeline.RunFolder.open(run).cohort()["path"].head(2)
    found = predicted(
        tmp_path,
        predictor,
        [phantoms / path for path in paths],
        settings=ExplainSettings("cam", counterfactual=True),
    )
    assert [each.status for each in found] == ["ok", "ok"]
    pages = sorted((tmp_path / "explanations").glob("*.json"))
    assert all("counterfactual" in json.loads(page.read_text("utf-8")) for page in pages)
    alone = predictor.predict(phantoms / paths.iloc[0]).prediction
    assert alone.probabilities["covid-19"] == pytest.approx(
        found[0].probabilities["covid-19"], abs=1e-4
    )


def test_the_protocol_scores_every_left_out_site_and_trains_none_twice(
    config: RunConfig, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold_out, "LEAST", 3)
    monkeypatch.setattr(hold_out, "_LARGE", 2)
    folder = pipeline.RunFolder.create(tmp_path, config, phantoms, "covid-cxr train lungs.yaml")
    cohort = build.build(phantoms, config.cohort, config.seed).cohort
    folder.put_cohort(cohort)
    found = pipeline.hold_out_validation(folder, 2)
    (name,) = found.comparisons
    assert name == "within phantoms"
    scores = pd.read_csv(tmp_path / hold_out_validation.SCORES)
    recorded = cohort[cohort["split"].isin(("train", "val"))]
    assert sorted(scores["image_id"]) == sorted(recorded["image_id"])  # each once: no chance in it
    assert found.objective == found.comparisons[name].auroc.value
    assert not (tmp_path / "training" / "inputs.npy").exists()

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(hold_out_validation, "fit_recipe", never)
    assert pipeline.hold_out_validation(folder, 2) == found
