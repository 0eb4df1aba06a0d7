"""Weights of images: within their class in training, and in the fit of the temperature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]


def normalise_within_class(labels: NDArray[np.int64], multipliers: Weights) -> Weights:
    """Return multipliers (N,) scaled to a mean of 1 in each class: class weights stay the same.

    >>> normalise_within_class(np.array([0, 0, 1]), np.array([0.5, 1.5, 3.0])).tolist()
    [0.5, 1.5, 1.0]
    """
    sums, counts = np.bincount(labels, weights=multipliers), np.bincount(labels)
    weights: Weights = multipliers * counts[labels] / sums[labels]
    return weights


def mixed_source_weights(
    labels: NDArray[np.int64], sources: NDArray[np.str_] | None = None
) -> Weights:
    """Return weights (N,) of mean 1 that are 0 outside sources with both COVID-19 and others.

    Inside them COVID-19 and the rest weigh the same. Calibration is learned from these sources:
    telling one source's images from another's makes no forecast at a single hospital more certain.
    Where no source has both, all images are weighted as if from one source.

    Args:
        labels: (N,) class numbers; the last class is COVID-19.
        sources: (N,) source of each image; None: all from one.

    >>> mixed_source_weights(np.array([1, 0, 0, 1]), np.array(["a", "a", "b", "c"])).tolist()
    [2.0, 2.0, 0.0, 0.0]
    >>> mixed_source_weights(np.array([1, 1, 1, 0])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    covid = labels == labels.max(initial=0)
    chosen = _in_mixed_source(covid, sources)
    if not chosen.any():
        chosen = np.ones(len(labels), np.bool_)
    weights = np.zeros(len(labels))
    groups = [group for group in (covid & chosen, ~covid & chosen) if group.any()]
    for group in groups:
        weights[group] = len(labels) / (len(groups) * group.sum())
    return weights


def _in_mixed_source(
    covid: NDArray[np.bool_], sources: NDArray[np.str_] | None
) -> NDArray[np.bool_]:
    """Return for each image (N,) whether its source has both COVID-19 and others."""
    origin = np.zeros(len(covid), np.int64)
    if sources is not None:
        origin = np.unique(sources, return_inverse=True)[1]
    with_covid = np.bincount(origin, weights=covid)[origin]
    mixed: NDArray[np.bool_] = (with_covid > 0) & (with_covid < np.bincount(origin)[origin])
    return mixed
