"""Intervals of single scores: the record, and closed forms (logit scale, Clopper-Pearson)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from covid_cxr.metrics.scores import Array

TAILS = (0.025, 0.975)  # of every 95 % interval


class Interval(NamedTuple):
    """A score on the cases as they are, with the ends of its 95 % interval; NaN where undefined."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan


class Paired(NamedTuple):
    """A score of two forecasts of the same cases, and the first less the second."""

    first: Interval
    second: Interval
    difference: Interval


def logit_interval(value: float, error: float, trials: int) -> tuple[float, float]:
    """Return the interval of a proportion or an area by its standard error on the logit scale.

    It stays within 0 and 1 and leans away from the nearer of them, as the sampling does (Pepe,
    "The statistical evaluation of medical tests", 2003, 5.2). Student's t with `trials` - 1
    degrees of freedom pays for an error that is itself estimated.

    Args:
        value: in (0, 1).
        error: its standard error, over 0.
        trials: independent trials behind it, 2 or more.
    """
    reach = float(scipy.stats.t.ppf(TAILS[1], trials - 1)) * error / (value * (1 - value))
    low, high = expit(logit(value) + np.array([-reach, reach]))
    return float(low), float(high)


def binary_support(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, clusters: ArrayLike
) -> dict[str, int]:
    """Return how many independent clusters stand behind each proportion of `binary_scores`.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1].
        threshold: the operating point.
        clusters: (N,) patient of each case.
    """
    event = np.asarray(labels, dtype=bool)
    called = np.asarray(probabilities) >= threshold
    index = cluster_numbers(clusters)

    def count(cases: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(np.bincount(index[cases])))

    rarer = min(count(event), count(~event))
    return {
        "auroc": rarer,
        "auprc": rarer,
        "sensitivity": count(event),
        "specificity": count(~event),
        "ppv": count(called),
        "npv": count(~called),
        "f1": count(event | called),
        "accuracy": count(np.ones_like(event)),
    }


def clopper_pearson(successes: float, trials: int) -> tuple[float, float]:
    """Return the exact binomial interval (Clopper and Pearson 1934); NaN without trials."""
    if trials == 0:
        return np.nan, np.nan
    failures = trials - successes
    low = scipy.stats.beta.ppf(TAILS[0], successes, failures + 1) if successes > 0 else 0.0
    high = scipy.stats.beta.ppf(TAILS[1], successes + 1, failures) if failures > 0 else 1.0
    return float(low), float(high)


def standard_deviation_interval(values: Array) -> Interval:
    """Return the standard deviation of normally distributed values (N,), from chi-squared."""
    freedom = values.size - 1
    deviation = float(values.std(ddof=1))
    high, low = deviation * np.sqrt(freedom / scipy.stats.chi2.ppf(TAILS, freedom))
    return Interval(deviation, float(low), float(high))


def cluster_numbers(clusters: ArrayLike) -> NDArray[np.intp]:
    """Return the number 0..M-1 of each case's cluster (N,), in the order of their sorted names."""
    names = np.asarray(clusters).tolist()
    number = {name: i for i, name in enumerate(sorted(set(names)))}
    return np.fromiter((number[name] for name in names), dtype=np.intp, count=len(names))
