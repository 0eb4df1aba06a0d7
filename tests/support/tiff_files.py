"""TIFF written tag by tag, in layouts that Pillow does not write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

_SHORTS = {258, 259, 262, 266, 274, 277, 284, 317, 320, 338, 339}


def tiff_of(
    strips: Sequence[bytes],
    shape: tuple[int, int],
    tags: dict[int, list[int]],
    order: str = "<",
) -> bytes:
    """Write a TIFF 6.0 of the strips; tags 262 (black is 0) and 277 (one sample) are filled in."""
    data, offsets = b"", []
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip
    data += bytes(len(data) % 2)
    given = {256: [shape[1]], 257: [shape[0]], 259: [1], 262: [1], 277: [1], 278: [shape[0]]}
    entries = {**given, 273: offsets, 279: [len(strip) for strip in strips], **tags}
    directory, extra = struct.pack(f"{order}H", len(entries)), b""
    after = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        short = tag in _SHORTS
        packed = struct.pack(f"{order}{len(values)}{'H' if short else 'I'}", *values)
        if len(packed) > 4:
            pointer = struct.pack(f"{order}I", after + len(extra))
            extra, packed = extra + packed, pointer
        directory += struct.pack(f"{order}HHI", tag, 3 if short else 4, len(values))
        directory += packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + directory + bytes(4) + extra


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Write samples (H, W) bit after bit, each row from a byte on (TIFF 6.0, BitsPerSample)."""
    rows = ["".join(f"{int(sample):0{bits}b}" for sample in row) for row in samples]
    filled = [row + "0" * (-len(row) % 8) for row in rows]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in filled)
