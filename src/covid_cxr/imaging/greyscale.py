"""Pillow images of any mode -> grey levels in [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import sixteen_bit
from covid_cxr.types import FloatArray

_BAND = 1 << 20  # pixels converted to float at a time
# ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Alpha below this, of 255, leaves the brightest pixel nearly black.
_LEAST_ALPHA = 16
_INVISIBLE = "transparent all over: the transparency is ignored"


def convert(
    image: Image.Image, depth: int, low: Image.Image | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return pixels (H, W) in [0, 1] and flags.

    Colour becomes luma, transparency is composited on black unless nothing would be left.

    Args:
        image: of any Pillow mode.
        depth: bits of a sample in the file.
        low: the low bytes of 16-bit colour or grey with alpha (`sixteen_bit.open_low_bytes`).

    Raises:
        UnreadableImage: samples that are not finite.
    """
    if image.mode.startswith(("I", "F")):
        return _from_wide(image, depth)
    if low is not None:
        return _from_sixteen_bit_colour(image, low)
    flags: tuple[str, ...] = ()
    if depth == 16 and image.mode not in ("1", "L"):
        flags = ("16-bit colour reduced to 8 bits",)
    opaque = image.has_transparency_data and all(
        _alpha(band).max() < _LEAST_ALPHA for _, band in _bands(image)
    )
    pixels, coloured = np.empty((image.height, image.width), np.float32), 0
    for rows, band in _bands(image):
        if band.mode in ("1", "L"):
            np.divide(np.asarray(band.convert("L")), np.float32(255), out=pixels[rows])
        else:
            pixels[rows], more = _grey(band, opaque=opaque)
            coloured += more
    flags += (_INVISIBLE,) if opaque else ()
    return pixels, flags + _colour_flags(coloured, pixels.size)


def to_grey(rgb: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the Rec. 601 luma (H, W) of (H, W, 3) in [0, 1], and a flag for true colour.

    JPEG leaves the channels of a grey image a level or two apart; colour is true where over 1 % of
    the pixels differ by more than 6 % of the range.
    """
    grey, coloured = _luma(rgb)
    return grey, _colour_flags(coloured, grey.size)


def _luma(rgb: FloatArray) -> tuple[FloatArray, int]:
    """Return the luma (H, W) and the number of pixels in colour."""
    # Pair by pair: NumPy takes ten times as long to reduce an axis of three.
    red, green, blue = np.moveaxis(rgb, -1, 0)
    most = np.maximum(np.maximum(red, green), blue)
    spread = most - np.minimum(np.minimum(red, green), blue)
    return np.clip(rgb @ _LUMA, 0, 1), int(np.count_nonzero(spread > 0.06))


def _colour_flags(coloured: int, pixels: int) -> tuple[str, ...]:
    return ("holds colour: a radiograph has none",) if coloured > 0.01 * pixels else ()


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield a megapixel at a time: intermediate results take ten times the memory."""
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        end = min(top + step, image.height)
        yield slice(top, end), image.crop((0, top, image.width, end))


def _alpha(band: Image.Image) -> NDArray[np.uint8]:
    """Return the alpha (H, W) of a band with transparency."""
    return np.asarray(band.convert("RGBA"))[..., 3]


def _grey(band: Image.Image, *, opaque: bool) -> tuple[FloatArray, int]:
    """Return pixels (H, W) in [0, 1] of a colour image, and how many are in colour."""
    if not band.has_transparency_data:
        return _luma(np.asarray(band.convert("RGB"), dtype=np.float32) / np.float32(255))
    rgba = np.asarray(band.convert("RGBA"), dtype=np.float32) / np.float32(255)
    return _luma(rgba[..., :3] if opaque else rgba[..., :3] * rgba[..., 3:])


def _from_sixteen_bit_colour(
    image: Image.Image, low: Image.Image
) -> tuple[FloatArray, tuple[str, ...]]:
    """Convert 16-bit colour, or grey with alpha, from its high and its low bytes."""
    most, visible = 0, image.mode == "RGB"
    for _, samples in _joined(image, low):
        most = max(most, int(samples[..., :3].max()))
        visible = visible or int(samples[..., 3].max()) >= _LEAST_ALPHA << 8
    top, flags = sixteen_bit.used_range(most)
    pixels, coloured = np.empty((image.height, image.width), np.float32), 0
    for rows, samples in _joined(image, low):
        band = samples[..., :3].astype(np.float32) / np.float32(top)
        if image.mode == "RGBA" and visible:
            band *= samples[..., 3:].astype(np.float32) / np.float32(2**16 - 1)
        pixels[rows], more = _luma(band)
        coloured += more
    flags += () if visible else (_INVISIBLE,)
    return pixels, flags + _colour_flags(coloured, pixels.size)


def _joined(image: Image.Image, low: Image.Image) -> Iterator[tuple[slice, NDArray[np.uint16]]]:
    """Yield bands of 16-bit samples (H, W, channels)."""
    for (rows, high), (_, least) in zip(_bands(image), _bands(low), strict=True):
        yield rows, sixteen_bit.join(high, least)


def _from_wide(image: Image.Image, depth: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Scale samples of more than 8 bits by their depth where it is known, else by their range."""
    ends = np.array([_ends(band) for _, band in _bands(image)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    flags: tuple[str, ...] = ()
    if depth > 16 or low < 0 or high > 2.0**depth - 1:
        flags = ("no defined range: scaled by the values found",)
    elif depth == 16:
        (high, flags), low = sixteen_bit.used_range(int(high)), 0.0
    else:
        low, high = 0.0, 2.0**depth - 1
    pixels = np.zeros((image.height, image.width), np.float32)
    for rows, band in _bands(image) if high > low else ():
        pixels[rows] = (np.asarray(band).astype(np.float64) - low) / (high - low)
    return pixels, flags


def _ends(band: Image.Image) -> tuple[float, float]:
    """Return the least and greatest sample; all must be finite."""
    samples = np.asarray(band)
    if not np.isfinite(samples).all():
        raise UnreadableImage("holds values that are not finite numbers")
    return float(samples.min()), float(samples.max())
