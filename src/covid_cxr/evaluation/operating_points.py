"""Whether probabilities can be believed, and what acting on them is worth: numbers of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from covid_cxr.metrics.within_source import within_source_auroc

# Beside the frozen one; round numbers, so that nobody chose them on these cases.
THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
PREVALENCES = (0.01, 0.05, 0.1, 0.2, 0.5)
_GRID = np.arange(1, 100) / 100

_NAMES = {"slope": "calibration_slope", "intercept": "calibration_intercept", "ece": "ece"}


def calibration_by_source(cases: Cases, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return `calibration` of each source with both classes; empty where there is one source.

    Pooled forecasts can come true on the whole while one source's are too high and another's too
    low. A block also holds `n`, `events` and `patients`.
    """
    names = sorted(set(cases.sources))
    if len(names) < 2:
        return {}
    parts = {str(name): cases.where(cases.sources == name) for name in names}
    return {
        name: {
            "n": int(part.labels.size),
            "events": int(part.events.sum()),
            "patients": len(set(part.patients)),
            **found,
        }
        for name, part in parts.items()
        if (found := calibration(part, bootstrap)) is not None
    }


def calibration(cases: Cases, bootstrap: Bootstrap) -> dict[str, Any] | None:
    """Return how far probabilities of COVID-19 can be believed; None without both classes.

    Returns:
        `slope`, `intercept` and `ece` (debiased calibration error) as intervals over patients (see
        `covid_cxr.metrics.calibration_scores`), and `bins`: for the reliability diagram, each
        `forecast`, `observed` and `images`.
    """
    if not cases.both_classes:
        return None

    def statistic(weights: Array | None) -> Scores:
        return calibration_scores(cases.events, cases.scores, weights)

    found = bootstrap.intervals(statistic, cases.patients)
    bins = zip(*reliability(cases.events, cases.scores), strict=True)
    return {
        **{name: as_json(found[key]) for name, key in _NAMES.items()},
        "bins": [
            {"forecast": rounded(x), "observed": rounded(y), "images": int(n)} for x, y, n in bins
        ],
    }


def thresholds(
    cases: Cases,
    frozen: float,
    bootstrap: Bootstrap,
    *,
    prevalences: Sequence[float] = PREVALENCES,
) -> list[dict[str, Any]]:
    """Return what the frozen threshold and a few others mean where COVID-19 is rare or common.

    Predictive values follow from sensitivity and specificity by Bayes' rule, in every resample.

    Args:
        cases: of one split.
        frozen: the threshold that was fixed on validation; comes first.
        bootstrap: over patients.
        prevalences: shares with COVID-19, each in (0, 1).

    Returns:
        One row a threshold: `threshold`, `frozen`, `called` (share of images), `sensitivity` and
        `specificity` as intervals, and `at`: for each of `prevalences` the `prevalence`, `ppv` and
        `npv`. Empty without both classes.
    """
    if not cases.both_classes:
        return []
    return [
        row(cases, threshold, prevalences, bootstrap) | {"frozen": number == 0}
        for number, threshold in enumerate((frozen, *THRESHOLDS))
    ]


def decision(cases: Cases, bootstrap: Bootstrap) -> dict[str, Any] | None:
    """Return the decision curve; None without both classes.

    Returns:
        `threshold` (T,) probabilities, `model` (T,), `treat_all` (T,): net benefit in true
        positives an image, treating none having 0; `low` and `high` (T,): the model's interval
        over patients.
    """
    if not cases.both_classes:
        return None
    names = [f"{at:.2f}" for at in _GRID]

    def statistic(weights: Array | None) -> Scores:
        found = net_benefit(cases.events, cases.scores, _GRID, weights).model
        return dict(zip(names, found.T, strict=True))

    found = bootstrap.intervals(statistic, cases.patients)
    ends = [found[name] for name in names]
    everyone = net_benefit(cases.events, cases.scores, _GRID).treat_all[0]
    return {
        "threshold": [rounded(at) for at in _GRID],
        "model": [rounded(end.value) for end in ends],
        "low": [rounded(end.low) for end in ends],
        "high": [rounded(end.high) for end in ends],
        "treat_all": [rounded(value) for value in everyone],
    }


