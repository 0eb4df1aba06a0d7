"""Changes to a film that leave what the lungs show alone."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from covid_cxr.imaging.markers import remove_markers
from covid_cxr.types import BoolArray, FloatArray


class Donor(NamedTuple):
    """A film (H, W) of another hospital, and where on it lettering stands."""

    pixels: FloatArray
    markers: BoolArray


Change = Callable[[FloatArray, Donor | None, np.random.Generator], FloatArray | None]

_MARGIN = 0.04  # cropped on each side
_FRAME = 0.03


def without_markers(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film with lettering painted over."""
    return remove_markers(pixels)


def with_marker(pixels: FloatArray, _: Donor | None, rng: np.random.Generator) -> FloatArray:
    """Return the film with a letter and a word burnt into upper corners."""
    picture = _picture(pixels)
    pen, (width, height) = ImageDraw.Draw(picture), picture.size
    size = max(9, round(0.05 * max(picture.size)))
    left = bool(rng.integers(2))
    pen.text((width * (0.06 if left else 0.9), height * 0.08), "R", fill=255, font_size=size)
    place = (width * (0.68 if left else 0.05), height * 0.05)
    pen.text(place, "PORTABLE", fill=240, font_size=max(8, round(0.6 * size)))
    return _floats(picture)


def transplanted(
    pixels: FloatArray, donor: Donor | None, _: np.random.Generator
) -> FloatArray | None:
    """Return the film with another hospital's lettering, at its place; None without a donor."""
    if donor is None:
        return None
    size = pixels.shape[1], pixels.shape[0]
    given = Image.fromarray(donor.pixels).resize(size, Image.Resampling.BILINEAR)
    where = Image.fromarray(donor.markers).resize(size, Image.Resampling.NEAREST)
    return np.where(np.asarray(where), np.asarray(given, np.float32), remove_markers(pixels))


def cropped(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film without 4 % on each side."""
    rows, columns = (max(1, round(_MARGIN * edge)) for edge in pixels.shape)
    return pixels[rows:-rows, columns:-columns]


def framed(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film in a black frame of 3 %, as a collimator leaves it."""
    width = max(1, round(_FRAME * max(pixels.shape)))
    return np.pad(pixels, width)


def low_contrast(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film with contrast at 70 %."""
    return 0.5 + 0.7 * (pixels - 0.5)


def darker(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film with gamma 1.3."""
    return np.asarray(pixels**1.3, np.float32)


def blurred(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film blurred by a Gaussian of 0.3 % of the edge."""
    return np.asarray(ndimage.gaussian_filter(pixels, 0.003 * max(pixels.shape)))


def recompressed(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film after JPEG at quality 40."""
    buffer = BytesIO()
    _picture(pixels).save(buffer, "JPEG", quality=40)
    with Image.open(buffer) as picture:
        return _floats(picture)


def coarse(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the film at half its resolution."""
    picture = Image.fromarray(pixels)
    half = max(32, picture.width // 2), max(32, picture.height // 2)
    return np.asarray(picture.resize(half, Image.Resampling.BICUBIC), np.float32)


CHANGES: dict[str, Change] = {
    "markers removed": without_markers,
    "marker added": with_marker,
    "marker transplanted": transplanted,
    "borders cropped": cropped,
    "frame added": framed,
    "contrast": low_contrast,
    "gamma": darker,
    "blur": blurred,
    "JPEG": recompressed,
    "resolution": coarse,
}


def _picture(pixels: FloatArray) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def _floats(picture: Image.Image) -> FloatArray:
    return np.asarray(picture, dtype=np.float32) / np.float32(255)
