"""ROC and precision-recall curves with their bootstrap bands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covid_cxr.metrics.bootstrap import Bootstrap
from covid_cxr.metrics.intervals import TAILS, cluster_numbers
from covid_cxr.metrics.scores import Array, cumulative_counts


class Curve(NamedTuple):
    """Points (K,) of a curve."""

    x: Array
    y: Array


class Band(NamedTuple):
    """Pointwise interval (G,) of a curve over a grid (G,)."""

    x: Array
    low: Array
    high: Array


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return 1 - specificity and sensitivity from (0, 0) to (1, 1); empty without both classes.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        scores: (N,) larger means more likely an event.
    """
    _, true, false = cumulative_counts(labels, scores)
    if true[0, -1] == 0 or false[0, -1] == 0:
        return Curve(np.empty(0), np.empty(0))
    return Curve(false[0] / false[0, -1], true[0] / true[0, -1])


def precision_recall_curve(labels: ArrayLike, scores: ArrayLike) -> Curve:
    """Return recall (sensitivity) and precision (PPV) from the highest score down; may be empty.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        scores: (N,) larger means more likely an event.
    """
    _, true, false = cumulative_counts(labels, scores)
    if true[0, -1] == 0:
        return Curve(np.empty(0), np.empty(0))
    hits, called = true[0, 1:], (true + false)[0, 1:]
    return Curve(hits / true[0, -1], hits / called)


def roc_band(
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: ArrayLike,
    bootstrap: Bootstrap,
) -> Band:
    """Return the pointwise bootstrap interval of sensitivity over 1 - specificity.

    Args:
        labels: (N,) 1 or True for an event, else 0; both must be present.
        scores: (N,) larger means more likely an event.
        clusters: (N,) patient of each case.
        bootstrap: of whole clusters; resamples with one class only are left out.
    """
    grid = np.linspace(0, 1, 101)
    curves = [
        np.interp(grid, false / false[-1], true / true[-1])
        for true, false in _resampled(labels, scores, clusters, bootstrap)
        if true[-1] > 0 and false[-1] > 0
    ]
    return _band(grid, curves)


def precision_recall_band(
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: ArrayLike,
    bootstrap: Bootstrap,
) -> Band:
    """Return the pointwise bootstrap interval of precision (PPV) over recall (sensitivity).

    The precision at a recall is that of the highest threshold that reaches it.

    Args:
        labels: (N,) 1 or True for an event, else 0; an event must be present.
        scores: (N,) larger means more likely an event.
        clusters: (N,) patient of each case.
        bootstrap: of whole clusters; resamples without events are left out.
    """
    grid = np.linspace(0, 1, 101)[1:]  # at recall 0 nothing is called, and precision undefined
    curves = []
    for true, false in _resampled(labels, scores, clusters, bootstrap):
        if true[-1] > 0:
            reached = np.searchsorted(true, grid * true[-1] * (1 - 1e-12))
            curves.append(true[reached] / (true[reached] + false[reached]))
    return _band(grid, curves)


def _resampled(
    labels: ArrayLike, scores: ArrayLike, clusters: ArrayLike, bootstrap: Bootstrap
) -> Iterator[tuple[Array, Array]]:
    """Yield the cumulative weights (K + 1,) of events and non-events in each resample."""
    for weights in bootstrap.weights(cluster_numbers(clusters)):
        _, true, false = cumulative_counts(labels, scores, weights)
        yield from zip(true, false, strict=True)


def _band(grid: Array, curves: list[Array]) -> Band:
    low, high = np.quantile(curves, TAILS, axis=0) if curves else np.full((2, grid.size), np.nan)
    return Band(grid, low, high)
