"""PNG and TIFF of 16 bits: partly used, in colour, with alpha; alpha of 0 all over."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from covid_cxr.imaging import read
from support.sixteen_bit_images import png, tiff

# 40 x 48 different values from 0 to 1919 of 16 bits.
RAMP = np.arange(40 * 48).reshape(40, 48)
INVISIBLE = "transparent all over: the transparency is ignored"


def saved(samples: np.ndarray, container: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples.astype("u2")).save(buffer, container)
    return buffer.getvalue()


@pytest.mark.parametrize("container", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("bits", range(8, 17))
def test_bits_that_are_used_are_the_range(container: str, bits: int) -> None:
    top = 2**bits - 1
    samples = np.linspace(0, top, RAMP.size).astype(int).reshape(RAMP.shape)
    radiograph = read(saved(samples, container))
    np.testing.assert_allclose(radiograph.pixels, samples / top, atol=1e-6)
    flag = f"{bits} of 16 bits used: scaled to them"
    assert radiograph.bit_depth == bits
    assert radiograph.flags == ((flag,) if bits < 16 else ())


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


@pytest.mark.parametrize("packed", [False, True])
def test_colour_by_planes(packed: bool) -> None:
    radiograph = read(tiff(rgb(RAMP + 50_000), packed=packed, planes=2))
    np.testing.assert_allclose(radiograph.pixels, (RAMP + 50_000) / 65_535, atol=1e-6)
    assert radiograph.flags == ()


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
