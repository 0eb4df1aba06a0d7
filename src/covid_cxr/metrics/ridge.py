"""Ridge regression on class labels, a linear classifier in closed form.

Regularised least squares (Rifkin, Yeo and Poggio, "Regularized least-squares classification", 2003)
ranks cases as logistic regression does, and many label vectors are fitted at the cost of one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from covid_cxr.metrics.scores import Array
from covid_cxr.types import FloatArray

_CONSTANT = 1e-6


def fit_ridge(
    features: Array,
    targets: Array,
    alpha: float,
    weights: Array | None = None,
    *,
    epsilon: float = 0.0,
) -> tuple[Array, Array]:
    """Return coefficients (F, C) and intercepts (C,) of a ridge regression.

    Features are standardised and divided by the square root of their number, so that `alpha` means
    the same for any number of features; the intercept is not penalised.

    Args:
        features: (N, F).
        targets: (N, C).
        alpha: of the squared coefficients, against the weighted sum of squared errors.
        weights: (N,) of each case; None: all the same.
        epsilon: added to the standard deviations, so that features which hardly vary stay small.
    """
    scaler = StandardScaler().fit(features, sample_weight=weights)
    mean, scale = scaler.mean_, scaler.scale_ + epsilon
    ridge = Ridge(alpha * features.shape[1], solver="cholesky")
    ridge.fit((features - mean) / scale, targets, sample_weight=weights)
    coefficients = np.atleast_2d(ridge.coef_).T / scale[:, None]
    return coefficients, np.atleast_1d(ridge.intercept_) - mean @ coefficients


def out_of_fold_scores(
    features: FloatArray, labels: NDArray[np.bool_], folds: NDArray[np.int64], alpha: float = 1.0
) -> Array:
    """Return scores of labels, each by a ridge regression on the cases of the other folds.

    Each column of labels is fitted by itself. The scores of a fold are relative to the mean of its
    training labels (-1 and 1), so that the scores of several folds can be pooled.

    Args:
        features: (N, F).
        labels: (N,) or (N, L).
        folds: (N,) fold number; cases that must not be in both training and scoring share one.
        alpha: as in `fit_ridge`.

    Returns:
        Of the shape of `labels`; larger means more likely true.
    """
    targets = np.where(labels, 1.0, -1.0).reshape(len(labels), -1)
    scores = np.zeros_like(targets)
    for fold in np.unique(folds):
        scored = folds == fold
        # Features that are constant in training up to rounding would be scaled to pure noise.
        varies = features[~scored].std(axis=0, dtype=np.float64) > _CONSTANT
        inputs, trained_on = np.where(varies, features, 0).astype(np.float64), targets[~scored]
        coefficients, intercept = fit_ridge(inputs[~scored], trained_on, alpha)
        scores[scored] = inputs[scored] @ coefficients + (intercept - trained_on.mean(axis=0))
    return scores.reshape(labels.shape)