def within(cases: Cases, groups: NDArray[Any], bootstrap: Bootstrap) -> dict[str, Any] | None:
    """Return the AUROC over pairs of films of the same group; None where no group has both classes.

    Whoever only tells the groups apart scores 0.5: the covariate-adjusted AUROC of Janes and Pepe
    ("Adjusting for covariate effects on classification accuracy", 2009), each group weighted by
    its pairs.

    Args:
        cases: of one split.
        groups: (N,) group of each case.
        bootstrap: over patients.

    Returns:
        {value, low, high} and the number of `groups` with both classes and `pairs`.
    """
    names = sorted(set(groups))
    codes = np.unique(groups.astype(str), return_inverse=True)[1]
    n_pairs = np.bincount(codes, cases.events) * np.bincount(codes, ~cases.events)
    if len(names) < 2 or not n_pairs.any():
        return None

    def statistic(weights: Array | None) -> Scores:
        return {"auroc": within_source_auroc(cases.events, cases.scores, codes, weights)}

    chosen = cases.where(n_pairs[codes] > 0)
    support = binary_support(chosen.events, chosen.scores, 0.5, chosen.patients)
    kept = {"auroc": support["auroc"]}
    found = bootstrap.intervals(statistic, cases.patients, support=kept)
    counts = {"groups": int(np.count_nonzero(n_pairs)), "pairs": int(n_pairs.sum())}
    return as_json(found["auroc"]) | counts


def as_json(interval: Interval) -> dict[str, float | None]:
    """Return an interval as {value, low, high}, None where it is undefined."""
    return {name: rounded(x) for name, x in interval._asdict().items()}


def row(
    cases: Cases, threshold: float, prevalences: Sequence[float], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return one row of `thresholds`, all but `frozen`; `cases` must not be empty."""
    events = cases.events.astype(np.float64)
    called = (cases.scores >= threshold).astype(np.float64)
    columns = np.stack([events, 1 - events, events * called, (1 - events) * (1 - called)], axis=1)

    def statistic(weights: Array | None) -> Scores:
        w = np.ones((1, events.size)) if weights is None else weights
        diseased, others, hits, quiet = (w @ columns).T
        se, sp = ratio(hits, diseased), ratio(quiet, others)
        scores = {"sensitivity": se, "specificity": sp}
        for share in prevalences:
            values = predictive_values(se, sp, share)
            scores |= {f"ppv {share}": values.ppv, f"npv {share}": values.npv}
        return scores

    support = binary_support(cases.events, cases.scores, threshold, cases.patients)
    kept = {name: support[name] for name in ("sensitivity", "specificity")}
    found = bootstrap.intervals(statistic, cases.patients, support=kept)
    return {
        "threshold": rounded(threshold),
        "called": rounded(called.mean()),
        **{name: as_json(found[name]) for name in kept},
        "at": [
            {
                "prevalence": share,
                **{key: as_json(_predictive(found, key, share)) for key in ("ppv", "npv")},
            }
            for share in prevalences
        ],
    }


def _predictive(found: Mapping[str, Interval], key: str, prevalence: float) -> Interval:
    """Return a predictive value with its interval.

    Where sensitivity or specificity is 0 or 1 its resamples agree and would claim certainty;
    then the ends follow from the ends of both, in which predictive values rise.
    """
    interval = found[f"{key} {prevalence}"]
    se, sp = found["sensitivity"], found["specificity"]
    if 0 < se.value < 1 and 0 < sp.value < 1:
        return interval
    low = getattr(predictive_values(se.low, sp.low, prevalence), key)
    high = getattr(predictive_values(se.high, sp.high, prevalence), key)
    return Interval(interval.value, float(low), float(high))


def rounded(value: float) -> float | None:
    """Return six decimals, as JSON is written; None for NaN."""
    return None if np.isnan(value) else round(float(value), 6)
