"""Pillow images of any mode, and arrays of samples -> grey levels in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import sixteen_bit
from covid_cxr.types import FloatArray

# Yields rows and their samples (H, W) or (H, W, channels), from the top each time it is called.
Bands = Callable[[], Iterator[tuple[slice, NDArray[Any]]]]
Converted = tuple[FloatArray, int, tuple[str, ...]]

_BAND = 1 << 20  # pixels converted to float at a time
# ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# Alpha below this, of 255, leaves the brightest pixel nearly black.
_LEAST_ALPHA = 16
# An image of 16 bits with so many pixels below 12 bits shows nothing but a few bright ones.
_DARK, _MAJORITY = 1 << 12, 0.99
_INVISIBLE = "transparent all over: the transparency is ignored"


def convert(image: Image.Image, depth: int, low: Image.Image | None = None) -> Converted:
    """Return pixels (H, W) in [0, 1], the bits that a sample uses, and flags.

    Colour becomes luma, transparency is composited on black unless nothing would be left.

    Args:
        image: of any Pillow mode.
        depth: bits of a sample in the file.
        low: the low bytes of 16-bit colour or grey with alpha (`sixteen_bit.open_low_bytes`).

    Raises:
        UnreadableImage: samples that are not finite.
    """
    if image.mode.startswith(("I", "F")):
        return scale(lambda: _arrays(image), image.size[::-1], depth)
    if low is not None:
        return from_channels(lambda: _joined(image, low), image.size[::-1], depth)
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
    return pixels, depth, flags + _colour_flags(coloured, pixels.size)


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


def _arrays(image: Image.Image) -> Iterator[tuple[slice, NDArray[Any]]]:
    return ((rows, np.asarray(band)) for rows, band in _bands(image))


def from_channels(bands: Bands, shape: tuple[int, int], depth: int) -> Converted:
    """Convert RGB or RGBA of 8 to 16 bits, or grey thrice with alpha; as `convert` does.

    Args:
        bands: of unsigned samples (H, W, 3 or 4).
        shape: height and width.
        depth: bits of a sample in the file.
    """
    full, most, opacity, channels = 2**depth - 1, 0, 0, 3
    for _, samples in bands():
        channels = samples.shape[-1]
        most = max(most, int(samples[..., :3].max()))
        opacity = max(opacity, int(samples[..., -1].max()))
    top, flags = sixteen_bit.used_range(most) if depth == 16 else (full, ())
    invisible = channels == 4 and opacity < _LEAST_ALPHA << (depth - 8)
    pixels, coloured = np.empty(shape, np.float32), 0
    for rows, samples in bands():
        band = samples[..., :3].astype(np.float32) / np.float32(top)
        if channels == 4 and not invisible:
            band *= samples[..., 3:].astype(np.float32) / np.float32(full)
        pixels[rows], more = _luma(band)
        coloured += more
    flags += (_INVISIBLE,) if invisible else ()
    return pixels, top.bit_length(), flags + _colour_flags(coloured, pixels.size)


def bands_of(samples: NDArray[Any]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield a megapixel at a time of samples (H, W) or (H, W, channels)."""
    step = max(1, _BAND // samples.shape[1])
    for top in range(0, len(samples), step):
        yield slice(top, top + step), samples[top : top + step]


def _joined(image: Image.Image, low: Image.Image) -> Iterator[tuple[slice, NDArray[np.uint16]]]:
    """Yield bands of 16-bit samples (H, W, channels)."""
    for (rows, high), (_, least) in zip(_bands(image), _bands(low), strict=True):
        yield rows, sixteen_bit.join(high, least)


def scale(bands: Bands, shape: tuple[int, int], depth: int) -> Converted:
    """Scale samples by their depth where it is known, else by their range; as `convert` does.

    Args:
        bands: of samples (H, W), of any type of number.
        shape: height and width.
        depth: bits of a sample in the file.

    Raises:
        UnreadableImage: samples that are not finite.
    """
    ends = np.array([_ends(band) for _, band in bands()])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    flags: tuple[str, ...] = ()
    if depth > 16 or low < 0 or high > 2.0**depth - 1:
        flags = ("no defined range: scaled by the values found",)
    elif depth == 16:
        top, flags = sixteen_bit.used_range(*_dark_majority(bands, int(high)))
        low, high, depth = 0.0, float(top), top.bit_length()
    else:
        low, high = 0.0, 2.0**depth - 1
    pixels = np.zeros(shape, np.float32)
    for rows, band in bands() if high > low else ():
        pixels[rows] = np.minimum((band.astype(np.float64) - low) / (high - low), 1)
    return pixels, depth, flags


def _dark_majority(bands: Bands, highest: int) -> tuple[int, bool]:
    """Return the highest sample; of those in the darkest sixteenth if 99 % are, and whether so."""
    if highest < _DARK:
        return highest, False
    total = dark = most = 0
    for _, band in bands():
        low = band[band < _DARK]
        total, dark = total + band.size, dark + low.size
        most = max(most, int(low.max(initial=0)))
    return (most, True) if dark >= _MAJORITY * total else (highest, False)


def _ends(samples: NDArray[Any]) -> tuple[float, float]:
    """Return the least and greatest sample; all must be finite."""
    if not np.isfinite(samples).all():
        raise UnreadableImage("holds values that are not finite numbers")
    return float(samples.min()), float(samples.max())
