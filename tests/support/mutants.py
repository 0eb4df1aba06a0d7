"""A seeded mutator that damages the bytes of valid files, and what reading them comes to."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import NamedTemporaryFile

import numpy as np

from covid_cxr.cohort.dicom_headers import quiet, read_header
from covid_cxr.errors import CovidCxrError
from covid_cxr.imaging import read
from support.valid_files import seeds

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
