from __future__ import annotations

import numpy as np
import pytest

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.measures import baselines
from covid_cxr.explain.measures.localisation import mass, peak

EDGE = 56


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).random((1, EDGE, EDGE)).astype(np.float32)


@pytest.fixture
def lungs() -> np.ndarray:
    mask = np.zeros((2 * EDGE, 3 * EDGE), dtype=bool)  # at the radiograph's own resolution
    mask[20:90, 20:70] = mask[20:90, 100:150] = True
    return mask


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_every_baseline_is_a_map_on_the_grid(
    name: str, image: np.ndarray, lungs: np.ndarray
) -> None:
    before = image.copy()
    for found in baselines.maps(name, image, lungs):
        assert found.shape == (EDGE, EDGE)
        assert found.dtype == np.float32
        assert np.ptp(found) > 0
    np.testing.assert_array_equal(image, before)


def test_the_centre_is_highest_in_the_middle_and_falls_by_hand(image: np.ndarray) -> None:
    found = baselines.centre(image)
    row, column = peak(found) or (-1, -1)
    assert {row, column} <= {EDGE // 2 - 1, EDGE // 2}
    # one standard deviation, a quarter of the edge, to the right of the middle
    middle = (found[27, 41] + found[27, 42]) / 2
    assert middle / found[27, 27] == pytest.approx(np.exp(-0.5), rel=0.02)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-7)


def test_the_lungs_have_all_their_mass_inside_and_their_peak_in_the_middle_of_one(
    image: np.ndarray, lungs: np.ndarray
) -> None:
    found = baselines.lungs(image, lungs)
    inside = np.zeros((EDGE, EDGE), dtype=bool)
    inside[10:45, 7:23] = inside[10:45, 33:50] = True
    assert mass(found, inside) == 1
    row, column = peak(found) or (-1, -1)
    assert 20 <= row <= 34
    assert 10 <= column <= 46


@pytest.mark.parametrize("mask", [None, np.zeros((4, 4), dtype=bool)])
def test_lungs_that_are_not_known_are_no_baseline(mask: object, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="no lungs"):
        baselines.maps("lungs", image, mask)  # type: ignore[arg-type]


def test_edges_stand_where_grey_changes() -> None:
    step = np.zeros((1, EDGE, EDGE), dtype=np.float32)
    step[..., EDGE // 2 :] = 1
    found = baselines.edges(step)
    assert set(np.argmax(found, axis=1)) <= {EDGE // 2 - 1, EDGE // 2}
    assert found[:, 5].max() == pytest.approx(0, abs=1e-6)


def test_random_maps_are_the_seeds_and_know_nothing(image: np.ndarray) -> None:
    first, again = (baselines.maps("random", image, seed=3) for _ in range(2))
    assert len(first) == baselines.RANDOM_MAPS
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    half = np.zeros((EDGE, EDGE), dtype=bool)
    half[:, : EDGE // 2] = True
    shares = [
        mass(each, half)
        for seed in range(40)
        for each in baselines.maps("random", image, seed=9 * seed)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_an_unknown_baseline(image: np.ndarray) -> None:
    with pytest.raises(UnknownName, match="did you mean 'centre'"):
        baselines.maps("center", image)
