"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599) and reliability bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as _softmax

from covid_cxr.metrics.scores import Array

_COLDEST, _HOTTEST = 0.05, 20.0


class Reliability(NamedTuple):
    """What was forecast and what came true, in bins (B,) that hold at least one case."""

    forecast: Array
    observed: Array
    cases: NDArray[np.int64]


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Array:
    """Return probabilities (N, C) of logits (N, C) divided by the temperature."""
    return np.asarray(_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the temperature that gives the least log loss on (validation) cases.

    Over 1 where the model is too sure of itself. A case of a class seen n times counts as that
    class with (n + 1) / (n + C) only, and as each other class with 1 / (n + C), after Platt
    ("Probabilistic outputs for support vector machines", 1999): a few perfectly separated cases
    must not make a model certain. Searched between 0.05 and 20 on a log scale.

    Args:
        logits: (N, C) at temperature 1.
        labels: (N,) class index 0..C-1.
    """
    z = np.asarray(logits, dtype=np.float64)
    targets = _softened(np.asarray(labels, dtype=np.intp), z.shape[1])

    def loss(log_temperature: float) -> float:
        return -float(np.mean(targets * log_softmax(z / np.exp(log_temperature), axis=1)))

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _softened(labels: NDArray[np.intp], classes: int) -> Array:
    """Return Platt's targets (N, C); each row sums to 1."""
    seen = np.bincount(labels, minlength=classes)[labels][:, None]
    return (np.eye(classes)[labels] * seen + 1) / (seen + classes)


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
