"""Decision curve analysis: the net benefit of acting on the model, on all cases, or on none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covid_cxr.metrics.scores import Array, cumulative_counts


class NetBenefit(NamedTuple):
    """Net benefit a case (D, T), in true positives; treating none has 0."""

    model: Array
    treat_all: Array


def net_benefit(
    labels: ArrayLike,
    probabilities: ArrayLike,
    thresholds: ArrayLike,
    weights: Array | None = None,
) -> NetBenefit:
    """Return the net benefit of acting where probability >= threshold, and of acting on all.

    At threshold t it is the share of true positives less that of false positives times
    t / (1 - t), the harm of a needless action in units of a needed one (Vickers and Elkin,
    "Decision curve analysis", 2006).

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1].
        thresholds: (T,) probabilities in [0, 1); NaN elsewhere.
        weights: (D, N) case weights >= 0; None: every case counts once (D = 1).

    Returns:
        (D, T) each; NaN without cases.
    """
    at = np.asarray(thresholds, dtype=np.float64)
    within = (at >= 0) & (at < 1)
    harm = np.divide(at, 1 - at, out=np.full(at.shape, np.nan), where=within)
    distinct, true, false = cumulative_counts(labels, probabilities, weights)
    # `distinct` falls; as many are called as are at or above the threshold.
    called = np.searchsorted(-distinct, -at, side="right")
    total = (true[:, -1] + false[:, -1])[:, None]
    size = np.where(total > 0, total, np.nan)
    return NetBenefit(
        (true[:, called] - harm * false[:, called]) / size,
        (true[:, -1:] - harm * false[:, -1:]) / size,
    )
