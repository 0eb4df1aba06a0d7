"""PNG, JPEG, WEBP, BMP, TIFF, GIF, JPEG 2000 and PPM, decoded by Pillow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageFile, UnidentifiedImageError

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import containers
from covid_cxr.types import FloatArray, Radiograph

MIN_EDGE = 32
# The most that a DICOM or JPEG header can state; other decoders allocate whole rows.
MAX_EDGE = 65_535
MAX_PIXELS = 100_000_000

# Supported containers; others that Pillow knows stay disabled (EPS would run Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "PPM")
# What decoders raise on malformed files; OSError includes UnidentifiedImageError and "image file
# is truncated".
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError,
    ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
_EXIF_ORIENTATION = 0x0112
# EXIF 2.3, tag 0x0112: orientation -> transformation of the stored rows to upright.
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
# libjpeg fills missing coefficients with 128, in blocks of 8 x 8.
_MID_GREY, _BLOCK = 128, 8
_BAND = 1 << 20  # pixels converted to float at a time
# ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Read the header only, and check the size and structure that it states.

    Raises:
        UnreadableImage: no known container, a broken header, too small, too large, or truncated.
    """
    canvas = containers.webp_size(data)
    if canvas:
        check_size(*canvas, max_pixels)
    try:
        image = Image.open(BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage("is no image of a known format") from error
    except Image.DecompressionBombError as error:
        message = f"has too many pixels, the limit is {max_pixels} in all: {_reason(error)}"
        raise UnreadableImage(message) from error
    except DECODER_ERRORS as error:
        raise UnreadableImage(f"has a broken header: {_reason(error)}") from error
    check_size(image.width, image.height, max_pixels)
    containers.check(image, data)
    return image


def decode(image: ImageFile.ImageFile, data: bytes, origin: str) -> Radiograph:
    """Decode the image that `open_image(data)` returned.

    Raises:
        UnreadableImage: the pixels are truncated or damaged.
    """
    try:
        with image:
            several = bool(getattr(image, "is_animated", False))
            depth, negative = _bit_depth(image, data), _is_negative(image)
            image.load()
            flags = _check_end(image, data)
            pixels, more = _to_float(_upright(_inks(image)), depth)
    except DECODER_ERRORS as error:
        raise UnreadableImage(f"cannot be decoded: {_reason(error)}") from error
    flags = ("several frames: the first is used", *flags) if several else flags
    pixels = 1 - pixels if negative else pixels
    return Radiograph(pixels, origin, image.format or "", depth, flags=flags + more)


def check_size(width: int, height: int, max_pixels: int = MAX_PIXELS) -> None:
    """Check the size that a header states, before anything is decoded.

    Raises:
        UnreadableImage: a side smaller than 32 or larger than 65,535 pixels, or more than
            `max_pixels` in all.
    """
    if min(width, height) < MIN_EDGE:
        raise UnreadableImage(f"has {width} x {height} pixels, expected {MIN_EDGE} a side or more")
    if width * height > max_pixels:
        raise UnreadableImage(f"has {width} x {height} pixels, the limit is {max_pixels} in all")
    if max(width, height) > MAX_EDGE:
        raise UnreadableImage(f"has {width} x {height} pixels, the limit is {MAX_EDGE} a side")


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


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _bit_depth(image: ImageFile.ImageFile, data: bytes) -> int:
    """Return the bits of a sample in the file; for a palette those of its colours."""
    if image.mode in ("P", "PA"):
        return 8
    if image.format == "PNG":
        return data[24]  # IHDR: signature 8, length 4, type 4, width 4, height 4, bit depth 1
    if image.format == "TIFF":
        bits = image.tag_v2.get(_TIFF_BITS, (1,))  # type: ignore[attr-defined]
        return int(bits[0])
    return {"1": 1, "I": 16, "I;16": 16, "I;16B": 16, "F": 32}.get(image.mode, 8)


def _is_negative(image: ImageFile.ImageFile) -> bool:
    """TIFF may store white as 0; Pillow inverts 8-bit images but not deeper ones."""
    if image.format != "TIFF" or not image.mode.startswith(("I", "F")):
        return False
    photometric = image.tag_v2.get(_TIFF_PHOTOMETRIC)  # type: ignore[attr-defined]
    return bool(photometric == _WHITE_IS_ZERO)


def _inks(image: ImageFile.ImageFile) -> Image.Image:
    """Undo Pillow's inversion of CMYK where no Adobe marker asks for it."""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)
    return image


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; broken EXIF is ignored."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except DECODER_ERRORS:
        return image
    step = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if step is None else image.transpose(step)


