"""Calibration: whether a predicted probability of 20 % comes true one time in five.

Temperature scaling (Guo et al. 2017, arXiv:1706.04599), reliability bins and calibration error;
slope and intercept are in `recalibration`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from scipy.special import softmax as _softmax

from covid_cxr.metrics.scores import Array, ratio

TEMPERATURES = (0.05, 20.0)  # searched


class Reliability(NamedTuple):
    """Mean forecast and observed share of events in bins (B,) of at least one case."""

    forecast: Array
    observed: Array
    cases: NDArray[np.int64]


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """Return probabilities (N, C) of logits (N, C) divided by the temperature."""
    return np.asarray(_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1))


def fit_temperature(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Return the temperature that gives the least log loss on (validation) cases.

    Over 1 where the model is overconfident. A case of a class seen n times counts as that
    class with (n + 1) / (n + C) only, and as each other class with 1 / (n + C), after Platt
    ("Probabilistic outputs for support vector machines", 1999): a few perfectly separated cases
    must not make a model certain. Searched between 0.05 and 20 on a log scale.

    Args:
        logits: (N, C) at temperature 1.
        labels: (N,) class index 0..C-1.
        weights: (N,) of the cases, those of weight 0 are left out; None: all the same.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.intp)
    w = np.ones(y.size) if weights is None else np.asarray(weights, dtype=np.float64)
    z, y, w = z[w > 0], y[w > 0], w[w > 0, None]
    targets = w * softened(y, z.shape[1])

    def loss(log_temperature: float) -> float:
        return -float(np.mean(targets * log_softmax(z / np.exp(log_temperature), axis=1)))

    bounds = tuple(np.log(TEMPERATURES))
    optimum = scipy.optimize.minimize_scalar(
        loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(optimum.x))


def softened(labels: NDArray[np.intp], classes: int) -> Array:
    """Return Platt's targets (N, C) for class numbers (N,); each row sums to 1."""
    count = np.bincount(labels, minlength=classes)[labels][:, None]
    return (np.eye(classes)[labels] * count + 1) / (count + classes)


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> Reliability:
    """Return mean forecast and observed share of events in bins of equal width.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1]; the last bin includes 1.
        bins: number of bins over [0, 1]; empty ones are left out.
    """
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(probabilities, dtype=np.float64)
    which = np.minimum((p * bins).astype(np.intp), bins - 1)
    count = np.bincount(which, minlength=bins)
    filled = count > 0
    forecast = np.bincount(which, weights=p, minlength=bins)[filled] / count[filled]
    observed = np.bincount(which, weights=y, minlength=bins)[filled] / count[filled]
    return Reliability(forecast, observed, count[filled])


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, weights: Array | None = None
) -> Array:
    """Return the root mean square calibration error, less what chance alone would cause.

    Cases are put into bins of equal numbers by their forecast. In a bin of n cases the squared
    distance of mean forecast and observed share o is larger than the truth by o (1 - o) / (n - 1)
    on average, which is taken off (Kumar, Liang and Ma, "Verified uncertainty calibration", 2019,
    arXiv:1909.10155): the plain error of perfect forecasts grows with the number of bins. What
    remains is 0 where chance explains all. Chance is that of independent cases.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1].
        bins: as many or fewer: equal forecasts share a bin, and a bin holds two cases at least.
        weights: (D, N) case weights >= 0; None: every case counts once (D = 1).

    Returns:
        (D,) in [0, 1]; NaN where no bin holds two cases.
    """
    return np.sqrt(np.maximum(squared_error(labels, probabilities, bins, weights), 0))


def squared_error(
    labels: ArrayLike,
    probabilities: ArrayLike,
    bins: int = 10,
    weights: Array | None = None,
    *,
    corrections: float = 1.0,
) -> Array:
    """Return the square (D,) behind `expected_calibration_error`: unbiased, so it may be below 0.

    Args:
        labels, probabilities, bins, weights: as there.
        corrections: how often the sampling variance is subtracted. Bootstrap resamples contain it
            twice, that of the sample and that of the resample: 2 centres them.
    """
    y = np.asarray(labels, dtype=np.float64)
    p = np.asarray(probabilities, dtype=np.float64)
    w = np.ones((1, y.size)) if weights is None else weights
    member = _equal_bins(p, bins)  # (N, B)
    count, events, forecast = w @ member, (w * y) @ member, (w * p) @ member
    counted = count > 1
    size = np.where(counted, count, np.nan)
    observed = events / size
    noise = observed * (1 - observed) / (size - 1)
    squares = (forecast / size - observed) ** 2 - corrections * noise
    return ratio(np.nansum(count * squares, axis=1), np.where(counted, count, 0).sum(axis=1))


def _equal_bins(p: Array, bins: int) -> Array:
    """Return which bin (N, B) a case is in, 1 or 0: equal numbers of cases, ties together."""
    bins = max(1, min(bins, p.size // 2))
    order = np.sort(p)
    edges = np.unique(order[(np.arange(1, bins) * p.size) // bins])
    which = np.searchsorted(edges, p, side="right")
    return np.asarray(np.eye(edges.size + 1)[which])
