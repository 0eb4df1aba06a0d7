"""PNG and TIFF of 16-bit colour and grey with alpha, which Pillow does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image


def png(samples: np.ndarray, orientation: int = 1) -> bytes:
    """A 16-bit PNG of samples (H, W, 1 to 4), each row with its own filter (PNG 9.2)."""
    height, width, channels = samples.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = samples.astype(">u2").reshape(height, -1).view("u1").astype(int)
    above, left = np.vstack((rows[:1] * 0, rows[:-1])), np.zeros_like(rows)
    left[:, 2 * channels :] = rows[:, : -2 * channels]
    filtered = [rows, rows - left, rows - above, rows - (left + above) // 2]
    raw = b"".join(
        bytes([at % 4]) + (filtered[at % 4][at] % 256).astype("u1").tobytes()
        for at in range(height)
    )
    header = struct.pack(">2I5B", width, height, 16, colour, 0, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    parts = (
        *((b"IHDR", header), (b"eXIf", exif.tobytes()[6:])),  # less "Exif" and two zeros
        *((b"IDAT", zlib.compress(raw)), (b"IEND", b"")),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def tiff(samples: np.ndarray, order: str = "<", *, packed: bool = False, planes: int = 1) -> bytes:
    """A TIFF 6.0 of 16-bit RGB(A) in one strip (or one a plane), in either byte order."""
    height, width, channels = samples.shape
    layout = samples.transpose(2, 0, 1) if planes == 2 else samples
    body = layout.astype(f"{order}u2").tobytes()
    strips = [body]
    if planes == 2:
        size = len(body) // channels
        strips = [body[at : at + size] for at in range(0, len(body), size)]
    strips = [zlib.compress(strip) for strip in strips] if packed else strips
    data, offsets = b"", []
    for strip in strips:
        offsets.append(8 + len(data))
        data += strip
    data += b"\0" * (len(data) % 2)
    entries: list[tuple[int, int, list[int]]] = [
        *((256, 4, [width]), (257, 4, [height]), (258, 3, [16] * channels)),
        *((259, 3, [8 if packed else 1]), (262, 3, [2]), (273, 4, offsets)),
        *((277, 3, [channels]), (278, 4, [height])),
        *((279, 4, [len(strip) for strip in strips]), (284, 3, [planes])),
        *([(338, 3, [2])] if channels == 4 else []),
    ]
    directory, extra = struct.pack(f"{order}H", len(entries)), b""
    after = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        packed_values = struct.pack(f"{order}{len(values)}{'HI'[kind == 4]}", *values)
        if len(packed_values) > 4:
            pointer = struct.pack(f"{order}I", after + len(extra))
            extra += packed_values
            packed_values = pointer
        directory += struct.pack(f"{order}HHI", tag, kind, len(values))
        directory += packed_values.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + directory + bytes(4) + extra
