"""How much each film counts: within its class in training, and in the fit of the temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


def within_class(labels: NDArray[np.int64], multipliers: Weights) -> Weights:
    """Return multipliers (N,) brought to a mean of 1 in each class, so that classes keep theirs.

    >>> within_class(np.array([0, 0, 1]), np.array([0.5, 1.5, 3.0])).tolist()
    [0.5, 1.5, 1.0]
    """
    held = np.bincount(labels, weights=multipliers)
    counts = np.bincount(labels)
    weights: Weights = multipliers * counts[labels] / held[labels]
    return weights


def where_both(labels: NDArray[np.int64], sources: NDArray[np.str_] | None = None) -> Weights:
    """Return weights (N,) of mean 1 that are 0 outside the sources that hold both kinds.

    There COVID-19 and the rest weigh the same. How sure a model may be is learned from them: that
    it tells one source's films from another's makes no forecast at one hospital any surer. All
    films weigh as if from one source where no source holds both.

    Args:
        labels: (N,) class numbers; the last class is COVID-19.
        sources: (N,) where each film comes from; None: all from one.

    >>> where_both(np.array([1, 0, 0, 1]), np.array(["a", "a", "b", "c"])).tolist()
    [2.0, 2.0, 0.0, 0.0]
    >>> where_both(np.array([1, 1, 1, 0])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    covid = labels == labels.max(initial=0)
    chosen = _both_kinds(covid, sources)
    if not chosen.any():
        chosen = np.ones(len(labels), np.bool_)
    weights = np.zeros(len(labels))
    kinds = [kind for kind in (covid & chosen, ~covid & chosen) if kind.any()]
    for kind in kinds:
        weights[kind] = len(labels) / (len(kinds) * kind.sum())
    return weights


def _both_kinds(covid: NDArray[np.bool_], sources: NDArray[np.str_] | None) -> NDArray[np.bool_]:
    """Tell for each film (N,) whether its source holds COVID-19 and others."""
    origin = np.zeros(len(covid), np.int64)
    if sources is not None:
        origin = np.unique(sources, return_inverse=True)[1]
    with_covid = np.bincount(origin, weights=covid)[origin]
    both: NDArray[np.bool_] = (with_covid > 0) & (with_covid < np.bincount(origin)[origin])
    return both
