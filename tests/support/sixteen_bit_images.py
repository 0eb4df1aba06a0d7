"""PNG and TIFF of 16-bit colour and grey with alpha, which Pillow does not write."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image

from support.tiff_files import tiff_of


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
    tags = {258: [16] * channels, 262: [2], 277: [channels], 284: [planes]}
    tags |= {259: [8]} if packed else {}
    tags |= {338: [2]} if channels == 4 else {}
    return tiff_of(strips, (height, width), tags, order)
