"""TIFF in layouts that Pillow does not know, or misreads: strips of whole samples (TIFF 6.0).

Grey with alpha or further samples, 16-bit colour by planes, samples of 10, 12 or 14 packed bits,
of 64 bits, unsigned ones of 32, signed ones of 8, half floats, and 16 bits that store white as 0;
uncompressed or deflated. Everything else is left to Pillow.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import greyscale, raster
from covid_cxr.types import Radiograph

_MAGIC = (b"II*\0", b"MM\0*")
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL = 256, 257, 258, 259, 262, 266
_OFFSETS, _ORIENTATION, _SAMPLES, _COUNTS, _PLANES, _PREDICTOR = 273, 274, 277, 279, 284, 317
_EXTRA, _FORMAT = 338, 339
_WHITE_IS_ZERO, _RGB, _SEPARATE, _UNASSOCIATED = 0, 2, 2, 2
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_DEFLATE = (8, 32_946)
_TYPES = {_UNSIGNED: "u", _UNDEFINED: "u", _SIGNED: "i", _FLOAT: "f"}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Strips:
    """The first image of a TIFF.

    Attributes:
        shape: height and width.
        samples: samples a pixel.
        bits: bits a sample.
        kind: "u", "i" or "f".
        order: "<" or ">".
        tags: all tags.
        several: it is not the only one.
    """

    shape: tuple[int, int]
    samples: int
    bits: int
    kind: str
    order: str
    tags: dict[int, Any]
    several: bool

    def tag(self, number: int, default: int) -> Any:
        """Return a tag; of a list the first value."""
        value = self.tags.get(number, default)
        return value[0] if isinstance(value, tuple) and value else value


def parse(data: bytes) -> Strips | None:
    """Return the first image of a TIFF in a layout of this module; None for all other files."""
    if data[:4] not in _MAGIC:
        return None
    stream = BytesIO(data)
    try:
        directory = ImageFileDirectory_v2(stream.read(8))
        start = directory.next
        stream.seek(start)
        directory.load(stream)  # which stops, with a warning, where the file is cut short
        if directory.next == start:
            return None
        strips = _strips(directory)
    except raster.DECODER_ERRORS:
        return None
    return strips if _is_readable(strips) and not _is_known_to_pillow(strips) else None


def _strips(directory: ImageFileDirectory_v2) -> Strips:
    tags = dict(directory)
    bits, formats = tags.get(_BITS, (1,)), tags.get(_FORMAT, (_UNSIGNED,))
    if len({*bits}) > 1 or len({*formats}) > 1:
        raise ValueError("samples of several kinds")
    order = "<" if directory.prefix == b"II" else ">"
    if not all(isinstance(number, int) for key in (_OFFSETS, _COUNTS) for number in tags[key]):
        raise TypeError("strips without whole numbers")
    shape, several = (int(tags[_LENGTH]), int(tags[_WIDTH])), directory.next != 0
    samples = int(tags.get(_SAMPLES, 1))
    return Strips(shape, samples, int(bits[0]), _TYPES[formats[0]], order, tags, several)


def _is_readable(strips: Strips) -> bool:
    whole = strips.bits in (8, 16, 32, 64) if strips.kind != "f" else strips.bits in (16, 32, 64)
    packed = strips.kind == "u" and strips.samples == 1 and 8 < strips.bits < 16
    grey = strips.tag(_PHOTOMETRIC, -1) in (0, 1)
    colour = strips.tag(_PHOTOMETRIC, -1) == _RGB and 3 <= strips.samples <= 5
    predictor = strips.tag(_PREDICTOR, 1)
    return (
        (whole or packed)
        and ((grey and 1 <= strips.samples <= 5) or (colour and strips.bits in (8, 16)))
        and (strips.samples == 1 or (strips.kind == "u" and strips.bits in (8, 16)))
        and strips.tag(_COMPRESSION, 1) in (1, *_DEFLATE)
        and (predictor == 1 or (predictor == 2 and whole and strips.kind != "f"))
    )


def _is_known_to_pillow(strips: Strips) -> bool:
    bits, kind = strips.bits, strips.kind
    separate = strips.samples > 1 and strips.tag(_PLANES, 1) == _SEPARATE
    if strips.tag(_PHOTOMETRIC, -1) == _RGB:
        return not (separate and bits == 16)
    if strips.samples > 1:
        return False
    plain = strips.tag(_PHOTOMETRIC, -1) != _WHITE_IS_ZERO and strips.tag(_FILL, 1) == 1
    stated = strips.tag(_FORMAT, _UNSIGNED)
    return (stated == _UNSIGNED and (bits == 8 or (bits == 16 and plain))) or (
        (kind == "i" and bits in (16, 32)) or (kind == "f" and bits == 32)
    )


def decode(strips: Strips, data: bytes, origin: str, max_pixels: int) -> Radiograph:
    """Decode what `parse(data)` returned.

    Raises:
        UnreadableImage: too small, too large, cut short, or samples that are not finite.
    """
    height, width = strips.shape
    raster.check_size(width, height, max_pixels)
    samples = _samples(strips, _content(strips, data))
    if strips.samples == 1:
        bits = max(strips.bits, 32) if strips.kind == "f" else strips.bits  # no range is defined
        pixels, depth, flags = greyscale.scale(
            lambda: greyscale.bands_of(samples[..., 0]), strips.shape, bits
        )
    else:
        channels = samples[..., _channels(strips)]
        pixels, depth, flags = greyscale.from_channels(
            lambda: greyscale.bands_of(channels), strips.shape, strips.bits
        )
    if strips.tag(_PHOTOMETRIC, -1) == _WHITE_IS_ZERO:
        np.subtract(1, pixels, out=pixels)
    upright = raster.upright(pixels, strips.tag(_ORIENTATION, 1))
    flags = (raster.SEVERAL, *flags) if strips.several else flags
    return Radiograph(upright, origin, "TIFF", depth, flags=flags)


def _channels(strips: Strips) -> list[int]:
    """Return the samples to use of a pixel: grey thrice or RGB, and alpha unless it is applied."""
    colour = [0, 1, 2] if strips.tag(_PHOTOMETRIC, -1) == _RGB else [0, 0, 0]
    after = colour[-1] + 1
    transparent = after < strips.samples and strips.tag(_EXTRA, 0) == _UNASSOCIATED
    return [*colour, after] if transparent else colour


def _content(strips: Strips, data: bytes) -> bytes:
    """Return the strips one after another, inflated; never more than the size needs.

    Raises:
        UnreadableImage: less than that.
    """
    planes = strips.samples if strips.tag(_PLANES, 1) == _SEPARATE else 1
    row = math.ceil(strips.shape[1] * strips.samples // planes * strips.bits / 8)
    need = planes * strips.shape[0] * row
    parts, room = [], need
    for offset, count in zip(strips.tags[_OFFSETS], strips.tags[_COUNTS], strict=False):
        part = data[offset : offset + count]
        if strips.tag(_COMPRESSION, 1) in _DEFLATE:
            try:
                part = zlib.decompressobj().decompress(part, max(room, 1))
            except zlib.error as error:
                raise UnreadableImage(f"cannot be decoded: {error}") from error
        parts.append(part[: max(room, 0)])
        room -= len(part)
    if room > 0:
        raise UnreadableImage(f"has {need - room} bytes of samples, its size needs {need}")
    content = b"".join(parts)
    return content.translate(_REVERSED) if strips.tag(_FILL, 1) == 2 else content


def _samples(strips: Strips, content: bytes) -> NDArray[Any]:
    """Return the samples (H, W, samples)."""
    (height, width), count = strips.shape, strips.samples
    separate = count > 1 and strips.tag(_PLANES, 1) == _SEPARATE
    if strips.bits % 8:
        return _unpacked(content, height, width, strips.bits)
    flat = np.frombuffer(content, f"{strips.order}{strips.kind}{strips.bits // 8}")
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    shape = (count, height, width) if separate else (height, width, count)
    samples = np.moveaxis(native.reshape(shape), 0, -1) if separate else native.reshape(shape)
    if strips.tag(_PREDICTOR, 1) == 2:  # differences to the left
        return np.cumsum(samples, axis=1, dtype=samples.dtype)
    return samples


def _unpacked(content: bytes, height: int, width: int, bits: int) -> NDArray[Any]:
    """Return samples of 9 to 15 bits (H, W, 1); each row starts with a byte (TIFF 6.0, 258)."""
    rows = np.frombuffer(content, np.uint8).reshape(height, -1)
    samples = np.empty((height, width, 1), np.uint16)
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    for row, line in zip(samples, rows, strict=True):
        ones = np.unpackbits(line, count=width * bits).reshape(width, bits)
        row[:, 0] = ones @ weights
    return samples
