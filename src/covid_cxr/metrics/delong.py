"""AUROC with an interval in closed form, for cases that come in clusters (patients).

DeLong, DeLong and Clarke-Pearson (1988) in the form that Obuchowski gave it for clustered data
("Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997): sums over the cases
of a cluster take the place of cases, and a cluster that holds events and others adds their
covariance. With one case a cluster it is DeLong's. Placements come from midranks in O(N log N)
(Sun and Xu, "Fast implementation of DeLong's algorithm", 2014).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.intervals import (
    TAILS,
    Interval,
    clopper_pearson,
    cluster_numbers,
    logit_interval,
)
from covid_cxr.metrics.scores import Array

_TINY = 1e-12


class Difference(NamedTuple):
    """A difference of two areas, its interval, and p of no difference; NaN where undefined."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan


def clustered_auroc(labels: ArrayLike, scores: ArrayLike, clusters: ArrayLike) -> Interval:
    """Return the AUROC with an interval from Obuchowski's variance, on the logit scale.

    Student's t with one degree of freedom fewer than there are clusters of the rarer class
    replaces the normal, because the variance is estimated from so many. A ranking without any error
    has no variance; its interval is Clopper and Pearson's for so many trials. A constant score
    has none either, and keeps its point of 0.5.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        scores: (N,) larger means more likely an event.
        clusters: (N,) patient of each case, any hashable kind.

    Returns:
        NaN unless both classes are present; an interval of NaN below two clusters of a class.
    """
    sums = _sums(labels, scores, clusters)
    if sums is None:
        return Interval()
    area, variance = sums.area, sums.variance()
    if np.isnan(variance):
        return Interval(area)
    if variance <= _TINY:
        perfect = min(area, 1 - area) < _TINY
        exact = clopper_pearson(area * sums.rarer, sums.rarer)
        return Interval(area, *(exact if perfect else (area, area)))
    return Interval(area, *logit_interval(area, np.sqrt(variance), sums.rarer))


def clustered_difference(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    clusters: ArrayLike,
) -> Difference:
    """Return AUROC of `scores_a` less that of `scores_b` on the same cases, paired.

    The p value is that of a two-sided test of no difference; both it and the interval use
    Student's t with one degree of freedom fewer than clusters of the rarer class. If both
    give the same ranking, the difference is 0 with p = 1.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        scores_a: (N,) larger means more likely an event.
        scores_b: (N,) likewise, of the same cases in the same order.
        clusters: (N,) patient of each case.
    """
    a, b = (_sums(labels, scores, clusters) for scores in (scores_a, scores_b))
    if a is None or b is None:
        return Difference()
    value, variance = a.area - b.area, a.less(b).variance()
    if np.isnan(variance):
        return Difference(value)
    if variance <= _TINY:
        same = abs(value) <= _TINY
        return Difference(value, value, value, 1.0 if same else 0.0)
    error, freedom = float(np.sqrt(variance)), a.rarer - 1
    reach = float(scipy.stats.t.ppf(TAILS[1], freedom)) * error
    p = 2 * float(scipy.stats.t.sf(abs(value) / error, freedom))
    return Difference(value, value - reach, value + reach, p)


class _Sums(NamedTuple):
    """Placements summed in each of M clusters, less their expectation, and the cases behind."""

    area: float
    event_part: Array  # (M,)
    other_part: Array  # (M,)
    events: NDArray[np.intp]  # (M,) cases a cluster
    others: NDArray[np.intp]  # (M,)

    @property
    def rarer(self) -> int:
        """Clusters of the class that fewer clusters hold."""
        return min(int((self.events > 0).sum()), int((self.others > 0).sum()))

    def less(self, other: _Sums) -> _Sums:
        """Return the sums of a difference of areas: the covariances follow from them."""
        return self._replace(
            area=self.area - other.area,
            event_part=self.event_part - other.event_part,
            other_part=self.other_part - other.other_part,
        )

    def variance(self) -> float:
        """Return Obuchowski's S10 / m + S01 / n + 2 S11 / (m n); NaN below two clusters a class."""
        if self.rarer < 2:
            return np.nan
        m, n = int(self.events.sum()), int(self.others.sum())
        with_events, with_others = int((self.events > 0).sum()), int((self.others > 0).sum())
        s10 = with_events / (with_events - 1) / m * float(self.event_part @ self.event_part)
        s01 = with_others / (with_others - 1) / n * float(self.other_part @ self.other_part)
        clusters = self.events.size
        s11 = clusters / (clusters - 1) * float(self.event_part @ self.other_part)
        return s10 / m + s01 / n + 2 * s11 / (m * n)


def _sums(labels: ArrayLike, scores: ArrayLike, clusters: ArrayLike) -> _Sums | None:
    """Return the sums by cluster; None unless both classes are present."""
    event = np.asarray(labels, dtype=bool)
    if not event.any() or event.all():
        return None
    index = cluster_numbers(clusters)
    size = int(index.max()) + 1
    placement = _placements(event, np.asarray(scores, dtype=np.float64))
    area = float(placement[event].mean())

    def summed(chosen: NDArray[np.bool_]) -> Array:
        parts = np.bincount(index[chosen], weights=placement[chosen] - area, minlength=size)
        return parts.astype(np.float64)

    counts = (np.bincount(index[chosen], minlength=size) for chosen in (event, ~event))
    return _Sums(area, summed(event), summed(~event), *counts)


def _placements(event: NDArray[np.bool_], scores: Array) -> Array:
    """Return, for each case (N,), the share of the other class that it is ranked right against."""
    rank = scipy.stats.rankdata(scores)  # midranks: a tie counts half
    within = np.empty_like(rank)
    for side in (event, ~event):
        within[side] = scipy.stats.rankdata(scores[side])
    events, others = int(event.sum()), int((~event).sum())
    below = rank - within  # cases of the other class below, ties half
    result: Array = np.where(event, below / others, 1 - below / events)
    return result
