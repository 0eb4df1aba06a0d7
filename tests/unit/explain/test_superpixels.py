"""Regions and what hides them; the designs by which they are hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from covid_cxr.explain import RegionSettings
from covid_cxr.explain.methods.lime import ORIGINAL
from covid_cxr.explain.sampling import sample_masks
from covid_cxr.explain.superpixels import QUICKSHIFT, constants, filled, region_means, superpixels
from covid_cxr.types import Lungs

METHODS = ("quickshift", "slic", "lungs", "grid")


def _image(size: int = 96, seed: int = 0) -> np.ndarray:
    smooth = gaussian_filter(np.random.default_rng(seed).random((size, size)), 4)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def _lungs(size: int = 40) -> Lungs:
    right, left = np.zeros((2, size, size), bool)
    right[size // 5 : size * 4 // 5, size // 8 : size * 3 // 8] = True
    left[size // 5 : size * 4 // 5, size * 5 // 8 : size * 7 // 8] = True
    return Lungs(right, left)


@pytest.mark.parametrize("method", METHODS)
def test_regions_are_numbered_without_gaps(method: str) -> None:
    settings = RegionSettings(superpixels=method, regions=40, lungs=_lungs())
    segments = superpixels(_image(), settings)
    assert (segments.shape, segments.dtype) == ((96, 96), np.int32)
    assert np.unique(segments).tolist() == list(range(segments.max() + 1))
    if method != "quickshift":
        assert 20 <= segments.max() + 1 <= 60


def test_a_grid_by_hand() -> None:
    segments = superpixels(_image(8), RegionSettings(superpixels="grid", regions=4))
    assert segments[:4, :4].max() == 0
    assert (segments[0, 7], segments[7, 0], segments[7, 7]) == (1, 2, 3)


def test_no_region_crosses_the_border_of_a_lung() -> None:
    size = 96
    lungs = _lungs(size)
    segments = superpixels(
        _image(size), RegionSettings(superpixels="lungs", regions=40, lungs=lungs)
    )
    sides = lungs.right + 2 * lungs.left
    for region in range(segments.max() + 1):
        assert len(np.unique(sides[segments == region])) == 1
    inside = np.unique(segments[lungs.both])
    assert 0.3 < len(inside) / (segments.max() + 1) < 0.7  # about half, by design


def test_without_lungs_they_are_plain_slic() -> None:
    plain = superpixels(_image(), RegionSettings(superpixels="slic", regions=30))
    assert np.array_equal(
        plain, superpixels(_image(), RegionSettings(superpixels="lungs", regions=30))
    )


def test_superpixels_follow_an_edge() -> None:
    radiograph = np.full((96, 96), 0.2, dtype=np.float32)
    radiograph[:, 48:] = 0.9
    segments = superpixels(radiograph, ORIGINAL)
    assert not set(segments[:, :46].ravel()) & set(segments[:, 50:].ravel())


@pytest.mark.parametrize("method", METHODS)
def test_a_blank_image_can_be_segmented(method: str) -> None:
    radiograph = np.zeros((32, 32), dtype=np.float32)
    settings = RegionSettings(superpixels=method, regions=9, lungs=_lungs())
    assert superpixels(radiograph, settings).shape == (32, 32)


def test_lungs_that_fill_the_radiograph_or_are_missing_do_no_harm() -> None:
    whole = np.ones((8, 8), bool)
    for lungs in (Lungs(whole, whole), Lungs(~whole, ~whole), Lungs(whole, ~whole)):
        settings = RegionSettings(superpixels="lungs", regions=9, lungs=lungs)
        assert superpixels(_image(32), settings).max() >= 1


def test_the_same_radiograph_is_segmented_once_and_cannot_be_written_to() -> None:
    radiograph = _image(48, seed=9)
    first = superpixels(radiograph, ORIGINAL)
    assert superpixels(radiograph.copy(), ORIGINAL.model_copy(update={"samples": 77})) is first
    assert superpixels(radiograph, RegionSettings(superpixels="slic")) is not first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


def test_what_hides_a_region_by_hand() -> None:
    radiograph = np.array([[0.0, 0.2], [0.5, 0.9]], dtype=np.float32)
    segments = np.array([[0, 0], [1, 1]], dtype=np.int32)
    assert region_means(radiograph, segments) == pytest.approx([0.1, 0.7])
    covered = {each: filled(radiograph, segments, each) for each in ("mean", "dark")}
    np.testing.assert_allclose(covered["mean"], [[0.1, 0.1], [0.7, 0.7]], atol=1e-6)
    assert (covered["dark"] == np.float32(0.2)).all()
    assert (filled(radiograph, segments, "dataset") == 0.5).all()


def test_a_blur_keeps_light_and_dark_and_nothing_else() -> None:
    radiograph = np.full((64, 64), 0.2, np.float32)
    radiograph[:, 32:] = 0.8
    radiograph[::2] += 0.1
    blurred = filled(radiograph, np.zeros((64, 64), np.int32), "blur")
    assert blurred.dtype == np.float32
    assert blurred.mean() == pytest.approx(radiograph.mean(), abs=0.02)
    left, right = blurred[:, 5].mean(), blurred[:, -5].mean()
    assert left < 0.35
    assert right > 0.75
    assert np.abs(np.diff(blurred, axis=0)).max() < 0.01  # without the stripes


def test_only_quickshift_has_constants_beside_its_settings() -> None:
    recorded = [constants(RegionSettings(superpixels=method)) for method in METHODS]
    assert recorded == [{"quickshift": QUICKSHIFT}, {}, {}, {}]


@pytest.mark.parametrize("sampling", ["antithetic", "balanced"])
def test_samples_are_followed_by_their_complement(sampling: str) -> None:
    masks = sample_masks(21, 101, 4, sampling)
    assert masks[0].all()
    assert np.array_equal(masks[1::2], ~masks[2::2])
    assert not np.array_equal(masks, sample_masks(21, 101, 5, sampling))
    assert np.array_equal(masks, sample_masks(21, 101, 4, sampling))


@given(regions=st.integers(1, 31), seed=st.integers(0, 100))
def test_a_balanced_block_shows_every_two_regions_equally(regions: int, seed: int) -> None:
    order = 1 << int(np.ceil(np.log2(regions + 1)))
    block = sample_masks(regions, 2 * order + 1, seed, "balanced")[1:]
    signs = np.where(block, 1, -1)
    assert np.array_equal(signs.T @ signs, 2 * order * np.eye(regions))


@given(
    regions=st.integers(1, 40),
    samples=st.integers(10, 99),
    sampling=st.sampled_from(["bernoulli", "antithetic", "balanced"]),
)
def test_every_design_has_the_shape_asked_for(regions: int, samples: int, sampling: str) -> None:
    masks = sample_masks(regions, samples, 0, sampling)
    assert (masks.shape, masks.dtype) == ((samples, regions), np.bool_)
    assert masks[0].all()
