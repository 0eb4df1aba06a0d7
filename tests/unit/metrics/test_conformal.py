"""Conformal sets: quantiles and coverage by hand, and the promise kept on average."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_cxr import metrics


def test_the_quantile_is_the_rank_that_the_theorem_asks_for():
    nine = np.arange(9, 0, -1) / 10
    assert metrics.conformal_quantile(nine, 0.9) == 0.9  # the 9th of 9: 0.9 * 10
    assert metrics.conformal_quantile(nine, 0.8) == 0.8
    assert metrics.conformal_quantile(nine, 0.75) == 0.8  # 7.5 is rounded up
    # 0.1 * 3 is 0.30000000000000004 in floats: ranks must not jump for it
    assert metrics.conformal_quantile(np.arange(29), 0.1 * 3) == 8
    assert metrics.conformal_quantile(nine[:8], 0.9) == np.inf  # 8 films cannot promise 90 %
    assert metrics.conformal_quantile([], 0.5) == np.inf


def test_each_class_has_its_own_quantile():
    labels = [0, 0, 0, 1, 1, 1]
    p = np.array([0.9, 0.8, 0.6, 0.3, 0.5, 0.7])  # of the true class
    probabilities = np.where(np.eye(2)[labels] == 1, p[:, None], 1 - p[:, None])
    found = metrics.class_quantiles(labels, probabilities, 0.5)  # the 2nd of 3
    assert found == pytest.approx([0.2, 0.5])
    class_sets = metrics.prediction_sets([[0.8, 0.2], [0.5, 0.5], [0.7, 0.3]], found)
    assert class_sets.tolist() == [[True, False], [False, True], [False, False]]
    assert metrics.prediction_sets([[0.0, 1.0]], [np.inf, np.inf]).all()


def test_scores_of_sets_by_hand():
    class_sets = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    coverage, shapes = metrics.set_scores([0, 0, 1, 1], class_sets)
    assert coverage.tolist() == [[1.0, 0.5]]
    assert {name: found.tolist() for name, found in shapes.items()} == {
        "mean_size": [1.0],
        "none": [0.25],
        "one": [0.5],
        "several": [0.25],
    }
    weights = np.array([[1.0, 0, 3, 1], [2, 2, 0, 0]])
    coverage, shapes = metrics.set_scores([0, 0, 1, 1], class_sets, weights)
    assert coverage[0].tolist() == [1.0, 0.25]
    assert coverage[1, 0] == 1 and np.isnan(coverage[1, 1])
    assert shapes["none"].tolist() == [0.6, 0]
    empty, nothing = metrics.set_scores([], np.empty((0, 2), dtype=bool))
    assert np.isnan(empty).all() and np.isnan(nothing["one"]).all()


@given(st.integers(1, 40), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_of_n_exchangeable_scores_the_promised_share_is_covered(n, level):
    """Each of n + 1 distinct scores left out in turn: covered in at least `level` of the turns,

    and, with a finite quantile, in less than level + 1 / (n + 1).
    """
    scores = np.random.default_rng(n).permutation(n + 1).astype(float)
    quantiles = [metrics.conformal_quantile(np.delete(scores, i), level) for i in range(n + 1)]
    covered = np.mean(scores <= quantiles)
    assert covered >= level - 1e-9
    assert np.isinf(quantiles).all() or covered < level + 1 / (n + 1) + 1e-9


def test_coverage_is_kept_in_the_rare_class_too():
    """One quantile for both classes would cover the rare one in far less than promised."""
    rng = np.random.default_rng(3)
    covered = np.zeros(2)
    for _ in range(300):
        y = np.repeat([0, 1], [90, 19])
        p = rng.beta(1, 8, y.size) * (y == 0) + rng.beta(2, 2, y.size) * (y == 1)
        two = np.stack([1 - p, p], axis=1)
        quantiles = metrics.class_quantiles(y, two, 0.8)
        fresh = np.array([rng.beta(1, 8), rng.beta(2, 2)])
        class_sets = metrics.prediction_sets(np.stack([1 - fresh, fresh], axis=1), quantiles)
        covered += np.diag(class_sets)
    assert (np.abs(covered / 300 - 0.8) < 0.07).all()  # three standard errors
