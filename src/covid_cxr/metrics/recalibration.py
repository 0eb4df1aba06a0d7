"""Logistic recalibration: a linear map from forecast log-odds to observed log-odds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax, logit

from covid_cxr.metrics.calibration import softened, softmax, squared_error
from covid_cxr.metrics.scores import Array, Scores

# Predictions are written with six decimals: a forecast of 0 may have been anything below this.
_NEAREST = 5e-7
_FLAT = 1e-9
# Newton's error is about the square of its last step.
_STEPS, _LONGEST_STEP, _CLOSE = 100, 2.0, 1e-5


class CalibrationLine(NamedTuple):
    """Calibration slope, and calibration-in-the-large; NaN where undefined."""

    slope: float
    intercept: float


class Recalibration(NamedTuple):
    """New logits = slope * logits, and `shift` more for one class; NaN where undefined."""

    slope: float
    shift: float

    def of(self, logits: ArrayLike, event: int) -> Array:
        """Return the new logits (N, C), the shift being of class number `event`."""
        moved = self.slope * np.asarray(logits, dtype=np.float64)
        moved[:, event] += self.shift
        return moved


def log_odds(probabilities: ArrayLike) -> Array:
    """Return log-odds of probabilities of any shape, those of 0 and 1 as if of 5e-7 from there."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(logit(np.clip(p, _NEAREST, 1 - _NEAREST)))


def calibration_line(labels: ArrayLike, probabilities: ArrayLike) -> CalibrationLine:
    """Return slope and intercept of the calibration of probabilities.

    The slope is that of a logistic regression of the label on the log-odds forecast: under 1
    where forecasts are too extreme. The intercept is calibration-in-the-large, of the same
    regression with its slope held at 1: below 0 where forecasts are too high (Van Calster et al.,
    "Calibration: the Achilles heel of predictive analytics", 2019).

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1].

    Returns:
        NaN without both classes; the slope also where forecasts separate the classes without a
        mistake, or are all alike.
    """
    scores = calibration_scores(labels, probabilities)
    return CalibrationLine(
        float(scores["calibration_slope"][0]), float(scores["calibration_intercept"][0])
    )


def calibration_scores(
    labels: ArrayLike, probabilities: ArrayLike, weights: Array | None = None
) -> Scores:
    """Score calibration for many case weightings at once, as the bootstrap needs it.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        probabilities: (N,) in [0, 1].
        weights: (D, N) of bootstrap resamples; None: every case counts once (D = 1).

    Returns:
        (D,) arrays under calibration_slope, calibration_intercept and ece. In resamples the
        sampling variance is subtracted from the calibration error twice, so that they lie around
        the value of the sample.
    """
    y, x = np.asarray(labels, dtype=np.float64), log_odds(probabilities)
    w = np.ones((1, y.size)) if weights is None else weights
    squares = squared_error(y, probabilities, 10, w, corrections=1.0 if weights is None else 2.0)
    return {
        "calibration_slope": _fit(y, x, w)[:, 1],
        "calibration_intercept": _in_the_large(y, x, w),
        "ece": np.sqrt(np.maximum(squares, 0)),
    }


def fit_recalibration(logits: ArrayLike, labels: ArrayLike, event: int) -> Recalibration:
    """Return the slope and shift of logits that give the least log loss on new cases.

    With two classes this is logistic recalibration (Cox 1958): the log-odds of the event become
    slope * log-odds + shift. The slope undoes forecasts that are too extreme or too timid, the
    shift another prevalence. As in `fit_temperature`, targets are kept from certainty (Platt
    1999), so that a few perfectly separated cases do not make a model certain.

    Args:
        logits: (N, C), each row up to a constant, such as the log of probabilities.
        labels: (N,) class number 0..C-1; the event and others must be present.
        event: the class number that is shifted.

    Returns:
        A slope of 0 or less where the forecast ranks the wrong way round; NaN where all cases
        are forecast alike.
    """
    z = np.asarray(logits, dtype=np.float64)
    z = z - z.mean(axis=1, keepdims=True)
    if z.size == 0 or np.ptp(z, axis=0).max() < _FLAT:
        return Recalibration(np.nan, np.nan)
    targets = softened(np.asarray(labels, dtype=np.intp), z.shape[1])

    def loss(line: Array) -> tuple[float, Array]:
        moved = Recalibration(*line).of(z, event)
        slack = softmax(moved) - targets
        gradient = np.array([(slack * z).sum(), slack[:, event].sum()])
        return -float((targets * log_softmax(moved, axis=1)).sum()), gradient

    optimum = scipy.optimize.minimize(loss, [1.0, 0.0], jac=True, method="BFGS")
    return Recalibration(float(optimum.x[0]), float(optimum.x[1]))


