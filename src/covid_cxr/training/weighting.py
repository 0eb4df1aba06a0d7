"""How much each film counts, so that no class and no source is learned for its number alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def within_sources(
    labels: NDArray[np.int64],
    sources: NDArray[np.str_] | None = None,
    multipliers: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the weight of each film (N,), of mean 1.

    Sources that hold both COVID-19 and others are one half, where a class cannot be told by its
    source; sources of one kind only are the other half. In either, COVID-19 and the rest weigh the
    same, whatever their numbers. A half that is empty leaves all weight to the other.

    Args:
        labels: (N,) class numbers; the last class is COVID-19.
        sources: (N,) where each film comes from; None: all from one.
        multipliers: (N,) above 0, how much a film weighs against others of its quarter.

    >>> within_sources(np.array([1, 0, 0, 1]), np.array(["a", "a", "b", "c"])).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> within_sources(np.array([1, 1, 1, 0])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    covid = labels == labels.max(initial=0)
    group = 2 * _both_kinds(covid, sources) + covid
    names, group = np.unique(group, return_inverse=True)
    factors = np.ones(len(labels)) if multipliers is None else multipliers
    held = np.bincount(group, weights=factors)
    weights: NDArray[np.float64] = len(labels) * factors / (len(names) * held[group])
    return weights


def where_both(
    labels: NDArray[np.int64], sources: NDArray[np.str_] | None = None
) -> NDArray[np.float64]:
    """Return weights (N,) of mean 1 that are 0 outside the sources that hold both kinds.

    There COVID-19 and the rest weigh the same. How sure a model may be is learned from them: that
    it tells one source's films from another's makes no forecast at one hospital any surer. All
    films weigh as if from one source where no source holds both.

    Args:
        labels, sources: as for `within_sources`.

    >>> where_both(np.array([1, 0, 0, 1]), np.array(["a", "a", "b", "c"])).tolist()
    [2.0, 2.0, 0.0, 0.0]
    """
    covid = labels == labels.max(initial=0)
    both = _both_kinds(covid, sources)
    if not both.any():
        return within_sources(labels)
    weights = np.zeros(len(labels))
    weights[both] = within_sources(covid[both].astype(np.int64)) * len(labels) / both.sum()
    return weights


def _both_kinds(covid: NDArray[np.bool_], sources: NDArray[np.str_] | None) -> NDArray[np.bool_]:
    """Tell for each film (N,) whether its source holds COVID-19 and others."""
    origin = np.zeros(len(covid), np.int64)
    if sources is not None:
        origin = np.unique(sources, return_inverse=True)[1]
    with_covid = np.bincount(origin, weights=covid)[origin]
    both: NDArray[np.bool_] = (with_covid > 0) & (with_covid < np.bincount(origin)[origin])
    return both
