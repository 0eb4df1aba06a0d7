from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from covid_cxr.explain.measures.stability import (
    NOISE,
    Move,
    jaccard,
    map_correlation,
    moved,
    repeatability,
    robustness,
)
from covid_cxr.explain.superpixels import region_means
from covid_cxr.types import Explanation


def radiograph(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 32, 32)).astype(np.float32)


@given(seed=st.integers(0, 999))
def test_rank_correlation_is_scipys(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 9, (2, 40))
    assert map_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_rank_correlation_of_constants() -> None:
    assert map_correlation([2, 2, 2], [2, 2, 2]) == 1
    assert map_correlation([2, 2, 2], [1, 2, 3]) == 0
    assert map_correlation([1, 2, 3], [3, 3, 3]) == 0
    assert map_correlation([1], [2]) == 0


def test_jaccard_by_hand() -> None:
    # by magnitude: {1, 3} and {3, 0}: one of three in common
    assert jaccard([0, -9, 1, 8], [5, 1, 0, -6], top=2) == pytest.approx(1 / 3)
    assert jaccard([1, 2], [2, 1]) == 1  # fewer than five regions


@pytest.mark.parametrize("move", [(2, -3), (-4, 4), (0, 0)])
def test_what_is_moved_comes_to_lie_there(move: Move) -> None:
    picture = np.zeros((1, 20, 20), dtype=np.float32)
    picture[0, 9, 9] = 1
    after = moved(picture, move)
    assert after[0, 9 + move[0], 9 + move[1]] == 1
    assert after.sum() == 1
    edge = np.arange(20, dtype=np.float32)[:, None].repeat(20, axis=1)
    assert moved(edge, (3, 0))[:4, 0].tolist() == [0, 0, 0, 0]
    assert moved(edge, (-3, 0))[-4:, 0].tolist() == [19, 19, 19, 19]


def test_a_map_that_moves_with_the_radiograph_is_robust() -> None:
    found = robustness(radiograph(), radiograph()[0], lambda image, move: image[0])
    assert found["shift"] == 1  # exactly: the map is moved back before it is compared
    assert 0.99 < found["noise"] < 1  # of grains of 0.01 on grey levels of deviation 0.29


def test_a_map_that_stays_where_it_was_is_not() -> None:
    still = radiograph()[0]
    found = robustness(radiograph(), still, lambda image, move: still)
    assert found["noise"] == 1
    assert abs(found["shift"]) < 0.2


def test_the_explainer_sees_small_changes_and_is_told_of_moves() -> None:
    image, explained = radiograph(), []

    def explain(changed: np.ndarray, move: Move) -> np.ndarray:
        explained.append((changed, move))
        return changed[0]

    before = image.copy()
    robustness(image, image[0], explain, times=3, seed=1)
    np.testing.assert_array_equal(image, before)
    noisy = [changed for changed, move in explained if move == (0, 0)]
    shifts = [(changed, move) for changed, move in explained if move != (0, 0)]
    assert len(noisy) == len(shifts) == 3
    for changed in noisy:
        assert 0 < np.std(changed - image) < 1.1 * NOISE
        assert 0 <= changed.min() <= changed.max() <= 1
        assert changed.dtype == np.float32
    for changed, move in shifts:
        assert all(2 <= abs(step) <= 4 for step in move)
        np.testing.assert_array_equal(changed, moved(image, move))


def _regions(weights: np.ndarray, segments: np.ndarray) -> Explanation:
    return Explanation(
        "lime",
        "covid-19",
        weights.astype(np.float32)[segments],
        segments=segments,
        weights=tuple(weights.tolist()),
    )


def test_repeatability_by_hand() -> None:
    segments = np.repeat(np.arange(8, dtype=np.int32), 8).reshape(8, 8)
    order = {
        (10, 0): [8, 7, 6, 5, 4, 3, 2, 1],
        (10, 1): [1, 2, 3, 4, 5, 6, 7, 8],  # the reverse: the top five share regions 3 and 4
        (99, 0): [8, 7, 6, 5, 4, 3, 2, 1],
        (99, 1): [80, 70, 60, 50, 40, 30, 20, 10],
    }
    found = repeatability(
        lambda samples, seed: _regions(np.array(order[samples, seed], float), segments), (10, 99)
    )
    assert found == pytest.approx({"seeds_10": -1, "top5_10": 2 / 8, "seeds_99": 1, "top5_99": 1})


def test_another_segmentation_is_brought_to_the_first() -> None:
    halves = np.zeros((4, 4), dtype=np.int32)
    halves[:, 2:] = 1
    quarters = np.repeat(np.arange(4, dtype=np.int32), 4).reshape(4, 4).T.copy()
    made = {0: _regions(np.array([0.0, 1.0]), halves), 1: _regions(np.arange(4.0), quarters)}
    np.testing.assert_allclose(region_means(made[1].attribution, halves), [0.5, 2.5])
    assert repeatability(lambda samples, seed: made[seed], (10,))["seeds_10"] == pytest.approx(1)


def test_a_method_without_regions_is_compared_by_pixels() -> None:
    grid = radiograph()[0]
    same = Explanation("cam", "covid-19", grid)
    assert repeatability(lambda samples, seed: same, (10,)) == {"seeds_10": 1, "top5_10": 1}
