from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.explain.measures import faithfulness
from covid_cxr.explain.measures.faithfulness import (
    area,
    areas,
    curve,
    gains,
    patch_ranks,
    random_areas,
)

EDGE = 28  # patches of two pixels
PATCHES = faithfulness.SIDE**2


def bright_corner() -> np.ndarray:
    """A radiograph (1, S, S) of 0.5 whose upper left quarter is 1."""
    image = np.full((1, EDGE, EDGE), 0.5, dtype=np.float32)
    image[0, : EDGE // 2, : EDGE // 2] = 1
    return image


def corner_score(images: np.ndarray) -> np.ndarray:
    """The mean of the upper left quarter, 1 on the radiograph and 0.5 when it is hidden by 0.5."""
    return images[:, 0, : EDGE // 2, : EDGE // 2].mean(axis=(1, 2))


def corner_map() -> np.ndarray:
    return (bright_corner()[0] > 0.75).astype(np.float32)


def test_patches_go_by_their_mean_strongest_first() -> None:
    attribution = np.zeros((EDGE, EDGE), dtype=np.float32)
    attribution[0:2, 4:6] = 1  # the third patch
    attribution[26:28, 0:2] = 3  # the first of the last row: stronger
    attribution[10:12, 10:12] = -1
    ranks = patch_ranks(attribution)
    assert (ranks[26:28, 0:2] == 0).all()
    assert (ranks[0:2, 4:6] == 1).all()
    assert (ranks[10:12, 10:12] == PATCHES - 1).all()
    assert sorted(np.unique(ranks)) == list(range(PATCHES))


def test_ties_are_broken_by_lot() -> None:
    nothing = np.zeros((EDGE, EDGE), dtype=np.float32)
    np.testing.assert_array_equal(patch_ranks(nothing, 1), patch_ranks(nothing, 1))
    assert not np.array_equal(patch_ranks(nothing, 1), patch_ranks(nothing, 2))


def test_a_curve_by_hand() -> None:
    image, empty = bright_corner()[0], np.full((EDGE, EDGE), 0.5, dtype=np.float32)
    ranks = patch_ranks(corner_map())
    # 196 patches, 49 of them in the corner. In four steps the first, 49 patches, hides it whole.
    deletion = curve(image, empty, ranks, corner_score, 4)
    np.testing.assert_allclose(deletion, [1, 0.5, 0.5, 0.5, 0.5], atol=1e-6)
    insertion = curve(empty, image, ranks, corner_score, 4)
    np.testing.assert_allclose(insertion, [0.5, 1, 1, 1, 1], atol=1e-6)
    # trapezoids: (0.75 + 0.5 + 0.5 + 0.5) / 4 and (0.75 + 1 + 1 + 1) / 4
    assert area(deletion) == pytest.approx(0.5625)
    assert area(insertion) == pytest.approx(0.9375)


def test_a_true_map_gains_what_it_must_and_its_inverse_loses() -> None:
    image = bright_corner()
    random = random_areas(image, corner_score, repeats=20)
    # in a random order the corner is hidden at an even pace, from 1 to 0.5
    assert random["deletion_dataset"] == pytest.approx(0.75, abs=0.02)
    true = gains(areas(image, corner_map(), corner_score), random)
    # hidden within the first quarter at an even pace: 0.5 + 0.5 * 0.25 / 2
    assert true["gain_deletion_dataset"] == pytest.approx(0.75 - 0.5625, abs=0.025)
    assert true["gain_insertion_dataset"] == pytest.approx(0.75 - 0.5625, abs=0.025)
    assert all(value > 0.02 for value in true.values())
    false = gains(areas(image, -corner_map(), corner_score), random)
    assert all(value < -0.02 for value in false.values())


def test_the_mean_gain_is_the_mean_of_the_four() -> None:
    found = {"deletion_blur": 0.2, "insertion_blur": 0.9}
    random = {"deletion_blur": 0.5, "insertion_blur": 0.4}
    assert gains(found, random) == pytest.approx(
        {"gain_deletion_blur": 0.3, "gain_insertion_blur": 0.5, "gain": 0.4}
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_random_order_gains_nothing_in_expectation(seed: int) -> None:
    image = bright_corner()
    random = random_areas(image, corner_score, repeats=30, seed=seed)
    rng = np.random.default_rng(seed + 123)
    maps = rng.standard_normal((30, EDGE, EDGE)).astype(np.float32)
    found = [gains(areas(image, each, corner_score), random)["gain"] for each in maps]
    assert np.mean(found) == pytest.approx(0, abs=0.02)


def test_the_radiograph_is_not_written_to_and_its_curve_starts_and_ends_right() -> None:
    image = bright_corner()
    before = image.copy()
    scored: list[np.ndarray] = []

    def score(images: np.ndarray) -> np.ndarray:
        scored.append(images.copy())
        return images.mean(axis=(1, 2, 3))

    areas(image, corner_map(), score, steps=4)
    np.testing.assert_array_equal(image, before)
    assert [len(each) for each in scored] == [5] * 4  # deletion and insertion, two fillings
    deletion, insertion = scored[2], scored[3]
    np.testing.assert_array_equal(deletion[0], image)
    np.testing.assert_array_equal(deletion[-1], np.full_like(image, 0.5))
    np.testing.assert_array_equal(insertion[0], deletion[-1])
    np.testing.assert_array_equal(insertion[-1], image)
    assert scored[0].dtype == np.float32
