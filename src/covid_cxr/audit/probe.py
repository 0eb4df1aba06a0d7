"""The cheap recipe: a regularised linear classifier over features, scored out of fold.

Least squares with an L2 penalty on labels -1 and 1 (Rifkin, Yeo and Poggio, "Regularized
least-squares classification", 2003) ranks films as logistic regression does, and has a closed form:
what a fold makes of its training labels is one matrix, so that a thousand shuffled labels cost as
little as the true ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.metrics.scores import Array
from covid_cxr.types import FloatArray

_TINY = 1e-6
PENALTY = 1.0  # of standardised features whose squares sum to 1


class Probe:
    """A linear classifier for each fold, trained on the others.

    Args:
        features: (N, F).
        folds: (N,) numbers; whoever must not be in both training and scoring has one number.
        penalty: of the weights.
    """

    def __init__(
        self, features: FloatArray, folds: NDArray[np.int64], penalty: float = PENALTY
    ) -> None:
        self._parts: list[tuple[NDArray[np.bool_], Array]] = []
        for fold in np.unique(folds):
            scored = folds == fold
            self._parts.append((scored, _hat(features, scored, penalty)))

    def scores(self, labels: NDArray[np.bool_]) -> Array:
        """Return (N,) or (N, L) scores of labels (N,) or (N, L), larger for true.

        Each column of labels is learned by itself. A fold's scores are centred on its training
        labels' mean, not on its own, so that scores of several folds may be pooled.
        """
        signs = np.where(labels, 1.0, -1.0).reshape(len(labels), -1)
        found = np.zeros_like(signs)
        for scored, hat in self._parts:
            known = signs[~scored]
            found[scored] = hat @ (known - known.mean(axis=0))
        return found.reshape(labels.shape)


def _hat(features: FloatArray, scored: NDArray[np.bool_], penalty: float) -> Array:
    """Return the matrix (n, m) that turns m training labels into scores of n films."""
    known = features[~scored].astype(np.float64)
    middle, spread = known.mean(axis=0), known.std(axis=0)
    scale = np.sqrt(features.shape[1]) * np.maximum(spread, _TINY)
    kept = spread > _TINY  # what never varies in training says nothing
    known = ((known - middle) / scale)[:, kept]
    asked = ((features[scored] - middle) / scale)[:, kept]
    kernel = known @ known.T
    kernel[np.diag_indices_from(kernel)] += penalty
    solved: Array = np.linalg.solve(kernel, known @ asked.T).T
    return solved
