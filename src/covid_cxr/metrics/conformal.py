"""Conformal prediction sets: they contain the true class with a nominal frequency, by class.

A set has every class that cannot be excluded: one class, several, or none. Coverage holds for
each class on its own (label-conditional, or Mondrian, conformal prediction: Vovk, "Conditional
validity of inductive conformal predictors", 2012; Sadinle, Lei and Wasserman, "Least ambiguous
set-valued classifiers with bounded error levels", 2019), on average over samples of the calibration
cases, and only for new cases that are exchangeable with these. Another hospital's are not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.metrics.scores import Array, Scores, ratio

# A level times a number of cases can differ from a whole number in the last bits.
_TINY = 1e-9


def conformal_quantile(scores: ArrayLike, level: float) -> float:
    """Return the ceil(level * (n + 1))-th smallest of n calibration scores.

    A new score exchangeable with these is at most this in a share `level` of samples or more; with
    no ties, in less than `level` + 1 / (n + 1). Infinite where n is too small for the level.

    Args:
        scores: (n,) nonconformity scores.
        level: nominal coverage, in (0, 1).

    >>> conformal_quantile([0.4, 0.1, 0.3, 0.2], 0.8), conformal_quantile([0.1, 0.2], 0.8)
    (0.4, inf)
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    rank = int(np.ceil(level * (ordered.size + 1) - _TINY))
    return float(ordered[rank - 1]) if rank <= ordered.size else np.inf


def class_quantiles(labels: ArrayLike, probabilities: ArrayLike, level: float) -> Array:
    """Return the quantile (C,) of 1 - p of the true class, for each class from its own cases.

    Args:
        labels: (n,) class number 0..C-1 of calibration cases.
        probabilities: (n, C).
        level: nominal coverage within each class, in (0, 1).
    """
    y = np.asarray(labels, dtype=np.intp)
    p = np.asarray(probabilities, dtype=np.float64)
    return np.array(
        [conformal_quantile(1 - p[y == index, index], level) for index in range(p.shape[1])]
    )


def prediction_sets(probabilities: ArrayLike, quantiles: ArrayLike) -> NDArray[np.bool_]:
    """Return which classes (N, C) are in the prediction set of each case: 1 - p <= quantile.

    Args:
        probabilities: (N, C).
        quantiles: (C,) of `class_quantiles`, or (N, C) where cases have their own.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(1 - p <= np.asarray(quantiles, dtype=np.float64))


def set_scores(
    labels: ArrayLike, members: NDArray[np.bool_], weights: Array | None = None
) -> tuple[Array, Scores]:
    """Score prediction sets, for many case weightings at once.

    Args:
        labels: (N,) class number 0..C-1.
        members: (N, C) whether a class is in the prediction set of a case.
        weights: (D, N) case weights >= 0; None: every case counts once (D = 1).

    Returns:
        Coverage (D, C) of each class, NaN without a case of it; and (D,) under mean_size, none,
        one and several: the mean number of classes in a set, and the shares of sets that hold so
        many. NaN without cases.
    """
    y = np.asarray(labels, dtype=np.intp)
    w = np.ones((1, y.size)) if weights is None else weights
    truth = np.eye(members.shape[1])[y]  # (N, C)
    size = members.sum(axis=1)
    shapes = {"mean_size": size, "none": size == 0, "one": size == 1, "several": size > 1}
    columns = np.stack([shape.astype(np.float64) for shape in shapes.values()], axis=1)
    total = w.sum(axis=1)
    means = ratio(w @ columns, total[:, None])
    coverage = ratio(w @ (truth * members), w @ truth)
    return coverage, dict(zip(shapes, means.T, strict=True))
