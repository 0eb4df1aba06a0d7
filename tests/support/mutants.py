"""Small valid files of every container, and a seeded mutator that damages their bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from random import Random
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, uid

from covid_cxr.cohort.dicom_headers import quiet, read_header
from covid_cxr.errors import CovidCxrError
from covid_cxr.imaging import read
from support.dicom_objects import (
    compressed,
    dataset_of,
    encode,
    lossless_jpeg,
    lut,
    twelve_bit_jpeg,
)

IMAGE, REJECTED = "image", "rejected"

_Step = Callable[[Random, bytearray, bytes], None]
_PNG = b"\x89PNG\r\n\x1a\n"
_WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 30_000, 0x7FFFFFFF, 0xFFFFFFFF)


def outcome(data: bytes) -> str:
    """Return `IMAGE` or `REJECTED` for the content of a file.

    Raises:
        AssertionError: an image or a message that breaks the contract of `read`.
        Exception: any that escapes from `read`.
    """
    try:
        radiograph = read(data)
    except CovidCxrError as error:
        assert str(error).isprintable(), f"message of more than a line: {error!r}"
        return REJECTED
    assert radiograph.pixels.dtype == np.float32, radiograph.pixels.dtype
    assert min(radiograph.pixels.shape) >= 32, radiograph.pixels.shape
    low, high = float(radiograph.pixels.min()), float(radiograph.pixels.max())
    assert 0 <= low <= high <= 1, (low, high)
    return IMAGE


def header_outcome(data: bytes) -> str:
    """Read a DICOM header as a cohort does; returns and raises as `outcome` does."""
    with NamedTemporaryFile() as file, quiet():
        file.write(data)
        file.flush()
        try:
            header = read_header(Path(file.name))
        except CovidCxrError as error:
            assert str(error).isprintable(), f"message of more than a line: {error!r}"
            return REJECTED
    assert all(len(value.splitlines()) < 2 for value in (header or {}).values()), header
    return IMAGE


def mutant(number: int, seed: int = 0) -> tuple[str, bytes]:
    """Return the name of the file that mutant `number` is made of, and its bytes."""
    random = Random(f"{seed}-{number}")
    names = sorted(seeds())
    name, other = names[number % len(names)], random.choice(names)
    data = bytearray(seeds()[name])
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        random.choice(_STEPS)(random, data, seeds()[other])
    # Otherwise decoding would end at the first broken checksum.
    whole = resealed(bytes(data)) if data.startswith(_PNG) and random.random() < 0.8 else data
    return name, bytes(whole)


def resealed(data: bytes) -> bytes:
    """Return a PNG with the checksum of every chunk corrected."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        parts += [data[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts)


def _position(random: Random, data: bytearray) -> int:
    """Headers are at the start, in TIFF at the end: most damage goes there."""
    size = len(data)
    near = random.choice((64, 400, size, -200))
    return (
        random.randrange(max(0, size + near), size)
        if near < 0
        else random.randrange(min(near, size))
    )


def _flip_bits(random: Random, data: bytearray, other: bytes) -> None:
    for _ in range(random.choice((1, 1, 2, 8))):
        data[_position(random, data)] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray, other: bytes) -> None:
    data[_position(random, data)] = random.choice((0, 1, 0x20, 0x7F, 0x80, 0xFE, 0xFF))


def _number(random: Random, data: bytearray, other: bytes) -> None:
    """Write a number that is a typical wrong length or size."""
    at = _position(random, data)
    form = random.choice(("<H", ">H", "<I", ">I"))
    mask = (1 << 8 * struct.calcsize(form)) - 1
    text = struct.pack(form, random.choice(_WORDS) & mask)
    data[at : at + len(text)] = text


def _nudge(random: Random, data: bytearray, other: bytes) -> None:
    """Move a 16-bit number, of either byte order, a little."""
    at, form = _position(random, data), random.choice(("<H", ">H"))
    if at + 2 <= len(data):
        value = struct.unpack_from(form, data, at)[0] + random.choice((-16, -2, -1, 1, 2, 16, 64))
        struct.pack_into(form, data, at, value & 0xFFFF)


def _delete(random: Random, data: bytearray, other: bytes) -> None:
    at = _position(random, data)
    del data[at : at + random.choice((1, 2, 4, 16, 100))]
    data += b"\0" * (not data)


def _repeat(random: Random, data: bytearray, other: bytes) -> None:
    at = _position(random, data)
    data[at:at] = data[at : at + random.choice((1, 4, 12, 64, 400))] * random.choice((1, 2, 50))


