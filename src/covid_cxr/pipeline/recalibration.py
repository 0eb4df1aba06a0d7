"""Recalibration on a hospital's own films: which are fitted to, what is fitted, and the check."""

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
from covid_cxr.errors import CovidCxrError, UnreadableImage
from covid_cxr.inference import Predictor
from covid_cxr.inference.runtime import Outputs, Runtime
from covid_cxr.metrics import choose_threshold, fit_recalibration, softmax
from covid_cxr.metrics.recalibration import Recalibration
from covid_cxr.models.bundle import Bundle
from covid_cxr.models.manifest import Manifest, training_sources
from covid_cxr.models.recalibrate import recalibrate
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
_PARITY_FILMS = 8


@dataclass(frozen=True)
class Fit:
    """What one half of the patients asked for.

    Attributes:
        line: slope (under 1 where the bundle was too sure of itself) and shift of COVID-19's
            logit (below 0 where it is rarer here than forecasts say).
        threshold: on the new probability of COVID-19.
    """

    line: Recalibration
    threshold: float


def deal_patients(rows: pd.DataFrame, share: float, seed: int) -> NDArray[np.bool_]:
    """Return which films (N,) to fit to: whole patients, stratified by source and finding."""
    everything = pd.Series(True, index=rows.index)
    return np.asarray(deal(rows, everything, (share, 1 - share), seed) == 0)


def fit(
    rows: pd.DataFrame,
    predictions: Sequence[Prediction],
    fitted: NDArray[np.bool_],
    manifest: Manifest,
    config: EvaluationConfig,
) -> Fit | str:
    """Return slope, shift and threshold for the films to fit to, or why there is none.

    Args:
        rows: of the cohort (N).
        predictions: the bundle's answers to them.
        fitted: (N,) as `deal_patients` returns it.
        manifest: of the bundle.
        config: the threshold rule.
    """
    classes, covid = manifest.classes, manifest.classes.index(COVID)
    answered = [place for place, each in enumerate(predictions) if each.status == "ok"]
    taken = [place for place in answered if fitted[place]]
    chosen = rows.iloc[taken]
    labels = np.array([classes.index(class_of(each, manifest.task)) for each in chosen["finding"]])
    patients = chosen["patient_id"].to_numpy()
    held = [len(set(patients[labels == covid])), len(set(patients[labels != covid]))]
    if min(held) < FEWEST:
        return (
            f"the films to fit to come from {held[0]} patients with COVID-19 and {held[1]} "
            f"without, expected {FEWEST} of each or more"
        )
    scores = [list(predictions[place].probabilities.values()) for place in taken]
    # The log of the probabilities is the logits but for a constant a film.
    logits = np.log(np.maximum(scores, _TINY))
    line = fit_recalibration(logits, labels, covid)
    if not line.slope > 0:
        return (
            f"the slope of the calibration is {line.slope:.3f}, expected more than 0: here, films "
            "with COVID-19 are not forecast higher than others, which no recalibration mends"
        )
    moved = softmax(line.of(logits, covid))[:, covid]
    threshold = choose_threshold(labels == covid, moved, config.threshold, config.min_sensitivity)
    return Fit(line, threshold)


def write(made: Bundle, out: Path, found: Fit, rows: pd.DataFrame, command: str) -> Bundle:
    """Write the recalibrated bundle to `out`; `rows` of the cohort were fitted to."""
    return recalibrate(
        made,
        out,
        slope=found.line.slope,
        shift=found.line.shift,
        threshold=found.threshold,
        fitted_to=training_sources(rows),
        command=command,
    )


def record(
    made: Bundle,
    new: Bundle,
    fitted: Fit,
    rows: pd.DataFrame,
    *,
    share: float,
    before: RecalibrationScores,
    after: RecalibrationScores,
) -> RecalibrationMetrics:
    """Return what was changed, the images (`rows`) it was fitted to, and the scores of others."""
    return RecalibrationMetrics(
        derived_from=made.id,
        slope=round(fitted.line.slope, 6),
        shift=round(fitted.line.shift, 6),
        threshold=ThresholdChange(before=made.manifest.threshold, after=new.manifest.threshold),
        fit=Counts(
            n=len(rows),
            patients=int(rows["patient_id"].nunique()),
            events=int((rows["finding"] == COVID).sum()),
        ),
        share=share,
        before=before,
        after=after,
    )


def brief(split: SplitMetrics) -> RecalibrationScores:
    """Return the scores that recalibration may change."""
    calibration = split.calibration
    return RecalibrationScores(
        n=split.n,
        patients=split.patients,
        events=split.events,
        auroc=split.pooled.auroc,
        sensitivity=split.pooled.sensitivity,
        specificity=split.pooled.specificity,
        brier=split.pooled.brier,
        slope=calibration.slope if calibration else None,
        intercept=calibration.intercept if calibration else None,
        ece=calibration.ece if calibration else None,
    )


def check_parity(
    before: Predictor, made: Bundle, paths: Sequence[str], root: Path, found: Fit
) -> None:
    """Hold the new graph to the arithmetic that it stands for, on the first films that are read.

    Raises:
        CovidCxrError: logits, probabilities, embeddings or class maps differ by more than 1e-4,
            so that the bundle must not be used.
    """
    films = _films(before, paths, root)
    old, new = before.runtime.run(films), Runtime(made).run(films)
    covid = made.manifest.classes.index(COVID)
    for name, expected in _expected(old, found, covid).items():
        answer: Any = getattr(new, name)
        difference = float(np.abs(answer - expected).max() / max(1.0, np.abs(expected).max()))
        if not difference <= PARITY:
            raise CovidCxrError(
                f"the recalibrated graph's {name} differ by {difference:.2g} from what they should "
                f"be, at most {PARITY:g} is allowed; the bundle in '{made.folder}' must not be used"
            )


def _expected(old: Outputs, found: Fit, covid: int) -> dict[str, Any]:
    logits = found.line.of(old.logits, covid)
    answers = {"logits": logits, "probabilities": softmax(logits), "embedding": old.embedding}
    return answers if old.cam is None else answers | {"cam": found.line.slope * old.cam}


def _films(predictor: Predictor, paths: Sequence[str], root: Path) -> FloatArray:
    """Return the first films that can be read, preprocessed (n, 1, S, S)."""
    films: list[FloatArray] = []
    for path in paths:
        try:
            films.append(predictor.prepare(predictor.read(root / path)).image)
        except UnreadableImage:
            continue
        if len(films) == _PARITY_FILMS:
            break
    return np.stack(films)
