"""Sliding windows and regions: the same as SciPy's, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from covid_cxr.imaging.morphology import bounds, grown, moved, regions, sliding

MASK = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1],
        [0, 0, 0, 0, 0, 0],
    ],
    dtype=bool,
)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    half=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_sliding_windows_are_those_of_scipy(height: int, width: int, half: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    mask, window = pixels > 0.9, 2 * half + 1
    least = ndimage.minimum_filter(pixels, window)
    np.testing.assert_array_equal(sliding(np.minimum, pixels, window), least)
    most = ndimage.maximum_filter(pixels, window)
    np.testing.assert_array_equal(sliding(np.maximum, pixels, window), most)
    reached = sliding(np.maximum, mask, window)
    np.testing.assert_array_equal(reached, ndimage.maximum_filter(mask, window))
    assert reached.dtype == np.bool_


@pytest.mark.parametrize("of", [np.minimum, np.maximum])
@pytest.mark.parametrize("shape", [(700, 430), (30, 9000), (9000, 30)])
def test_windows_slide_on_from_strip_to_strip(of: np.ufunc, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    filtered = ndimage.minimum_filter if of is np.minimum else ndimage.maximum_filter
    for grid in (pixels, pixels.T, pixels[::2, 3:]):
        np.testing.assert_array_equal(sliding(of, grid, 27), filtered(grid, 27))


def test_regions_touch_at_corners_too() -> None:
    (first, one), (second, other) = regions(MASK)
    assert first == (slice(1, 3), slice(1, 3))
    np.testing.assert_array_equal(one, np.eye(2, dtype=bool))
    assert second == (slice(1, 3), slice(5, 6))
    assert other.all()


def test_only_regions_that_hold_something_are_returned() -> None:
    holding = np.zeros_like(MASK)
    assert list(regions(MASK, holding=holding)) == []
    holding[2, 5] = True
    ((box, part),) = regions(MASK, holding=holding)
    assert box == (slice(1, 3), slice(5, 6))
    assert part.all()


def test_regions_are_cut_off_where_one_does_not_look() -> None:
    ((box, part),) = regions(MASK, within=(slice(2, 9), slice(0, 4)))
    assert box == (slice(2, 3), slice(2, 3))
    assert part.tolist() == [[True]]


def test_an_empty_mask_has_no_region() -> None:
    assert list(regions(np.zeros((3, 4), dtype=bool))) == []


def test_boxes_by_hand() -> None:
    assert bounds(MASK) == (slice(1, 3), slice(1, 6))
    assert moved((slice(1, 3), slice(1, 6)), -1, 2) == (slice(0, 2), slice(3, 8))
    assert grown((slice(1, 3), slice(1, 6)), 2) == (slice(0, 5), slice(0, 8))
    assert grown((slice(4, 5), slice(9, 10)), 1, 3) == (slice(3, 6), slice(6, 13))


@pytest.mark.parametrize("window", range(1, 40, 2))
def test_one_pixel_reaches_half_a_window_each_way(window: int) -> None:
    mask = np.zeros((51, 51), dtype=bool)
    mask[25, 25] = True
    reached = sliding(np.maximum, mask, window)
    assert bounds(reached) == (slice(25 - window // 2, 26 + window // 2),) * 2
    assert reached.sum() == window**2