def _swap(random: Random, data: bytearray, other: bytes) -> None:
    size = random.choice((2, 4, 12, 64))
    one, two = _position(random, data), _position(random, data)
    data[one : one + size], data[two : two + size] = data[two : two + size], data[one : one + size]


def _truncate(random: Random, data: bytearray, other: bytes) -> None:
    del data[random.randrange(1, len(data) + 1) :]


def _splice(random: Random, data: bytearray, other: bytes) -> None:
    at = _position(random, data)
    data[at:] = other[random.randrange(len(other)) :]
    data += b"\0" * (not data)


def _junk(random: Random, data: bytearray, other: bytes) -> None:
    at = _position(random, data)
    data[at : at + random.choice((0, 8))] = random.randbytes(8)


_STEPS: tuple[_Step, ...] = (
    *(_flip_bits, _flip_bits, _set, _number, _number, _nudge),
    *(_delete, _repeat, _swap, _truncate, _splice, _junk),
)


@cache
def seeds() -> dict[str, bytes]:
    """Return name -> bytes of the valid files, 32 x 40 pixels each."""
    return {**_pictures(), **_dicom()}


def _picture(image: Image.Image, container: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.copy().save(buffer, container, **options)  # saving alters the object
    return buffer.getvalue()


def _two(image: Image.Image, container: str) -> bytes:
    return _picture(image, container, save_all=True, append_images=[image.rotate(180)])


def sample_image(dtype: str = "u1") -> np.ndarray:
    """A slope with noise, in all bits of the type, (40, 32)."""
    rows, columns = np.mgrid[:40, :32]
    noise = np.random.default_rng(0).integers(0, 16, (40, 32))
    return ((rows * 4 + columns * 2 + noise) * (257 if dtype == "<u2" else 1)).astype(dtype)


def _pictures() -> dict[str, bytes]:
    grey, wide = Image.fromarray(sample_image()), Image.fromarray(sample_image("<u2"))
    colour, alpha, bits = grey.convert("RGB"), grey.convert("LA"), grey.convert("1")
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "png": _picture(grey, "PNG"),
        "png-16": _picture(wide, "PNG"),
        "png-alpha": _picture(alpha, "PNG"),
        "png-16-alpha": sixteen_bit_png(sample_image("<u2"), channels=2),
        "png-16-colour": sixteen_bit_png(sample_image("<u2"), channels=3),
        "png-palette": _picture(colour.quantize(16), "PNG", transparency=0),
        "png-animated": _two(grey, "PNG"),
        "png-exif": _picture(bits, "PNG", exif=exif, icc_profile=b"profile" * 30),
        "jpeg": _picture(grey, "JPEG", exif=exif),
        "jpeg-progressive": _picture(colour, "JPEG", progressive=True),
        "jpeg-cmyk": _picture(colour.convert("CMYK"), "JPEG"),
        "jpeg-restart": _picture(grey, "JPEG", restart_marker_rows=1),
        "mpo": _two(grey, "MPO"),
        "webp": _picture(colour, "WEBP", exif=exif),
        "webp-lossless": _picture(alpha.convert("RGBA"), "WEBP", lossless=True),
        "webp-animated": _two(colour, "WEBP"),
        "tiff": _picture(grey, "TIFF", exif=exif),
        "tiff-16-lzw": _picture(wide, "TIFF", compression="tiff_lzw"),
        "tiff-float": _picture(grey.convert("F"), "TIFF"),
        "tiff-deflate": _picture(colour, "TIFF", compression="tiff_deflate"),
        "tiff-jpeg": _picture(colour, "TIFF", compression="jpeg"),
        "tiff-packbits": _picture(alpha, "TIFF", compression="packbits"),
        "tiff-group4": _picture(bits, "TIFF", compression="group4"),
        "tiff-several": _two(grey, "TIFF"),
        "tiff-big": _picture(grey, "TIFF", big_tiff=True),
        "tiff-tiled": tiled_tiff(sample_image()),
        "gif": _two(grey, "GIF"),
        "bmp": _picture(grey, "BMP"),
        "bmp-colour": _picture(colour, "BMP"),
        "bmp-rle": run_length_bmp(sample_image()),
        "jp2": _picture(grey, "JPEG2000"),
        "j2k-tiled": _picture(colour, "JPEG2000", no_jp2=True, tile_size=(16, 16)),
        "j2k-16": _picture(wide, "JPEG2000", no_jp2=True, irreversible=True),
        "pgm": _picture(grey, "PPM"),
        "pgm-plain": b"P2\n32 40\n255\n" + b" ".join(b"%d" % grey for grey in sample_image().flat),
    }


