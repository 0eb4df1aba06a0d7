"""Spearman's correlation as SciPy has it, and of constants."""

import numpy as np
import pytest
from scipy import stats

from covid_cxr.metrics.ranks import spearman


def test_spearman_is_scipys_with_ties():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 50))
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_a_constant_ranks_nothing():
    assert spearman([2, 2, 2], [1, 2, 3]) == spearman([2, 2], [2, 2]) == spearman([1], [2]) == 0
