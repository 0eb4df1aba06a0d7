"""Recalibration on a hospital's own images: the patients fitted to, the fit, and its check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import deal
from covid_cxr.config import EvaluationConfig
from covid_cxr.errors import ConfigError, CovidCxrError, UnreadableImage
from covid_cxr.inference import Predictor
from covid_cxr.inference.runtime import Outputs, Runtime
from covid_cxr.metrics import choose_threshold, fit_recalibration, softmax
from covid_cxr.metrics.recalibration import Recalibration
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import Manifest
from covid_cxr.results import SplitMetrics
from covid_cxr.results.external_validation import (
    RecalibrationMetrics,
    RecalibrationScores,
    ThresholdChange,
)
from covid_cxr.results.scores import Counts
from covid_cxr.types import COVID, FloatArray, Prediction, class_of

PARITY = 1e-4
# Patients of either class that slope, shift and threshold need at least.
FEWEST = 10
_TINY = 1e-12
_PARITY_IMAGES = 8


@dataclass(frozen=True)
class Fit:
    """What was fitted to one half of the patients.

    Attributes:
        line: slope (under 1 where the bundle was overconfident) and shift of COVID-19's logit
            (below 0 where it is rarer here than predicted).
        threshold: on the new probability of COVID-19.
    """

    line: Recalibration
    threshold: float


def sample_patients(rows: pd.DataFrame, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which images (N,) to fit to: whole patients, stratified by source and finding.

    Raises:
        ConfigError: the share is not over 0 and under 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"--share is {share:g}, expected over 0 and under 1, such as 0.5")
    everything = pd.Series(True, index=rows.index)
    return np.asarray(deal(rows, everything, (share, 1 - share), seed) == 0)


def fit(
    rows: pd.DataFrame,
    predictions: Sequence[Prediction],
    fitted: NDArray[np.bool_],
    manifest: Manifest,
    config: EvaluationConfig,
) -> Fit | str:
    """Return slope, shift and threshold for the images to fit to, or why there are none.

    Args:
        rows: of the cohort (N).
        predictions: the bundle's, of these rows.
        fitted: (N,) as `sample_patients` returns it.
        manifest: of the bundle.
        config: the threshold rule.
    """
    classes, covid = manifest.classes, manifest.classes.index(COVID)
    is_ok = np.array([prediction.status == "ok" for prediction in predictions], dtype=np.bool_)
    taken = np.flatnonzero(is_ok & fitted)
    chosen = rows.iloc[taken]
    labels = np.array([classes.index(class_of(name, manifest.task)) for name in chosen["finding"]])
    patients = chosen["patient_id"].to_numpy()
    counts = [len(set(patients[labels == covid])), len(set(patients[labels != covid]))]
    if min(counts) < FEWEST:
        return (
            f"the images to fit to come from {counts[0]} patients with COVID-19 and {counts[1]} "
            f"without, expected {FEWEST} of each or more"
        )
    scores = [list(predictions[int(row)].probabilities.values()) for row in taken]
    # The log of the probabilities is the logits up to a constant per image.
    logits = np.log(np.maximum(scores, _TINY))
    line = fit_recalibration(logits, labels, covid)
    if not line.slope > 0:
        return (
            f"the slope of the calibration is {line.slope:.3f}, expected more than 0: images "
            "with COVID-19 do not score higher than others here, which recalibration cannot change"
        )
    moved = softmax(line.of(logits, covid))[:, covid]
    threshold = choose_threshold(labels == covid, moved, config.threshold, config.min_sensitivity)
    return Fit(line, threshold)


def metrics(
    original: str,
    fitted: Fit,
    rows: pd.DataFrame,
    share: float,
    *,
    before: SplitMetrics,
    after: SplitMetrics,
) -> RecalibrationMetrics:
    """Return what was changed, the images (`rows`) it was fitted to, and the scores of others."""
    return RecalibrationMetrics(
        derived_from=original,
        slope=round(fitted.line.slope, 6),
        shift=round(fitted.line.shift, 6),
        threshold=ThresholdChange(before=before.threshold, after=after.threshold),
        fit=Counts(
            n=len(rows),
            patients=int(rows["patient_id"].nunique()),
            events=int((rows["finding"] == COVID).sum()),
        ),
        share=share,
        before=_scores(before),
        after=_scores(after),
    )


def _scores(split: SplitMetrics) -> RecalibrationScores:
    """Return the scores that recalibration may change."""
    calibration, pooled = split.calibration, split.pooled
    return RecalibrationScores(
        n=split.n,
        patients=split.patients,
        events=split.events,
        auroc=pooled.auroc,
        sensitivity=pooled.sensitivity,
        specificity=pooled.specificity,
        brier=pooled.brier,
        slope=calibration.slope if calibration else None,
        intercept=calibration.intercept if calibration else None,
        ece=calibration.ece if calibration else None,
    )


def check_parity(
    before: Predictor, bundle: Bundle, rows: pd.DataFrame, root: Path, fitted: Fit
) -> None:
    """Check the new graph against the arithmetic it stands for, on the first readable images.

    Raises:
        CovidCxrError: logits, probabilities, embeddings or class maps differ by more than 1e-4,
            so that the bundle must not be used.
    """
    inputs = _first_inputs(before, rows, root)
    old, new = before.runtime.run(inputs), Runtime(bundle).run(inputs)
    covid = bundle.manifest.classes.index(COVID)
    for name, expected in _expected(old, fitted, covid).items():
        output: Any = getattr(new, name)
        difference = float(np.abs(output - expected).max() / max(1.0, np.abs(expected).max()))
        if not difference <= PARITY:
            raise CovidCxrError(
                f"the recalibrated graph's {name} differ by {difference:.2g} from what they should "
                f"be, at most {PARITY:g} is allowed; do not use the bundle in '{bundle.folder}'"
            )


def _expected(old: Outputs, fitted: Fit, covid: int) -> dict[str, Any]:
    logits = fitted.line.of(old.logits, covid)
    outputs = {"logits": logits, "probabilities": softmax(logits), "embedding": old.embedding}
    return outputs if old.cam is None else outputs | {"cam": fitted.line.slope * old.cam}


def _first_inputs(predictor: Predictor, rows: pd.DataFrame, root: Path) -> FloatArray:
    """Return the first images that can be read, preprocessed (n, 1, S, S)."""
    inputs: list[FloatArray] = []
    for path, sha256 in zip(rows["path"], rows["sha256"], strict=True):
        try:
            inputs.append(predictor.prepare(predictor.read(root / path, sha256)).image)
        except UnreadableImage:
            continue
        if len(inputs) == _PARITY_IMAGES:
            break
    return np.stack(inputs)
