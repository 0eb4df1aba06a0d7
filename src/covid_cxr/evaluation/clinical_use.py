"""Calibration, and what a threshold means in use: sensitivity, predictive values, net benefit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import (
    Bootstrap,
    Interval,
    binary_support,
    calibration_scores,
    net_benefit,
    predictive_values,
    reliability,
)
from covid_cxr.metrics.scores import Array, Scores, ratio
from covid_cxr.results import Estimate, rounded
from covid_cxr.results.clinical_use import (
    Calibration,
    DecisionCurve,
    OperatingPoint,
    PredictiveValues,
    ReliabilityBin,
    SourceCalibration,
)

# Beside the one fixed on validation; round numbers, so that nobody chose them on these cases.
THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
PREVALENCES = (0.01, 0.05, 0.1, 0.2, 0.5)
_THRESHOLD_PROBABILITIES = np.arange(1, 100) / 100


def operating_points(
    cases: Cases,
    threshold: float,
    bootstrap: Bootstrap,
    *,
    prevalences: Sequence[float] = PREVALENCES,
) -> tuple[OperatingPoint, ...]:
    """Return what a threshold and those of `THRESHOLDS` mean; empty without both classes.

    Args:
        cases: of one split.
        threshold: the one that was fixed on validation; comes first.
        bootstrap: over patients.
        prevalences: shares with COVID-19 to give predictive values for, each in (0, 1).
    """
    if not cases.both_classes:
        return ()
    return tuple(
        operating_point(cases, at, prevalences, bootstrap, is_frozen=number == 0)
        for number, at in enumerate((threshold, *THRESHOLDS))
    )


def operating_point(
    cases: Cases,
    threshold: float,
    prevalences: Sequence[float],
    bootstrap: Bootstrap,
    *,
    is_frozen: bool,
) -> OperatingPoint:
    """Return what one threshold means; `cases` must not be empty.

    Predictive values follow from sensitivity and specificity by Bayes' rule, in every resample.
    """
    events = cases.events.astype(np.float64)
    called = (cases.scores >= threshold).astype(np.float64)
    columns = np.stack([events, 1 - events, events * called, (1 - events) * (1 - called)], axis=1)

    def statistic(weights: Array | None) -> Scores:
        w = np.ones((1, events.size)) if weights is None else weights
        positives, negatives, true_positives, true_negatives = (w @ columns).T
        se = ratio(true_positives, positives)
        sp = ratio(true_negatives, negatives)
        scores = {"sensitivity": se, "specificity": sp}
        for share in prevalences:
            values = predictive_values(se, sp, share)
            scores |= {f"ppv {share}": values.ppv, f"npv {share}": values.npv}
        return scores

    support = binary_support(cases.events, cases.scores, threshold, cases.patients)
    trials = {name: support[name] for name in ("sensitivity", "specificity")}
    intervals = bootstrap.intervals(statistic, cases.patients, support=trials)
    return OperatingPoint(
        threshold=round(threshold, 6),
        is_frozen=is_frozen,
        called=round(float(called.mean()), 6),
        sensitivity=Estimate.of(*intervals["sensitivity"]),
        specificity=Estimate.of(*intervals["specificity"]),
        at=tuple(
            PredictiveValues(
                prevalence=share,
                ppv=Estimate.of(*_predictive_value(intervals, "ppv", share)),
                npv=Estimate.of(*_predictive_value(intervals, "npv", share)),
            )
            for share in prevalences
        ),
    )


def decision_curve(cases: Cases, bootstrap: Bootstrap) -> DecisionCurve | None:
    """Return the net benefit by threshold probability; None without both classes."""
    if not cases.both_classes:
        return None
    names = [f"{at:.2f}" for at in _THRESHOLD_PROBABILITIES]

    def statistic(weights: Array | None) -> Scores:
        benefit = net_benefit(cases.events, cases.scores, _THRESHOLD_PROBABILITIES, weights)
        return dict(zip(names, benefit.model.T, strict=True))

    intervals = bootstrap.intervals(statistic, cases.patients)
    curve = [intervals[name] for name in names]
    treat_all = net_benefit(cases.events, cases.scores, _THRESHOLD_PROBABILITIES).treat_all[0]
    return DecisionCurve(
        threshold=tuple(round(float(at), 6) for at in _THRESHOLD_PROBABILITIES),
        model=tuple(rounded(point.value) for point in curve),
        low=tuple(rounded(point.low) for point in curve),
        high=tuple(rounded(point.high) for point in curve),
        treat_all=tuple(rounded(value) for value in treat_all),
    )


def calibration(cases: Cases, bootstrap: Bootstrap) -> Calibration | None:
    """Return the calibration of the probability of COVID-19; None without both classes.

    Slope, intercept and debiased calibration error are those of
    `covid_cxr.metrics.calibration_scores`, with intervals over patients.
    """
    if not cases.both_classes:
        return None

    def statistic(weights: Array | None) -> Scores:
        return calibration_scores(cases.events, cases.scores, weights)

    intervals = bootstrap.intervals(statistic, cases.patients)
    bins = zip(*reliability(cases.events, cases.scores), strict=True)
    return Calibration(
        slope=Estimate.of(*intervals["calibration_slope"]),
        intercept=Estimate.of(*intervals["calibration_intercept"]),
        ece=Estimate.of(*intervals["ece"]),
        bins=tuple(
            ReliabilityBin(forecast=round(float(p), 6), observed=round(float(o), 6), images=int(n))
            for p, o, n in bins
        ),
    )


def calibration_by_source(cases: Cases, bootstrap: Bootstrap) -> dict[str, SourceCalibration]:
    """Return the calibration in each source with both classes; empty where there is one source.

    Pooled forecasts can be calibrated while those of one source are too high and those of another
    too low.
    """
    names, by_source = sorted(set(cases.sources)), {}
    for name in names if len(names) > 1 else ():
        part = cases.where(cases.sources == name)
        if measured := calibration(part, bootstrap):
            by_source[str(name)] = SourceCalibration(**dict(part.counts), **dict(measured))
    return by_source


def _predictive_value(intervals: Mapping[str, Interval], name: str, prevalence: float) -> Interval:
    """Return a predictive value with its interval.

    Where sensitivity or specificity is 0 or 1 its resamples agree and would claim certainty; then
    the ends follow from the ends of both, in which predictive values rise.
    """
    interval = intervals[f"{name} {prevalence}"]
    se, sp = intervals["sensitivity"], intervals["specificity"]
    if 0 < se.value < 1 and 0 < sp.value < 1:
        return interval
    low = getattr(predictive_values(se.low, sp.low, prevalence), name)
    high = getattr(predictive_values(se.high, sp.high, prevalence), name)
    return Interval(interval.value, float(low), float(high))
