"""PNG and TIFF of 16 bits: partly used, in colour, with alpha; alpha of 0 all over."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read

# 40 x 48 different values from 0 to 1919 of 16 bits.
RAMP = np.arange(40 * 48).reshape(40, 48)
INVISIBLE = "transparent all over: the transparency is ignored"


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


def saved(samples: np.ndarray, container: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples.astype("u2")).save(buffer, container)
    return buffer.getvalue()


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


@pytest.mark.parametrize("container", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("bits", range(8, 17))
def test_bits_that_are_used_are_the_range(container: str, bits: int) -> None:
    # Up to 2**bits - 1: of 8 to 14 bits by them, else by all 16, as a dark picture of 16 may be.
    top = 2**bits - 1
    samples = np.linspace(0, top, RAMP.size).astype(int).reshape(RAMP.shape)
    radiograph = read(saved(samples, container))
    used = bits if bits <= 14 else 16
    np.testing.assert_allclose(radiograph.pixels, samples / (2**used - 1), atol=1e-6)
    flag = f"{bits} of 16 bits used: scaled to them"
    assert radiograph.flags == ((flag,) if bits <= 14 else ())


def test_black_stays_black() -> None:
    radiograph = read(saved(RAMP * 0, "PNG"))
    assert (radiograph.pixels.max(), radiograph.flags) == (0, ())
    assert read(saved(RAMP * 0 + 60_000, "PNG")).pixels[0, 0] == pytest.approx(60_000 / 65_535)


def test_grey_with_alpha_keeps_sixteen_bits() -> None:
    # Adjacent greys differ by one of 65535; alpha 32768 of 65535 halves the lower rows.
    samples = np.stack((RAMP + 50_000, np.full_like(RAMP, 65_535)), -1)
    samples[20:, :, 1] = 32_768
    radiograph = read(png(samples))
    right = samples[..., 0] / 65_535 * np.where(np.arange(40) < 20, 1, 32_768 / 65_535)[:, None]
    np.testing.assert_allclose(radiograph.pixels, right, atol=1e-6)
    assert np.unique(radiograph.pixels[:20]).size == 960
    assert (radiograph.bit_depth, radiograph.flags) == (16, ())


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_low_bytes_turn_with_the_high_ones(channels: int) -> None:
    samples = np.repeat(RAMP[..., None] + 50_000, channels, -1)
    if channels in (2, 4):
        samples[..., -1] = 65_535
    radiograph = read(png(samples, orientation=6))  # EXIF 2.3: the first row is on the right
    right = np.rot90(RAMP + 50_000, -1) / 65_535
    np.testing.assert_allclose(radiograph.pixels, right, atol=1e-6)


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, -1)


COLOUR_FILES = {
    "png": png,
    "tiff-little": lambda samples: tiff(samples, "<"),
    "tiff-big": lambda samples: tiff(samples, ">"),
    "tiff-deflated": lambda samples: tiff(samples, "<", packed=True),
    "tiff-deflated-big": lambda samples: tiff(samples, ">", packed=True),
}


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_colour_keeps_sixteen_bits(kind: str) -> None:
    radiograph = read(COLOUR_FILES[kind](rgb(RAMP + 50_000)))
    # 0.299 + 0.587 + 0.114 = 1, so that the luma of grey is itself.
    np.testing.assert_allclose(radiograph.pixels, (RAMP + 50_000) / 65_535, atol=1e-6)
    assert (radiograph.bit_depth, radiograph.flags) == (16, ())
    # 12 of 16 bits: 1919 * 2 = 3838 of 4095.
    partly = read(COLOUR_FILES[kind](rgb(2 * RAMP)))
    np.testing.assert_allclose(partly.pixels, 2 * RAMP / 4095, atol=1e-6)
    assert partly.flags == ("12 of 16 bits used: scaled to them",)


def test_colour_of_sixteen_bits_is_luma_and_flagged() -> None:
    # 0.299 * 1 + 0.587 * 0.4 + 0.114 * 0 = 0.5338
    samples = np.broadcast_to((65_535, 26_214, 0), (40, 48, 3))
    radiograph = read(png(samples))
    assert radiograph.pixels[3, 3] == pytest.approx(0.5338, abs=1e-6)
    assert radiograph.flags == ("holds colour: a radiograph has none",)


@pytest.mark.parametrize("kind", COLOUR_FILES)
def test_colour_with_alpha_keeps_sixteen_bits(kind: str) -> None:
    samples = np.concatenate((rgb(RAMP + 50_000), np.full((40, 48, 1), 13_107)), -1)  # 0.2
    radiograph = read(COLOUR_FILES[kind](samples))
    np.testing.assert_allclose(radiograph.pixels, (RAMP + 50_000) / 65_535 / 5, atol=1e-6)


def test_colour_by_planes() -> None:
    samples = rgb(RAMP + 50_000)
    packed = read(tiff(samples, packed=True, planes=2))
    np.testing.assert_allclose(packed.pixels, (RAMP + 50_000) // 256 / 255, atol=1e-6)
    assert packed.flags == ("16-bit colour reduced to 8 bits",)
    # Pillow would take every byte for a sample.
    with pytest.raises(UnreadableImage, match="16-bit colour by planes, expected by pixels"):
        read(tiff(samples, planes=2))


@pytest.mark.parametrize("alpha", [0, 15])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_of_nearly_zero_all_over_is_ignored(mode: str, alpha: int) -> None:
    grey = np.linspace(0, 255, 40 * 48).reshape(40, 48).astype("u1")
    image = Image.fromarray(grey).convert(mode)
    image.putalpha(alpha)
    for container in ("PNG", "TIFF") if mode == "RGBA" else ("PNG",):
        buffer = BytesIO()
        image.save(buffer, container)
        radiograph = read(buffer.getvalue())
        np.testing.assert_allclose(radiograph.pixels, grey / 255, atol=1e-6)
        assert radiograph.flags == (INVISIBLE,)
    radiograph = read(png(np.stack((RAMP + 40_000, 0 * RAMP + 256 * alpha), -1)))
    np.testing.assert_allclose(radiograph.pixels, (RAMP + 40_000) / 65_535, atol=1e-6)
    assert radiograph.flags == (INVISIBLE,)
