"""Equalised contrast: bit for bit as scikit-image has it, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.exposure import equalize_adapthist

from covid_cxr.imaging.contrast import equalise
from covid_cxr.phantoms import draw
from covid_cxr.types import FINDINGS, Finding, FloatArray


def reference(grid: FloatArray, tile: int, clip: float) -> FloatArray:
    return np.asarray(equalize_adapthist(grid, kernel_size=tile, clip_limit=clip), np.float32)


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(32, 120),
    clip=st.sampled_from([0.004, 0.01, 0.03, 0.2, 1.0]),
    power=st.floats(0.2, 6),
    greys=st.sampled_from([2, 7, 256, 10_000]),
    seed=st.integers(0, 99),
)
def test_any_picture_is_equalised_as_in_scikit_image(
    size: int, clip: float, power: float, greys: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).random((size, size)) ** power
    grid = (np.round(noise * greys) / greys).astype(np.float32)
    tile = round(size / 4)
    equal = equalise(grid, tile, clip)
    np.testing.assert_array_equal(equal, reference(grid, tile, clip))
    assert equal.dtype == np.float32


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("size", [160, 224, 225])
def test_phantoms_are_equalised_as_in_scikit_image(finding: Finding, size: int) -> None:
    grid = np.ascontiguousarray(draw(finding, 1).pixels[:size, :size])
    assert grid.shape == (size, size)
    np.testing.assert_array_equal(
        equalise(grid, round(size / 4), 0.01), reference(grid, round(size / 4), 0.01)
    )


def test_two_halves_by_hand() -> None:
    # Every tile is half black: its curve gives black half the greys' range and white all of it,
    # so that after stretching nothing has changed.
    grid = np.tile(np.array([[0, 1], [1, 0]], dtype=np.float32), (16, 16))
    np.testing.assert_array_equal(equalise(grid, 8, 1.0), grid)


def test_almost_constant_pictures_stay_finite() -> None:
    grid = np.full((32, 32), 0.5, dtype=np.float32)
    grid[0, 0] += 2e-6
    np.testing.assert_array_equal(equalise(grid, 8, 0.01), reference(grid, 8, 0.01))
