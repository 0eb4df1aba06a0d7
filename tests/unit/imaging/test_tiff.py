"""TIFF in layouts that Pillow does not know or misreads."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.types import Radiograph
from support.sixteen_bit_images import png
from support.tiff_files import packed, tiff_of

SHAPE = (40, 51)  # an odd width: rows of packed samples do not end with a byte
TWELVE = np.arange(40 * 51).reshape(SHAPE) * 2  # to 4078
SIXTEEN = TWELVE * 16
EIGHT = TWELVE >> 4
NO_RANGE = "no defined range: scaled by the values found"
FORMAT, WHITE_IS_ZERO = 339, {262: [0]}
ORDERS = pytest.mark.parametrize("order", ["<", ">"])


def grey(samples: np.ndarray, dtype: str, order: str, tags: dict[int, list[int]]) -> Radiograph:
    strip = samples.astype(order + dtype).tobytes()
    return read(tiff_of([strip], SHAPE, {258: [8 * np.dtype(dtype).itemsize], **tags}, order))


def assert_reads(radiograph: Radiograph, expected: np.ndarray, bits: int, *flags: str) -> None:
    assert (radiograph.format, radiograph.bit_depth, radiograph.flags) == ("TIFF", bits, flags)
    np.testing.assert_allclose(radiograph.pixels, expected, atol=1e-6)


def ends(samples: np.ndarray) -> np.ndarray:
    return (samples - samples.min()) / np.ptp(samples)


@ORDERS
@pytest.mark.parametrize("white", [{}, WHITE_IS_ZERO])
def test_sixteen_bits_of_either_polarity(order: str, white: dict[int, list[int]]) -> None:
    expected = SIXTEEN / 65_535
    radiograph = grey(SIXTEEN, "u2", order, white)
    assert_reads(radiograph, 1 - expected if white else expected, 16)


@ORDERS
@pytest.mark.parametrize("bits", [9, 10, 12, 14, 15])
@pytest.mark.parametrize("white", [{}, WHITE_IS_ZERO])
def test_packed_samples(order: str, bits: int, white: dict[int, list[int]]) -> None:
    samples = SIXTEEN >> (16 - bits)
    data = tiff_of([packed(samples, bits)], SHAPE, {258: [bits], **white}, order)
    expected = samples / (2**bits - 1)
    assert_reads(read(data), 1 - expected if white else expected, bits)


@ORDERS
@pytest.mark.parametrize(
    ("dtype", "kind", "bits"),
    [("u4", 1, 32), ("u8", 1, 64), ("i8", 2, 64), ("f2", 3, 32), ("f4", 3, 32), ("f8", 3, 64)],
)
def test_samples_without_a_range(order: str, dtype: str, kind: int, bits: int) -> None:
    samples = TWELVE.astype(float) - (1000 if kind > 1 else 0)
    factor = 1 if dtype == "f2" else 2.0**20  # the highest of u4 exceed 2**31
    stored = (samples * factor).astype(dtype)
    radiograph = grey(stored, dtype, order, {FORMAT: [kind]})
    assert_reads(radiograph, ends(stored.astype(float)), bits, NO_RANGE)


def test_signed_and_untyped_samples_of_8_bits() -> None:
    assert_reads(grey(EIGHT - 128, "i1", "<", {FORMAT: [2]}), ends(EIGHT), 8, NO_RANGE)
    assert_reads(grey(EIGHT, "u1", "<", {FORMAT: [4]}), EIGHT / 255, 8)


@ORDERS
@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_and_alpha(order: str, deflated: bool, separate: bool, bits: int) -> None:
    top = 2**bits - 1
    samples = np.stack([SIXTEEN >> (16 - bits), np.full(SHAPE, top)])
    samples[1, :20] = top // 5  # a fifth visible
    parts = list(samples) if separate else [np.moveaxis(samples, 0, -1)]
    strips = [part.astype(f"{order}u{bits // 8}").tobytes() for part in parts]
    tags = {258: [bits] * 2, 277: [2], 284: [2 if separate else 1], 338: [2]}
    if deflated:
        strips, tags = [zlib.compress(strip) for strip in strips], {**tags, 259: [8]}
    expected = samples[0] / top
    expected[:20] /= 5
    assert_reads(read(tiff_of(strips, SHAPE, tags, order)), expected, bits)


@pytest.mark.parametrize("extra", [[0], [1], None])
def test_a_second_sample_that_is_no_alpha_to_apply(extra: list[int] | None) -> None:
    # 0: of no stated meaning; 1: alpha that the grey has been multiplied by.
    samples = np.dstack([EIGHT, np.full(SHAPE, 99)]).astype("u1")
    tags = {258: [8, 8], 277: [2], **({338: extra} if extra else {})}
    assert_reads(read(tiff_of([samples.tobytes()], SHAPE, tags)), EIGHT / 255, 8)


@ORDERS
def test_predictor_and_bit_order(order: str) -> None:
    steps = np.diff(SIXTEEN, axis=1, prepend=0) % 2**16
    deflated = zlib.compress(steps.astype(f"{order}u2").tobytes())
    tags = {258: [16], 259: [8], 317: [2], **WHITE_IS_ZERO}
    assert_reads(read(tiff_of([deflated], SHAPE, tags, order)), 1 - SIXTEEN / 65_535, 16)
    content = np.frombuffer(SIXTEEN.astype(f"{order}u2").tobytes(), "u1")
    mirrored = np.packbits(np.unpackbits(content), bitorder="little")
    data = tiff_of([mirrored.tobytes()], SHAPE, {258: [16], 266: [2]}, order)
    assert_reads(read(data), SIXTEEN / 65_535, 16)


def test_several_strips_and_orientation() -> None:
    content = SIXTEEN.astype("<u2").tobytes()
    row = 2 * SHAPE[1]
    strips = [content[: 13 * row], content[13 * row :]]
    tags = {258: [16], 278: [13], 274: [6], **WHITE_IS_ZERO}
    assert_reads(read(tiff_of(strips, SHAPE, tags)), np.rot90(1 - SIXTEEN / 65_535, -1), 16)


def test_strips_that_are_cut_short() -> None:
    whole = SIXTEEN.astype("<u2").tobytes()
    for strip, tags in (
        (whole[:-1], {259: [1]}),
        (zlib.compress(whole[:-1]), {259: [8]}),
        (zlib.compress(whole)[:-9], {259: [8]}),
    ):
        with pytest.raises(UnreadableImage, match="bytes of samples, its size needs 4080"):
            read(tiff_of([strip], SHAPE, {258: [16], **tags, **WHITE_IS_ZERO}))
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        read(tiff_of([b"no deflate"], SHAPE, {258: [16], 259: [8], **WHITE_IS_ZERO}))


def test_palette_of_8_bits_in_16() -> None:
    tags = {258: [8], 262: [3], 320: [*range(256)] * 3}
    data = tiff_of([EIGHT.astype("u1").tobytes()], SHAPE, tags)
    assert_reads(read(data), EIGHT / 255, 8, "8 of 16 bits of the palette used: scaled to them")
    tags[320] = [257 * entry for entry in range(256)] * 3
    assert_reads(read(tiff_of([EIGHT.astype("u1").tobytes()], SHAPE, tags)), EIGHT / 255, 8)


def test_twelve_bits_with_a_few_brighter_pixels() -> None:
    samples = TWELVE.copy()
    samples[0, :20] = 65_535  # 20 of 2040: under 1 %
    flag = "12 of 16 bits used by 99 % of the pixels: scaled to them"
    radiograph = read(png(samples[..., None]))
    assert (radiograph.bit_depth, radiograph.flags) == (12, (flag,))
    np.testing.assert_allclose(radiograph.pixels, np.minimum(samples / 4095, 1), atol=1e-6)
    samples[0, 20] = 65_535
    assert read(png(samples[..., None])).flags == ()
