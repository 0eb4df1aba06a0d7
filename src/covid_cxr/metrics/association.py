"""Strength of association: Cramer's V of two categorical columns, and rank correlation."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import ArrayLike

from covid_cxr.metrics.scores import Array, Codes

_BLOCKS = 100
_Z = 1.959964  # of a two-sided 95 % interval


class Association(NamedTuple):
    """Cramer's V in [0, 1] with its 95 % interval; NaN where undefined."""

    v: float
    low: float
    high: float


def cramers_v(table: Array) -> Array:
    """Return the bias-corrected Cramer's V of each contingency table (Bergsma 2013).

    Of n cases in r rows and c columns that hold any, with phi2 = chi2 / n,
    V = sqrt(max(0, phi2 - (r-1)(c-1)/(n-1)) / min(r'-1, c'-1)), r' = r - (r-1)^2/(n-1) and c'
    likewise. Uncorrected, a column of many levels would seem to predict whatever one asks of it.

    Args:
        table: counts (..., L, C).

    Returns:
        (...) in [0, 1]; NaN where all cases stand in one row or one column, or each in a row of
        its own.
    """
    return np.sqrt(np.clip(_squared(table), 0, 1))


def association(level: Codes, outcome: Codes, patient: Codes, seed: int) -> Association:
    """Return Cramer's V of two columns, with an interval that respects patients.

    The interval is V^2 -+ 1.96 standard errors of a jackknife that leaves out one of 100 random
    blocks of whole patients at a time (Kott 2001), cut at 0 and 1. A bootstrap would repeat cases,
    and repeated cases raise V: simulated with 60 to 1500 patients of one to
    four images, its interval covered the truth in 4 of 10 runs with 60 levels, that of the
    jackknife in 95 to 97 %, and in 92 to 96 % with 4 levels.

    Args:
        level, outcome, patient: (N,) integers from 0; a patient is left out as a whole.
        seed: random seed of the blocks.
    """
    shape = int(level.max(initial=-1)) + 1, int(outcome.max(initial=-1)) + 1
    blocks = min(_BLOCKS, int(patient.max(initial=-1)) + 1)
    if min(*shape, blocks) < 2:
        return Association(math.nan, math.nan, math.nan)
    block = np.random.default_rng(seed).permutation(int(patient.max()) + 1) % blocks
    cell = np.ravel_multi_index((block[patient], level, outcome), (blocks, *shape))
    counts = np.bincount(cell, minlength=blocks * math.prod(shape)).reshape(blocks, *shape)
    whole = counts.sum(0).astype(np.float64)
    squared, without = float(_squared(whole)), _squared(whole - counts)
    spread = without - without.mean()
    error = math.sqrt((blocks - 1) / blocks * float(spread @ spread))
    bounds = np.sqrt(np.clip([squared - _Z * error, squared, squared + _Z * error], 0, 1))
    low, v, high = map(float, bounds)
    # If leaving patients out changes nothing, the standard error cannot be estimated.
    return Association(v, low, high) if error > 1e-9 else Association(v, math.nan, math.nan)


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two arrays of one shape, ties at their mean rank.

    Returns:
        In [-1, 1]; 0 where one of the two is constant (SciPy gives NaN and a warning).
    """
    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(scipy.stats.rankdata(a), scipy.stats.rankdata(b))[0, 1])


def _squared(table: Array) -> Array:
    """Return the corrected V squared, below 0 where there is less association than by chance."""
    row, column = table.sum(-1, keepdims=True), table.sum(-2, keepdims=True)
    n = table.sum((-1, -2))
    expected = row * column
    squares = np.divide(table * table, expected, out=np.zeros_like(expected), where=expected > 0)
    r, c = ((margin > 0).sum((-1, -2)) - 1.0 for margin in (row, column))
    free = np.maximum(n - 1, 1)
    corrected = squares.sum((-1, -2)) - 1 - r * c / free
    most = np.minimum(r - r * r / free, c - c * c / free)
    undefined = np.full_like(most, np.nan)
    return np.asarray(np.divide(corrected, most, out=undefined, where=most > 1e-12))
