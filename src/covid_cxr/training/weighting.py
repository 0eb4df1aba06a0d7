"""How much each film counts, so that no class and no source is learned for its number alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def within_sources(
    labels: NDArray[np.int64], sources: NDArray[np.str_] | None = None
) -> NDArray[np.float64]:
    """Return the weight of each film (N,), of mean 1.

    Sources that hold both COVID-19 and others are one half, where a class cannot be told by its
    source; sources of one kind only are the other half. In either, COVID-19 and the rest weigh the
    same, whatever their numbers. A half that is empty leaves all weight to the other.

    Args:
        labels: (N,) class numbers; the last class is COVID-19.
        sources: (N,) where each film comes from; None: all from one.

    >>> within_sources(np.array([1, 0, 0, 1]), np.array(["a", "a", "b", "c"])).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> within_sources(np.array([1, 1, 1, 0])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    covid = labels == labels.max(initial=0)
    origin = np.zeros(len(labels), np.int64)
    if sources is not None:
        origin = np.unique(sources, return_inverse=True)[1]
    with_covid = np.bincount(origin, weights=covid)[origin]
    mixed = (with_covid > 0) & (with_covid < np.bincount(origin)[origin])
    _, group, size = np.unique(2 * mixed + covid, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = len(labels) / (len(size) * size[group])
    return weights