def _fit(y: Array, x: Array, w: Array) -> Array:
    """Return shift and slope (D, 2) of logistic regressions; NaN where there is none."""
    result = np.full((w.shape[0], 2), np.nan)
    defined = _overlaps(y, x, w)
    if not defined.any():
        return result
    middle, spread = float(x.mean()), float(x.std())
    design = np.column_stack([np.ones_like(x), (x - middle) / spread])
    line = _newton(y, design, np.zeros_like(x), w[defined])
    result[defined, 1] = line[:, 1] / spread
    result[defined, 0] = line[:, 0] - line[:, 1] * middle / spread
    return result


def _in_the_large(y: Array, x: Array, w: Array) -> Array:
    """Return the shifts (D,) that make the mean forecast the share of events."""
    result = np.full(w.shape[0], np.nan)
    events, total = w @ y, w.sum(axis=1)
    defined = (events > 0) & (events < total)
    if defined.any():
        result[defined] = _newton(y, np.ones((x.size, 1)), x, w[defined])[:, 0]
    return result


def _step(y: Array, design: Array, offset: Array, coefficients: Array, w: Array) -> Array:
    """Return Newton's step (D, K) for the coefficients (D, K) of logistic regressions."""
    forecast = expit(coefficients @ design.T + offset)
    n_terms = design.shape[1]
    products = (design[:, :, None] * design[:, None]).reshape(-1, n_terms**2)
    curvature = ((w * forecast * (1 - forecast)) @ products).reshape(-1, n_terms, n_terms)
    gradient = (w * (y - forecast)) @ design
    return np.asarray((np.linalg.pinv(curvature, hermitian=True) @ gradient[..., None])[..., 0])


def _newton(y: Array, design: Array, offset: Array, w: Array) -> Array:
    """Return the coefficients (D, K) of D logistic regressions, NaN where none converged in time.

    Args:
        y: (N,) in [0, 1].
        design: (N, K) what the coefficients are of.
        offset: (N,) added to the log-odds.
        w: (D, N) case weights.
    """
    start = np.zeros((1, design.shape[1]))
    if w.shape[0] > 1:  # the root of all weights together is near those of each
        start = np.nan_to_num(_newton(y, design, offset, w.mean(axis=0, keepdims=True)))
    roots, open_ = np.repeat(start, w.shape[0], axis=0), np.arange(w.shape[0])
    for _ in range(_STEPS):
        weights = w if open_.size == w.shape[0] else w[open_]
        change = _step(y, design, offset, roots[open_], weights)
        roots[open_] += np.clip(change, -_LONGEST_STEP, _LONGEST_STEP)
        open_ = open_[np.abs(change).max(axis=1) >= _CLOSE]
        if open_.size == 0:
            return roots
    roots[open_] = np.nan
    return roots


def _overlaps(y: Array, x: Array, w: Array) -> NDArray[np.bool_]:
    """Tell (D,) where a line exists: both classes, and forecasts that make mistakes.

    Where every event is forecast at least as high as every other case, or the other way round,
    the slope would be infinite.
    """
    present = w > 0
    lowest, highest = [], []
    for side in (y > 0, y < 1):
        lowest.append(np.where(present & side, x, np.inf).min(axis=1, initial=np.inf))
        highest.append(np.where(present & side, x, -np.inf).max(axis=1, initial=-np.inf))
    return np.asarray((lowest[0] < highest[1]) & (lowest[1] < highest[0]))
