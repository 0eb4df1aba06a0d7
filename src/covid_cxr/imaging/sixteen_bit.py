"""Samples of 16 bits: the low bytes of colour, which Pillow drops, and how many bits are used."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

_TOP = 2**16 - 1
_LEAST_BITS, _ALL_BITS = 8, 16
# Pillow's name of a sample layout -> of the layout whose high bytes are this one's low bytes.
# Compressed TIFF ("N") comes in the machine's order, which is little-endian on all supported ones.
_SWAPPED = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B"))
}
_PLANES, _SEPARATE = 284, 2  # TIFF PlanarConfiguration
_IHDR = struct.Struct(">4s2I5B")


def used_range(most: int, by_majority: bool = False) -> tuple[int, tuple[str, ...]]:
    """Return the end of the range that samples of 16 bits up to `most` use, and a flag.

    Args:
        most: the highest sample.
        by_majority: 1 % of the samples may be higher.

    >>> used_range(4000)
    (4095, ('12 of 16 bits used: scaled to them',))
    >>> used_range(40000)
    (65535, ())
    """
    bits = max(_LEAST_BITS, most.bit_length())
    if most == 0 or bits == _ALL_BITS:
        return _TOP, ()
    pixels = " by 99 % of the pixels" if by_majority else ""
    return 2**bits - 1, (f"{bits} of 16 bits used{pixels}: scaled to them",)


def open_low_bytes(image: ImageFile.ImageFile, data: bytes) -> Image.Image | None:
    """Open `data`, that `image` was opened from, a second time, to decode to the low bytes.

    Returns:
        An image in the mode of `image`; None where the layout has no 16-bit colour that Pillow can
        decode so.
    """
    layouts = {_layout(tile.args) for tile in image.tile}
    if image.format == "TIFF" and image.tag_v2.get(_PLANES) == _SEPARATE:  # type: ignore[attr-defined]
        return None
    if layouts == {"LA;16B"} and image.format == "PNG":
        return _low_bytes_of_grey(data)
    if not layouts or not layouts <= _SWAPPED.keys() or "transparency" in image.info:
        return None
    low = Image.open(BytesIO(data), formats=(image.format or "",))
    low.tile = [tile._replace(args=_swapped(tile.args)) for tile in low.tile]
    return low


def join(high: Image.Image, low: Image.Image) -> NDArray[np.uint16]:
    """Return the samples (H, W, channels) of an image and of its low bytes."""
    most = np.asarray(high).astype(np.uint16)
    return np.asarray(most << 8 | np.asarray(low), np.uint16)


def _layout(args: Any) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _swapped(args: Any) -> Any:
    swapped = _SWAPPED[_layout(args)]
    return (swapped, *args[1:]) if isinstance(args, tuple) else swapped


def _low_bytes_of_grey(png: bytes) -> Image.Image:
    """Decode 16-bit grey with alpha as 8-bit RGBA: both have, and filter by, four bytes (PNG 9.2).

    The channels are then grey, its low byte, alpha, its low byte.
    """
    kind, width, height, _, _, *rest = _IHDR.unpack_from(png, 12)
    header = _IHDR.pack(kind, width, height, 8, 6, *rest)
    data = png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
    with Image.open(BytesIO(data), formats=("PNG",)) as image:
        _, grey, _, alpha = image.split()
    return Image.merge("RGBA", (grey, grey, grey, alpha))
