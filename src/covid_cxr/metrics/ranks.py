"""Rank correlation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, ties at their mean rank.

    Returns:
        In [-1, 1]; 0 where one of the two is constant (SciPy gives NaN and a warning).
    """
    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1])
