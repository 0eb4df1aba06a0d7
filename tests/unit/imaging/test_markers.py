"""Drawn markers are removed, everything else stays bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging import preprocess, remove_markers
from covid_cxr.imaging.markers import _median, find_markers
from covid_cxr.types import BoolArray, FloatArray, Lungs


def noise_image(height: int = 512, width: int = 512, seed: int = 0) -> FloatArray:
    """A look-alike: bright body, dark lungs, spine, soft ribs, grain."""
    v, u = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    image = 0.15 + 0.45 * (np.abs(u - 0.5) < 0.46) * (v > 0.06)
    for centre in (0.3, 0.7):
        image[((u - centre) / 0.16) ** 2 + ((v - 0.5) / 0.32) ** 2 < 1] = 0.2
    image += 0.3 * np.exp(-(((u - 0.5) / 0.05) ** 2))
    image += 0.10 * np.clip(np.sin(50 * (v - 0.15 * (u - 0.5) ** 2)), 0, 1)
    image = ndimage.gaussian_filter(image, max(height, width) / 128)
    image += np.random.default_rng(seed).normal(0, 0.01, image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def write(pixels: FloatArray, text: str, at: tuple[float, float], size: float) -> BoolArray:
    """Draw `text` in white (row and column and height as shares); return its pixels."""
    height, width = pixels.shape
    layer = Image.new("L", (width, height))
    font = ImageFont.load_default(round(size * max(height, width)))
    ImageDraw.Draw(layer).text((at[1] * width, at[0] * height), text, fill=255, font=font)
    ink = np.asarray(layer, dtype=np.float32) / 255
    pixels[:] = pixels * (1 - ink) + 0.97 * ink
    return ink > 0.5


MARKERS = [
    ("L", (0.03, 0.90), 0.08),
    ("R", (0.08, 0.09), 0.05),
    ("AP", (0.02, 0.40), 0.05),
    ("PORTABLE", (0.93, 0.03), 0.035),
    ("erect 13:05", (0.01, 0.60), 0.04),
    ("<-", (0.50, 0.02), 0.06),
]


@pytest.mark.parametrize("shape", [(512, 512), (384, 300), (700, 1000)])
@pytest.mark.parametrize(("text", "at", "size"), MARKERS)
def test_drawn_marker_is_detected_and_removed(
    shape: tuple[int, int], text: str, at: tuple[float, float], size: float
) -> None:
    clean = noise_image(*shape)
    marked = clean.copy()
    ink = write(marked, text, at, size)
    mask = find_markers(marked)
    assert mask[ink].mean() > 0.95
    repaired = remove_markers(marked)
    # What the ink covered is nearly back, and nothing off the marker has changed.
    assert np.abs(repaired - clean)[ink].mean() < 0.1
    near = ndimage.maximum_filter(ink, 2 * round(0.03 * max(shape)) + 1)
    np.testing.assert_array_equal(repaired[~near], marked[~near])


def test_only_what_reaches_into_the_region_is_painted_over() -> None:
    pixels = noise_image()
    for text, at, size in MARKERS:
        write(pixels, text, at, size)
    everywhere = remove_markers(pixels)
    for region in (
        (slice(0, 512), slice(0, 256)),
        (slice(490, 512), slice(0, 512)),
        (slice(40, 300), slice(470, 490)),  # cuts the L
    ):
        there = remove_markers(pixels, region)
        assert not np.array_equal(there[region], pixels[region])
        np.testing.assert_array_equal(there[region], everywhere[region])
        assert not np.array_equal(there, everywhere)
    assert remove_markers(pixels, (slice(200, 300), slice(200, 300))) is pixels


def test_input_cropped_to_the_lungs_is_that_of_an_image_without_markers() -> None:
    # The field is no square and off the centre, so that rows taken for columns are noticed.
    pixels = noise_image()
    for text, at, size in MARKERS:
        write(pixels, text, at, size)
    right, left = np.zeros((2, 100, 100), dtype=bool)
    right[5:40, 2:20], left[5:40, 30:55] = True, True
    lungs = Lungs(right, left)
    spec = PreprocessSpec(size=96, lung_margin=0.06)
    plain = spec.model_copy(update={"remove_markers": False})
    expected = preprocess(remove_markers(pixels), plain, lungs)
    assert not np.array_equal(preprocess(pixels, plain, lungs), expected)  # one lies in the field
    np.testing.assert_array_equal(preprocess(pixels, spec, lungs), expected)


def test_image_without_markers_is_returned_as_it_is() -> None:
    for seed in range(3):
        pixels = noise_image(seed=seed)
        assert remove_markers(pixels) is pixels


@pytest.mark.parametrize("count", [1, 2, 7, 8])
def test_the_median_is_that_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).random(count, dtype=np.float32)
    assert _median(values) == float(np.median(values))


def test_input_is_not_written_to() -> None:
    pixels = noise_image()
    write(pixels, "L", (0.03, 0.90), 0.08)
    before = pixels.copy()
    remove_markers(pixels)
    np.testing.assert_array_equal(pixels, before)


def test_devices_in_the_middle_of_the_chest_stay() -> None:
    pixels = noise_image()
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    draw.ellipse((330, 130, 375, 165), fill=1.0)  # pacemaker
    draw.line([(350, 160), (300, 240), (290, 330)], fill=0.9, width=3)  # its lead
    for row in range(150, 330, 30):
        draw.ellipse((250, row, 258, row + 8), outline=1.0)  # sternal wires
    device = np.array(picture, dtype=np.float32)
    assert (device != pixels).any()
    np.testing.assert_array_equal(remove_markers(device), device)


def test_bright_bones_stay_wherever_they_are() -> None:
    # A clavicle, a rib and pieces no longer than letters, as bright as those, but with edges
    # that rise over 2 % of the picture.
    pixels = noise_image()
    picture = Image.new("F", (512, 512))
    draw = ImageDraw.Draw(picture)
    draw.line([(20, 70), (200, 110)], fill=1.2, width=14)
    draw.arc((10, 150, 200, 420), 120, 240, fill=1.2, width=10)
    draw.line([(440, 20), (480, 40)], fill=1.2, width=14)
    draw.line([(8, 470), (22, 495)], fill=1.2, width=14)
    soft = ndimage.gaussian_filter(np.array(picture), 5)
    bones = np.clip(pixels + soft, 0, 1).astype(np.float32)
    assert not find_markers(bones).any()


def test_long_wire_and_image_border_stay() -> None:
    pixels = noise_image()
    pixels[:, :6] = 1  # unexposed edge
    rows = np.arange(10, 500)
    columns = (40 + 15 * np.sin(rows / 40)).astype(int)
    for shift in range(3):
        pixels[rows, columns + shift] = 0.95
    assert not find_markers(pixels).any()


def test_black_plate_goes_with_its_letters() -> None:
    pixels = noise_image()
    clean = pixels.copy()
    pixels[440:475, 200:300] = 0  # below the middle: only its text makes it a marker
    pixels[478:503, 30:130] = 0
    write(pixels, "SUPINE", (0.938, 0.07), 0.04)
    repaired = remove_markers(pixels)
    assert np.abs(repaired - clean)[478:503, 30:130].mean() < 0.08
    np.testing.assert_array_equal(repaired[440:475, 200:300], 0)


def test_black_background_stays_when_the_letter_goes() -> None:
    pixels = noise_image()
    pixels[:, :120] = 0
    write(pixels, "R", (0.05, 0.05), 0.06)
    repaired = remove_markers(pixels)
    assert repaired[:, :110].max() < 0.02


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_pictures_have_no_marker(value: float) -> None:
    for shape in ((1, 1), (40, 3), (200, 200)):
        assert not find_markers(np.full(shape, value, np.float32)).any()
