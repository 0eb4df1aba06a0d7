"""Whether probabilities can be taken at face value: overall and within sources."""

from __future__ import annotations

from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import Bootstrap, calibration_scores, reliability
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.results import Estimate
from covid_cxr.results.clinical_use import Calibration, ReliabilityBin, SourceCalibration


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
            ReliabilityBin(
                forecast=round(float(forecast), 6), observed=round(float(share), 6), images=int(n)
            )
            for forecast, share, n in bins
        ),
    )


def calibration_by_source(cases: Cases, bootstrap: Bootstrap) -> dict[str, SourceCalibration]:
    """Return the calibration in each source with both classes; empty where there is one source.

    Pooled forecasts can be calibrated while those of one source are too high and those of another
    too low.
    """
    names = sorted(set(cases.sources))
    if len(names) < 2:
        return {}
    by_source = {}
    for name in names:
        part = cases.where(cases.sources == name)
        measured = calibration(part, bootstrap)
        if measured is not None:
            by_source[str(name)] = SourceCalibration(**dict(part.counts), **dict(measured))
    return by_source
