"""Model input: shape, range and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging import preprocess
from covid_cxr.imaging.crop import crop, lung_box
from covid_cxr.types import WHOLE, Box, FloatArray, Lungs

PLAIN = PreprocessSpec(size=32, remove_markers=False, standardise=False)
STANDARD = PreprocessSpec(size=32, remove_markers=False, standardise=True)


def noise(height: int, width: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random((height, width), dtype=np.float32)


SPECS = st.builds(
    PreprocessSpec,
    size=st.integers(32, 96),
    remove_markers=st.booleans(),
    standardise=st.booleans(),
    equalise=st.booleans(),
    lung_margin=st.none() | st.floats(0, 1),
)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), low=st.floats(0, 1), spec=SPECS)
def test_any_picture_becomes_finite_input_of_the_right_shape(
    height: int, width: int, low: float, spec: PreprocessSpec
) -> None:
    pixels = low + (1 - low) * noise(height, width)
    before = pixels.copy()
    grid = preprocess(pixels, spec)
    assert grid.shape == (1, spec.size, spec.size)
    assert grid.dtype == np.float32
    assert np.isfinite(grid).all()
    assert grid.min() >= 0
    assert grid.max() <= 1
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(grid, preprocess(pixels, spec))


@settings(max_examples=30, deadline=None)
@given(gain=st.floats(0.2, 1), offset=st.floats(0, 1), seed=st.integers(0, 99))
def test_standardised_input_does_not_depend_on_exposure(
    gain: float, offset: float, seed: int
) -> None:
    pixels = noise(70, 50, seed)
    other = (gain * pixels + offset * (1 - gain)).astype(np.float32)
    np.testing.assert_allclose(preprocess(other, STANDARD), preprocess(pixels, STANDARD), atol=1e-4)


def test_standardised_values_by_hand() -> None:
    # Half 0.2, half 0.6: mean 0.4, deviation 0.2, so 0.5 -+ 0.2. No resizing at 32 x 32.
    pixels = np.full((32, 32), 0.2, np.float32)
    pixels[16:] = 0.6
    grid = preprocess(pixels, STANDARD)
    assert grid[0, 0, 0] == pytest.approx(0.3, abs=1e-6)
    assert grid[0, 31, 0] == pytest.approx(0.7, abs=1e-6)


def test_outliers_are_clipped() -> None:
    # One of 1024 pixels white: (1 - mean) / deviation is about 32, far above 0.5 / 0.2.
    pixels = np.zeros((32, 32), np.float32)
    pixels[5, 5] = 1
    assert preprocess(pixels, STANDARD)[0, 5, 5] == 1


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_picture_becomes_one_half(value: float) -> None:
    grid = preprocess(np.full((100, 80), value, np.float32), STANDARD)
    np.testing.assert_array_equal(grid, np.full((1, 32, 32), 0.5, np.float32))


def test_picture_of_the_right_size_is_untouched() -> None:
    pixels = noise(32, 32)
    np.testing.assert_array_equal(preprocess(pixels, PLAIN)[0], pixels)
    once = preprocess(noise(200, 150), PLAIN)
    np.testing.assert_array_equal(preprocess(once[0], PLAIN), once)


def test_reduction_is_antialiased() -> None:
    # A one-pixel checkerboard, 8 pixels to 1: every pixel must become grey, none black or white.
    rows, columns = np.indices((256, 256))
    grid = preprocess(((rows + columns) % 2).astype(np.float32), PLAIN)
    np.testing.assert_allclose(grid, 0.5, atol=0.02)


def test_both_sides_are_squashed_to_the_square() -> None:
    # The right quarter of a wide picture is the right quarter of the square.
    pixels = np.zeros((64, 256), np.float32)
    pixels[:, 192:] = 1
    grid = preprocess(pixels, PLAIN)[0]
    assert grid[:, :23].max() == 0
    assert grid[:, 25:].min() == 1


def test_marker_removal_follows_the_spec() -> None:
    pixels = np.full((1000, 1000), 0.3, np.float32)
    pixels[50:110, 60:75] = 1  # an "L" of 60 pixels with strokes of 15
    pixels[95:110, 60:100] = 1
    kept = preprocess(pixels, PreprocessSpec(standardise=False, remove_markers=False))
    removed = preprocess(pixels, PreprocessSpec(standardise=False, remove_markers=True))
    assert kept.max() > 0.9
    np.testing.assert_allclose(removed, 0.3, atol=0.01)


CROPPED = PLAIN.model_copy(update={"lung_margin": 0.25})


def lungs_at(top: int, bottom: int, left: int, right: int) -> Lungs:
    """Two lungs on a grid of 16 x 16 that reach over these rows and columns."""
    masks = np.zeros((2, 16, 16), dtype=bool)
    masks[0, top : bottom - 1, left : left + 2] = True
    masks[1, top + 1 : bottom, right - 2 : right] = True
    return Lungs(*masks)


def test_the_field_is_the_lungs_and_a_margin_by_hand() -> None:
    # Rows 4 to 12 of 16, columns 2 to 14: 0.5 high and 0.75 wide, a quarter of that on each side.
    field = lung_box(CROPPED, lungs_at(4, 12, 2, 14))
    assert field == pytest.approx((0.25 - 0.125, 0, 0.75 + 0.125, 1))  # kept on the pixels
    assert lung_box(PLAIN, lungs_at(4, 12, 2, 14)) == WHOLE


def test_without_lungs_the_usual_field_is_taken() -> None:
    usual = lung_box(CROPPED, None)
    assert 0 < usual.top < usual.bottom < 1
    assert usual == lung_box(CROPPED, Lungs(*np.zeros((2, 8, 8), dtype=bool)))


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    ends=st.lists(st.floats(0, 1), min_size=4, max_size=4),
)
def test_a_crop_is_never_empty_and_keeps_its_place(
    height: int, width: int, ends: list[float]
) -> None:
    top, bottom = sorted(ends[:2])
    left, right = sorted(ends[2:])
    part = crop(noise(height, width), Box(top, left, bottom, right))
    assert part.size
    assert crop(part, WHOLE).shape == part.shape


def test_a_cropped_image_shows_the_lungs_alone() -> None:
    pixels = noise(64, 64)
    lungs = lungs_at(4, 12, 4, 12)
    spec = CROPPED.model_copy(update={"lung_margin": 0.0})
    # Rows and columns 16 to 48 of 64, and no resizing at 32 x 32.
    np.testing.assert_array_equal(preprocess(pixels, spec, lungs)[0], pixels[16:48, 16:48])
    far = pixels.copy()
    far[:16], far[48:] = 0, 1  # what lies outside changes nothing
    np.testing.assert_array_equal(preprocess(far, spec, lungs), preprocess(pixels, spec, lungs))


def test_equalised_input_does_not_depend_on_a_slope_of_exposure() -> None:
    spec = PLAIN.model_copy(update={"size": 128, "equalise": True})
    pixels = noise(128, 128) * np.float32(0.3)
    slope = np.linspace(0, 0.7, 128, dtype=np.float32)[:, None]
    likeness = {
        equalise: np.corrcoef(
            preprocess(pixels, spec.model_copy(update={"equalise": equalise})).ravel(),
            preprocess(pixels + slope, spec.model_copy(update={"equalise": equalise})).ravel(),
        )[0, 1]
        for equalise in (False, True)
    }
    assert likeness[True] > likeness[False] + 0.1
