"""Recalibration on own films, on simulated forecasts: who is fitted to, what is found, refusals."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from covid_cxr import default_bundle, metrics
from covid_cxr.config import EvaluationConfig
from covid_cxr.errors import ConfigError
from covid_cxr.inference import similar_cases
from covid_cxr.inference.similar_cases import Reference
from covid_cxr.models import bundle
from covid_cxr.pipeline import recalibration, training_overlap
from covid_cxr.types import CLASSES, Prediction


def cohort(patients=200, seed=0, share=0.4):
    """Patients with one to three films of one finding, from two sources."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
    event = (rng.random(patients) < share)[index]
    return pd.DataFrame(
        {
            "image_id": [f"i{n:04d}" for n in range(index.size)],
            "source": np.where(index % 2, "ward", "emergency"),
            "patient_id": [f"p{n:03d}" for n in index],
            "finding": np.where(event, "covid-19", np.where(index % 3, "normal", "pneumonia")),
            "sha256": [f"{n:064x}" for n in range(index.size)],
            "duplicate_group": "",
            "license": "",
        }
    )


def forecasts(rows, slope, shift, task="binary", seed=1):
    """Predictions whose log-odds are bent: true log-odds = slope * forecast + shift."""
    rng = np.random.default_rng(seed)
    event = (rows["finding"] == "covid-19").to_numpy()
    # Log-odds that are calibrated: the ratio of two normals with equal spread.
    z = rng.normal(np.where(event, 1.0, -1.0), 1.0)
    true = 2 * z + np.log(event.mean() / (1 - event.mean()))
    covid = expit((true - shift) / slope)
    rest = {"binary": [1.0], "multiclass": [0.6, 0.4]}[task]
    return [
        Prediction(
            f"{n}.png",
            "ok",
            probabilities=dict(
                zip(CLASSES[task], [*(part * (1 - p) for part in rest), p], strict=True)
            ),
        )
        for n, p in enumerate(covid)
    ]


@pytest.fixture
def manifest(tiny_run):
    return bundle.load(tiny_run / "bundle").manifest


def probabilities(predictions):
    return np.array([list(each.probabilities.values()) for each in predictions])


def test_patients_stay_whole_and_strata_are_shared():
    rows = cohort()
    fitted = recalibration.sample_patients(rows, 0.5, seed=3)
    assert not set(rows["patient_id"][fitted]) & set(rows["patient_id"][~fitted])
    for _, stratum in rows.assign(fitted=fitted).groupby(["source", "finding"]):
        assert 0.4 < stratum["fitted"].mean() < 0.6
    assert (recalibration.sample_patients(rows, 0.5, seed=3) == fitted).all()
    assert (recalibration.sample_patients(rows, 0.5, seed=4) != fitted).any()
    assert recalibration.sample_patients(rows, 0.8, seed=3).mean() == pytest.approx(0.8, abs=0.05)


def test_what_was_bent_is_straight_on_the_other_half(manifest):
    rows = cohort(patients=1500)
    answers = forecasts(rows, slope=0.4, shift=-1.2)
    fitted = recalibration.sample_patients(rows, 0.5, seed=0)
    fit = recalibration.fit(rows, answers, fitted, manifest, EvaluationConfig())
    assert fit.line == pytest.approx((0.4, -1.2), abs=0.12)
    p, event = probabilities(answers), (rows["finding"] == "covid-19").to_numpy()
    moved = metrics.softmax(fit.line.of(np.log(p), 1))[:, 1]
    before = metrics.calibration_line(event[~fitted], p[~fitted, 1])
    after = metrics.calibration_line(event[~fitted], moved[~fitted])
    assert before.slope == pytest.approx(0.4, abs=0.05) and before.intercept < -0.5
    assert after.slope == pytest.approx(1, abs=0.12)
    assert after.intercept == pytest.approx(0, abs=0.2)
    expected = metrics.choose_threshold(event[fitted], moved[fitted], "youden", 0.875)
    assert fit.threshold == expected
    rule = EvaluationConfig(threshold="sensitivity", min_sensitivity=0.95)
    careful = recalibration.fit(rows, answers, fitted, manifest, rule)
    assert np.mean(moved[fitted & event] >= careful.threshold) >= 0.95


def test_three_classes(tiny_run):
    manifest = bundle.load(tiny_run / "bundle").manifest.model_copy(
        update={"task": "multiclass", "classes": CLASSES["multiclass"]}
    )
    rows = cohort(patients=400)
    answers = forecasts(rows, slope=1.0, shift=-1.0, task="multiclass")
    fit = recalibration.fit(rows, answers, np.full(len(rows), True), manifest, EvaluationConfig())
    assert fit.line.shift < -0.5 and fit.line.slope > 0