def _check_end(image: ImageFile.ImageFile, data: bytes) -> tuple[str, ...]:
    """Detect truncation by the last pixels, which libraries leave black or grey.

    libjpeg fills missing blocks with mid-grey; an intact radiograph may end so too, hence a flag.
    """
    width, height = image.size
    if image.format == "PNG":
        last = np.asarray(image.crop((0, height - 1, width, height)))
        if not last.any() and containers.misses_rows(data):
            raise UnreadableImage("is cut short: its last rows are missing")
    elif image.format in ("JPEG", "MPO", "TIFF"):
        corner = image.crop((width - _BLOCK, height - _BLOCK, width, height))
        if corner.mode in ("L", "RGB") and set(corner.tobytes()) == {_MID_GREY}:
            return ("ends in plain mid-grey, as damaged JPEG does",)
    return ()


def _to_float(image: Image.Image, depth: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Return pixels (H, W) in [0, 1] and flags, for any Pillow mode."""
    if image.mode.startswith(("I", "F")):
        return _from_deep(image, depth)
    pixels = np.empty((image.height, image.width), np.float32)
    coloured = 0
    for rows, band in _bands(image):
        if band.mode in ("1", "L"):
            np.divide(np.asarray(band.convert("L")), np.float32(255), out=pixels[rows])
        else:
            pixels[rows], more = _grey(band)
            coloured += more
    reduced = depth == 16 and image.mode not in ("1", "L")
    flags = ("16-bit colour reduced to 8 bits",) if reduced else ()
    return pixels, flags + _colour_flags(coloured, pixels.size)


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield a megapixel at a time: intermediate results take ten times the memory."""
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        end = min(top + step, image.height)
        yield slice(top, end), image.crop((0, top, image.width, end))


def _grey(band: Image.Image) -> tuple[FloatArray, int]:
    """Return pixels (H, W) in [0, 1] of a colour image, and how many are in colour."""
    if not band.has_transparency_data:
        return _luma(np.asarray(band.convert("RGB"), dtype=np.float32) / np.float32(255))
    rgba = np.asarray(band.convert("RGBA"), dtype=np.float32) / np.float32(255)
    return _luma(rgba[..., :3] * rgba[..., 3:])


def _from_deep(image: Image.Image, depth: int) -> tuple[FloatArray, tuple[str, ...]]:
    """Scale samples of more than 8 bits by their depth where it is known, else by their range."""
    ends = np.array([_ends(band) for _, band in _bands(image)])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    top = 2.0**depth - 1
    has_depth = depth <= 16 and low >= 0 and high <= top
    low, high = (0.0, top) if has_depth else (low, high)
    pixels = np.zeros((image.height, image.width), np.float32)
    for rows, band in _bands(image) if high > low else ():
        pixels[rows] = (np.asarray(band).astype(np.float64) - low) / (high - low)
    return pixels, () if has_depth else ("no defined range: scaled by the values found",)


def _ends(band: Image.Image) -> tuple[float, float]:
    """Return the least and greatest sample; all must be finite."""
    samples = np.asarray(band)
    if not np.isfinite(samples).all():
        raise UnreadableImage("holds values that are not finite numbers")
    return float(samples.min()), float(samples.max())
