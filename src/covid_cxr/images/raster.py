"""PNG, JPEG, WEBP, BMP, TIFF, GIF, JPEG 2000 and PPM, decoded by Pillow."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from covid_cxr.errors import UnreadableImage
from covid_cxr.types import FloatArray, Radiograph

MIN_EDGE = 32
MAX_PIXELS = 100_000_000

# The containers people send. Others that Pillow knows stay shut (EPS would run Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "PPM")
# What Pillow's plugins raise on damaged files; OSError includes UnidentifiedImageError and
# "image file is truncated".
_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_EXIF_ORIENTATION = 0x0112
# EXIF 2.3, tag 0x0112: what turns the stored rows into the upright picture.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
# ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def open_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Read the header only, and judge the size that it states.

    Raises:
        UnreadableImage: no known container, a broken header, too small or too large.
    """
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage("is no image of a known format") from error
    except _ERRORS as error:
        raise UnreadableImage(f"has a broken header: {_reason(error)}") from error
    check_size(image.width, image.height, max_pixels)
    return image


def decode(image: ImageFile.ImageFile, data: bytes, origin: str) -> Radiograph:
    """Decode what `open_picture(data)` returned.

    Raises:
        UnreadableImage: the pixels are truncated or damaged.
    """
    try:
        with image:
            several = bool(getattr(image, "is_animated", False))
            depth, negative = _bit_depth(image, data), _is_negative(image)
            image.load()
            pixels, flags = _to_float(_upright(image), depth)
    except _ERRORS as error:
        raise UnreadableImage(f"cannot be decoded: {_reason(error)}") from error
    if several:
        flags = ("several frames: the first is used", *flags)
    pixels = 1 - pixels if negative else pixels
    return Radiograph(pixels, origin, image.format or "", depth, flags=flags)


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Judge the size that a header states, before anything is decoded.

    Raises:
        UnreadableImage: smaller than 32 pixels a side or larger than `max_pixels` in all.
    """
    if min(width, height) < MIN_EDGE:
        raise UnreadableImage(f"has {width} x {height} pixels, expected {MIN_EDGE} a side or more")
    if width * height > max_pixels:
        raise UnreadableImage(f"has {width} x {height} pixels, the limit is {max_pixels} in all")


def to_grey(rgb: FloatArray) -> tuple[FloatArray, tuple[str, ...]]:
    """Return the Rec. 601 luma (H, W) of (H, W, 3) in [0, 1], and a flag where colour is real.

    JPEG leaves the channels of a grey picture a level or two apart; colour is called real where
    over 1 % of the pixels differ by more than 6 % of the range.
    """
    spread = rgb.max(axis=2) - rgb.min(axis=2)
    flags = ("holds colour: a radiograph has none",) if np.mean(spread > 0.06) > 0.01 else ()
    return np.clip(rgb @ _LUMA, 0, 1), flags


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _bit_depth(image: ImageFile.ImageFile, data: bytes) -> int:
    """Bits a sample has in the file; for a palette those of its colours."""
    if image.mode in ("P", "PA"):
        return 8
    if image.format == "PNG":
        return data[24]  # IHDR: signature 8, length 4, type 4, width 4, height 4, bit depth 1
    if image.format == "TIFF":
        bits = image.tag_v2.get(_TIFF_BITS, (1,))  # type: ignore[attr-defined]
        return int(bits[0])
    return {"1": 1, "I": 16, "I;16": 16, "I;16B": 16, "F": 32}.get(image.mode, 8)


def _is_negative(image: ImageFile.ImageFile) -> bool:
    """TIFF may store white as 0; Pillow turns 8-bit pictures over but not deeper ones."""
    if image.format != "TIFF" or not image.mode.startswith(("I", "F")):
        return False
    photometric = image.tag_v2.get(_TIFF_PHOTOMETRIC)  # type: ignore[attr-defined]
    return bool(photometric == _WHITE_IS_ZERO)


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; broken EXIF is no reason to refuse the picture."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except _ERRORS:
        return image
    step = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if step is None else image.transpose(step)


def _to_float(image: Image.Image, depth: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Return pixels (H, W) in [0, 1] and flags, whatever Pillow mode they are in."""
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255), ()
    if image.mode.startswith(("I", "F")):
        return _from_deep(np.asarray(image), depth)
    flags = ("16-bit colour reduced to 8 bits",) if depth == 16 else ()
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"), dtype=np.float32) / np.float32(255)
        grey, more = to_grey(rgba[..., :3] * rgba[..., 3:])
    else:
        grey, more = to_grey(np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255))
    return grey, flags + more


def _from_deep(samples: np.ndarray, depth: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Samples of more than 8 bits: by their depth where it is known, else by their range."""
    values = samples.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImage("holds values that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    top = 2.0**depth - 1
    if depth <= 16 and low >= 0 and high <= top:
        return (values / top).astype(np.float32), ()
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return scaled.astype(np.float32), ("no defined range: scaled by the values found",)
