"""PNG, JPEG, WEBP, BMP, TIFF, GIF, JPEG 2000 and PPM, decoded by Pillow."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageFile, ImagePalette, UnidentifiedImageError

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import containers, greyscale, sixteen_bit
from covid_cxr.types import FloatArray, Radiograph

MIN_EDGE = 32
# The most that a DICOM or JPEG header can state; other decoders allocate whole rows.
MAX_EDGE = 65_535
MAX_PIXELS = 100_000_000
SEVERAL = "several frames: the first is used"

# Supported containers; others that Pillow knows stay disabled (EPS would run Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000", "PPM")
# What starts an archive, which users name in place of the folder that it was made of.
_ARCHIVES = {
    b"PK\3\4": "ZIP", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}  # fmt: skip
_TAR = slice(257, 262)  # where an archive of POSIX tar says "ustar"
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
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PALETTE, _WHITE_IS_ZERO = 258, 262, 320, 0
# libjpeg fills missing coefficients with 128, in blocks of 8 x 8.
_MID_GREY, _BLOCK = 128, 8


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Read the header only, and check the size and structure that it states.

    Raises:
        UnreadableImage: no known container, a broken header, too small, too large, or truncated.
    """
    canvas = containers.webp_size(data)
    if canvas:
        check_size(*canvas, max_pixels)
    try:
        whole, _ = containers.repair_codestream(data)
        image = Image.open(BytesIO(whole), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage(_other_format(data)) from error
    except Image.DecompressionBombError as error:
        message = f"has too many pixels, the limit is {max_pixels} in all: {_reason(error)}"
        raise UnreadableImage(message) from error
    except DECODER_ERRORS as error:
        raise UnreadableImage(f"has a broken header: {_reason(error)}") from error
    check_size(image.width, image.height, max_pixels)
    containers.check(image, whole)
    return image


def _other_format(data: bytes) -> str:
    kinds = (kind for start, kind in _ARCHIVES.items() if data.startswith(start))
    kind = "tar" if data[_TAR] == b"ustar" else next(kinds, None)
    if kind is None:
        return "is no image of a known format"
    return f"is an archive ({kind}), expected an image file; unpack it and name its folder"


def decode(image: ImageFile.ImageFile, data: bytes, origin: str) -> Radiograph:
    """Decode the image that `open_image(data)` returned.

    Raises:
        UnreadableImage: the pixels are truncated or damaged.
    """
    try:
        with image:
            several = bool(getattr(image, "is_animated", False))
            depth, negative = _bit_depth(image, data), _is_negative(image)
            low = sixteen_bit.open_low_bytes(image, data) if depth == 16 else None
            flags = _widen_palette(image)
            image.load()
            flags += _check_end(image, data)
            turn = _orientation(image)
            low = None if low is None else _turned(low, turn)
            turned = _turned(_inks(image), turn)
            pixels, depth, more = greyscale.convert(turned, depth, low)
    except DECODER_ERRORS as error:
        raise UnreadableImage(f"cannot be decoded: {_reason(error)}") from error
    flags = (SEVERAL, *flags) if several else flags
    if negative:
        np.subtract(1, pixels, out=pixels)
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


def _widen_palette(image: ImageFile.ImageFile) -> tuple[str, ...]:
    """Use a TIFF palette by the low 8 of its 16 bits where a writer fills no others."""
    colours = image.tag_v2.get(_TIFF_PALETTE) if image.format == "TIFF" else None  # type: ignore[attr-defined]
    if not colours or image.mode != "P" or max(colours) > 255:
        return ()
    image.palette = ImagePalette.raw("RGB;L", bytes(colours))
    return ("8 of 16 bits of the palette used: scaled to them",)


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


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """Return what the EXIF orientation asks for; broken EXIF is ignored."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except DECODER_ERRORS:
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def upright(pixels: FloatArray, orientation: object) -> FloatArray:
    """Return pixels (H, W) turned as the EXIF or TIFF orientation asks for."""
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def _turned(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image if turn is None else image.transpose(turn)


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
    elif image.format == "JPEG2000":
        return containers.repair_codestream(data)[1]
    return ()