def test_too_few_patients_are_rejected_with_the_numbers(manifest):
    rows = cohort(patients=40, share=0.2)
    answers = forecasts(rows, 1, 0)
    events = rows["patient_id"][rows["finding"] == "covid-19"].nunique()
    assert events < 10
    said = recalibration.fit(rows, answers, np.full(len(rows), True), manifest, EvaluationConfig())
    assert said.startswith(f"the images to fit to come from {events} patients with COVID-19 and ")
    assert "expected 10 of each" in said


def test_images_without_an_answer_are_not_fitted_to(manifest):
    rows = cohort(patients=300)
    answers = forecasts(rows, 1, 0)
    event = rows["finding"] == "covid-19"
    silent = [
        Prediction(each.file, "abstained") if is_event else each
        for each, is_event in zip(answers, event, strict=True)
    ]
    said = recalibration.fit(rows, silent, np.full(len(rows), True), manifest, EvaluationConfig())
    assert "come from 0 patients with COVID-19" in said
    some = [Prediction("x", "error")] * 50 + answers[50:]
    fit = recalibration.fit(rows, some, np.full(len(rows), True), manifest, EvaluationConfig())
    rest = recalibration.fit(
        rows.iloc[50:], answers[50:], np.full(len(rows) - 50, True), manifest, EvaluationConfig()
    )
    assert fit == rest


def test_a_forecast_that_ranks_the_wrong_way_round_is_rejected(manifest):
    rows = cohort(patients=300)
    answers = forecasts(rows, slope=-1, shift=0)
    said = recalibration.fit(rows, answers, np.full(len(rows), True), manifest, EvaluationConfig())
    assert "recalibration cannot change" in said and "slope of the calibration is -" in said


def reference(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    ids = np.array([f"theirs:{n}" for n in range(len(unit))])
    return Reference(unit.astype(np.float16).astype(np.float32), ids, np.full(len(unit), "normal"))


def test_how_near_is_the_same_image_follows_from_the_training_images():
    rng = np.random.default_rng(0)
    wide = rng.normal(0, 1, (60, 40)).astype(np.float32)
    assert 0.1 < training_overlap.max_distance(reference(wide)) < 0.3
    # A network to which all films look nearly alike: near is near in its own terms.
    assert training_overlap.max_distance(reference(10 + 0.5 * wide)) < 0.002
    assert training_overlap.max_distance(reference(wide[:1])) == training_overlap.max_distance(
        reference(np.tile(wide[:1], (5, 1)))
    )


def test_images_of_the_training_are_found_with_their_patients(tiny_run, tmp_path):
    rng = np.random.default_rng(1)
    reference_values = rng.normal(0, 1, (50, 40)).astype(np.float32)
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_run / "bundle", folder)
    ids = [f"theirs:{n}" for n in range(50)]
    similar_cases.save(folder / "reference.npz", reference_values, ids, ["normal"] * 50)
    bundle.write_manifest(folder, bundle.load(tiny_run / "bundle").manifest)
    made = bundle.load(folder)
    rows = cohort(patients=20)
    mine = rng.normal(0, 1, (len(rows), 40)).astype(np.float32)
    mine[3] = 7 * reference_values[11] + rng.normal(0, 0.02, 40)  # length plays no part
    mine[5] = np.nan
    found = training_overlap.find(rows, mine, made)
    assert found.loc[3, "training_image"] == "theirs:11" and found.loc[3, "distance"] < 0.01
    assert (found["training_image"] != "").sum() == 1
    found = found["reason"]
    assert found[3] == "in the bundle's training"
    kin = rows["patient_id"] == rows["patient_id"][3]
    assert (found[kin & (rows.index != 3)] == "of a patient in the bundle's training").all()
    assert (found[~kin] == "").all()
    (folder / "reference.npz").unlink()
    bundle.write_manifest(folder, made.manifest)
    assert (training_overlap.find(rows, mine, bundle.load(folder))["reason"] == "").all()


@pytest.mark.parametrize("share", [float("nan"), 0.0, 1.0])
def test_a_share_that_is_none_is_an_error(share):
    with pytest.raises(ConfigError, match=r"--share is .*, expected over 0 and under 1"):
        recalibration.sample_patients(cohort(), share, 0)


@pytest.mark.parametrize("images", [0, 20])
def test_without_a_class_or_an_image_there_is_a_reason_and_no_fit(images):
    rows = cohort(share=0.0).iloc[:images]
    predictions = [Prediction("a.png", "ok", probabilities={"covid-19": 0.5})] * images
    is_fitted = np.ones(images, dtype=bool)
    made = default_bundle().manifest
    reason = recalibration.fit(rows, predictions, is_fitted, made, EvaluationConfig())
    assert reason.startswith("the images to fit to come from 0 patients with COVID-19")