def sixteen_bit_png(grey: np.ndarray, channels: int) -> bytes:
    """Write a 16-bit PNG of grey with alpha (2 channels) or RGB (3), which Pillow does not."""
    rows = np.repeat(grey[..., None], channels, -1).astype(">u2")
    header = struct.pack(">2I5B", *grey.shape[::-1], 16, {2: 4, 3: 2}[channels], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    chunks = [struct.pack(">I", len(body)) + kind + body + bytes(4) for kind, body in parts]
    return resealed(_PNG + b"".join(chunks))


def tiled_tiff(pixels: np.ndarray, edge: int = 16, stated: int | None = None) -> bytes:
    """Write a TIFF in deflated tiles, which Pillow reads but does not write."""
    height, width = pixels.shape
    corners = [(y, x) for y in range(0, height, edge) for x in range(0, width, edge)]
    padded = np.pad(pixels, ((0, -height % edge), (0, -width % edge)))
    tiles = [zlib.compress(padded[y : y + edge, x : x + edge].tobytes()) for y, x in corners]
    lengths = [len(tile) for tile in tiles]
    starts = [8 + sum(lengths[:index]) for index in range(len(tiles))]
    table = 8 + sum(lengths)
    short = ((256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1))
    size = stated or edge
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in short]
    entries += [struct.pack("<HHII", 322, 4, 1, size), struct.pack("<HHII", 323, 4, 1, size)]
    lists_at = (table, table + 4 * len(tiles)) if len(tiles) > 1 else (starts[0], lengths[0])
    entries += [struct.pack("<HHII", 324 + i, 4, len(tiles), lists_at[i]) for i in (0, 1)]
    lists = struct.pack(f"<{2 * len(tiles)}I", *starts, *lengths)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", table + len(lists)) + b"".join(tiles) + lists + directory


def run_length_bmp(pixels: np.ndarray) -> bytes:
    """Write a BMP of runs of one pixel."""
    height, width = pixels.shape
    rows = [b"".join(b"\1%c" % grey for grey in row) + b"\0\0" for row in pixels[::-1]]
    body = b"".join(rows) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(body), 0, start) + header + palette + body


def _dicom() -> dict[str, bytes]:
    wide, small = sample_image("<u2"), sample_image()
    window = {"WindowCenter": 128, "WindowWidth": 256}
    twelve = np.full((5, 4), 300)
    tables = {
        "ModalityLUTSequence": [lut(0, 16, [0, 9, 99, 999])],
        "VOILUTSequence": [lut(0, 8, list(range(256)))],
        "WindowCenter": [40, 80],
        "WindowWidth": [80, 90],
    }
    colour = np.stack([small] * 3, -1)
    jpeg = _picture(Image.fromarray(small), "JPEG")
    return {
        "dicom": _file(dataset_of(wide, RescaleSlope="2", RescaleIntercept="-9", **window)),
        "dicom-luts": _file(dataset_of(wide, PixelPaddingValue=0, **tables)),
        "dicom-signed": _file(dataset_of(small.astype("<i2"), BitsStored=12, **window)),
        "dicom-inverse": _file(dataset_of(small, PhotometricInterpretation="MONOCHROME1")),
        "dicom-colour": _file(dataset_of(colour)),
        "dicom-bare": _file(dataset_of(wide))[132:],
        "dicom-deflated": _file(dataset_of(wide), uid.DeflatedExplicitVRLittleEndian),
        "dicom-implicit": _file(dataset_of(wide), uid.ImplicitVRLittleEndian),
        "dicom-big-endian": _file(dataset_of(wide), uid.ExplicitVRBigEndian),
        "dicom-rle": _file(_packed(wide, uid.RLELossless)),
        "dicom-jpeg": _file(compressed(small, uid.JPEGBaseline8Bit, jpeg)),
        "dicom-jpeg-12": _file(
            compressed(wide, uid.JPEGExtended12Bit, twelve_bit_jpeg(twelve), BitsStored=12)
        ),
        "dicom-jpeg-lossless": _file(
            compressed(wide, uid.JPEGLossless, lossless_jpeg(small, 16), BitsStored=16)
        ),
        "dicom-jpeg-ls": _file(_packed(wide, uid.JPEGLSLossless)),
        "dicom-jpeg-2000": _file(_packed(wide, uid.JPEG2000Lossless)),
        "dicom-jpeg-2000-colour": _file(_packed(colour, uid.JPEG2000Lossless)),
    }


def _packed(pixels: np.ndarray, syntax: str) -> Dataset:
    image = dataset_of(pixels)
    image.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "")
    return image


def _file(image: Dataset, syntax: str | None = None) -> bytes:
    if syntax:
        image.file_meta.TransferSyntaxUID = syntax
    return encode(image, enforce_file_format=True)
