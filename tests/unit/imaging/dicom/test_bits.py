"""Bits above BitsStored in every coding, and depths that disagree (PS3.5 8.1.1, 8.2)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import FileDataset, uid
from pydicom.encaps import get_frame

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.imaging.dicom import pixels
from covid_cxr.types import Radiograph
from support.dicom_objects import compressed, dataset_of, encode, lossless_jpeg

# c = 2048.5, w = 4097: y = x / 4096.
WINDOW = {"WindowCenter": 2048.5, "WindowWidth": 4097}
ROWS, COLUMNS = np.mgrid[:40, :32]
SAMPLES = ((ROWS * 97 + COLUMNS * 41) % 4096).astype("<u2")
# A bar of an old overlay in bit 15.
OVERLAY = SAMPLES | np.where(ROWS < 10, 0x8000, 0).astype("<u2")
NAMES = {uid.JPEG2000Lossless: "JPEG 2000", uid.JPEGLSLossless: "JPEG-LS"}


def frame_of(cells: np.ndarray, syntax: str, **options: Any) -> bytes:
    """The frame of all the bits of the cells."""
    image = dataset_of(cells)
    image.compress(syntax, **options)
    return get_frame(image.PixelData, 0)


def radiograph_of(image: FileDataset) -> Radiograph:
    return read(encode(image, enforce_file_format=True))


def object_in(syntax: str, cells: np.ndarray, **elements: Any) -> FileDataset:
    """An object of 12 bits around a stream of 16, in any syntax."""
    elements = {**WINDOW, "BitsStored": 12, **elements}
    if syntax == uid.ExplicitVRLittleEndian:
        return dataset_of(cells, **elements)
    if syntax == uid.JPEGLossless:
        frame = lossless_jpeg(cells.view("<u2") & 0x7FFF, 16)
        return compressed(cells, syntax, frame, **elements)
    plugin = {"encoding_plugin": "pydicom"} if syntax == uid.RLELossless else {}
    return compressed(cells, syntax, frame_of(cells, syntax, **plugin), **elements)


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLossless,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
    ],
)
def test_bits_above_the_stored_ones_are_removed(syntax: uid.UID) -> None:
    cells = SAMPLES | 0x4000 if syntax == uid.JPEGLossless else OVERLAY
    radiograph = radiograph_of(object_in(syntax, cells))
    np.testing.assert_allclose(radiograph.pixels, SAMPLES / 4096, atol=1e-6)
    assert radiograph.bit_depth == 12
    name = {**NAMES, uid.JPEGLossless: "lossless JPEG"}.get(syntax)
    assert radiograph.flags == ((f"12 bits stated, its {name} stream has 16",) if name else ())


@pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless],
)
@pytest.mark.parametrize("cells", ["<i2", "<u2"])
def test_signs_are_extended_from_the_stored_bits(syntax: uid.UID, cells: str) -> None:
    # -2048 to 2047 in 12 bits, the bits above it clear or an overlay: x / 4096 + 0.5.
    twelve = (OVERLAY & 0x8000 | (SAMPLES.astype("<i4") - 2048) & 0xFFF).astype("<u2")
    image = object_in(syntax, twelve.view(cells), PixelRepresentation=1, WindowCenter=0.5)
    np.testing.assert_allclose(radiograph_of(image).pixels, SAMPLES / 4096, atol=1e-6)


# Smooth, as radiographs are: 0 to 2202 of 12 bits.
SMOOTH = (ROWS * 40 + COLUMNS * 20).astype("<u2")
WIDE = "10 bits stated, the values need more: all 16 used"


@pytest.mark.parametrize(
    "syntax",
    [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless],
)
@pytest.mark.parametrize("signed", [False, True])
def test_values_of_more_bits_than_stated_do_not_wrap(syntax: uid.UID, signed: bool) -> None:
    # 12 bits under 10 stated: 1024 would be black again. As signed, from -2048.
    cells = (SMOOTH.astype("<i4") - 2048 * signed).astype("<i2" if signed else "<u2")
    window = {"WindowCenter": 2048.5 - 2048 * signed}
    radiograph = radiograph_of(object_in(syntax, cells, BitsStored=10, **window))
    np.testing.assert_allclose(radiograph.pixels, SMOOTH / 4096, atol=1e-6)
    assert radiograph.flags[-1] == WIDE
    # An overlay on ten bits is rougher with its bit than without it.
    ten = np.where(np.isin(ROWS // 4 + COLUMNS // 4, (3, 5, 7)), SMOOTH // 4 | 0x400, SMOOTH // 4)
    image = object_in(syntax, ten.astype("<u2"), BitsStored=10)
    np.testing.assert_allclose(radiograph_of(image).pixels, SMOOTH // 4 / 4096, atol=1e-6)


@pytest.mark.parametrize("syntax", NAMES)
def test_streams_of_fewer_bits_hold_as_they_are(syntax: uid.UID) -> None:
    # A stream of 8 bits: the values of 0 to 255 are those of the object of 12.
    eight = (SAMPLES >> 4).astype("u1")
    image = compressed(
        SAMPLES, syntax, frame_of(eight, syntax), BitsStored=12, WindowCenter=128, WindowWidth=256
    )
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, eight / 255, atol=1e-6)
    assert radiograph.flags == (f"12 bits stated, its {NAMES[syntax]} stream has 8",)


def test_signed_stream_in_an_unsigned_object() -> None:
    # JPEG 2000 alone states a sign: 0xF830 as -2000 has the 12 low bits 0x830 = 2096.
    image = object_in(uid.JPEG2000Lossless, np.full((40, 32), -2000, "<i2"), PixelRepresentation=0)
    assert np.unique(radiograph_of(image).pixels) == pytest.approx([2096 / 4096], abs=1e-6)


def test_lossy_values_beyond_the_stored_bits_are_white() -> None:
    # JPEG-LS of 16 bits within 3: 4095 may be 4098, whose 12 low bits are 2.
    cells = np.where(COLUMNS < 16, 4095, 700).astype("<u2")
    cells[::2, ::3] -= 2
    frame = frame_of(cells, uid.JPEGLSNearLossless, jls_error=3)
    image = compressed(cells, uid.JPEGLSNearLossless, frame, BitsStored=12, **WINDOW)
    np.testing.assert_allclose(radiograph_of(image).pixels, cells / 4096, atol=3.01 / 4096)


def jpeg(samples: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


# Flat blocks survive the cosine transform: 0, 17, 34 ... 255.
EIGHT = np.kron(np.arange(16).reshape(4, 4) * 17, np.ones((8, 8))).astype("u1")
SCALED = "12 bits stated, its 8-bit JPEG stream has 8"


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 2048, "WindowWidth": 4096},
        {"WindowCenter": 1024, "WindowWidth": 4096, "RescaleIntercept": -1024, "RescaleSlope": 1},
        {"WindowCenter": 1024, "WindowWidth": 2048, "RescaleIntercept": 0, "RescaleSlope": 0.5},
        {"WindowCenter": 2048, "WindowWidth": 4096, "RescaleIntercept": 4095, "RescaleSlope": -1},
    ],
)
@pytest.mark.parametrize("signed", [0, 1])
def test_eight_bit_jpeg_under_a_window_of_twelve(elements: dict[str, float], signed: int) -> None:
    # 255 stands for 4095: v is shown as v / 255, or with the negative slope as 1 - v / 255.
    image = compressed(
        EIGHT.astype("<u2"), uid.JPEGBaseline8Bit, jpeg(EIGHT),
        BitsStored=12, PixelRepresentation=signed, **elements,
    )  # fmt: skip
    radiograph = radiograph_of(image)
    right = 1 - EIGHT / 255 if elements.get("RescaleSlope") == -1 else EIGHT / 255
    np.testing.assert_allclose(radiograph.pixels, right, atol=0.001)
    polarity = ("signed pixels stated, its 8-bit JPEG stream is unsigned",) if signed else ()
    assert radiograph.flags == (*polarity, f"{SCALED}: scaled to 12")


def test_eight_bit_jpeg_under_a_window_of_eight() -> None:
    image = compressed(
        EIGHT.astype("<u2"), uid.JPEGBaseline8Bit, jpeg(EIGHT),
        BitsStored=12, WindowCenter=128, WindowWidth=256,
    )  # fmt: skip
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, EIGHT / 255, atol=1e-6)
    assert (radiograph.flags, radiograph.bit_depth) == ((SCALED,), 8)


def test_the_next_decoder_is_tried_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image = dataset_of(SAMPLES, BitsStored=12, **WINDOW)
    image.compress(uid.JPEG2000Lossless)
    monkeypatch.setitem(pixels._PLUGINS, "JPEG 2000", ("pyjpegls", "pillow"))
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, SAMPLES / 4096, atol=1e-6)
    assert radiograph.flags == ("JPEG 2000 decoded by pillow: pyjpegls failed",)
    image.PixelRepresentation, image.WindowCenter = 1, 0.5  # the stream knows no sign
    right = ((SAMPLES.astype("<i4") + 2048) % 4096) / 4096
    np.testing.assert_allclose(radiograph_of(image).pixels, right, atol=1e-6)


def test_where_all_decoders_fail_the_first_says_why() -> None:
    image = dataset_of(SAMPLES, BitsStored=12, **WINDOW)
    image.compress(uid.JPEG2000Lossless)
    frame = bytearray(get_frame(image.PixelData, 0))
    at = frame.index(b"\xff\x93")
    with pytest.raises(UnreadableImage, match="pylibjpeg"):
        radiograph_of(compressed(SAMPLES, uid.JPEG2000Lossless, bytes(frame[:at]), **WINDOW))


def with_comment(stream: bytes) -> bytes:
    end = stream.rindex(b"\xff\xd9")
    return stream[:end] + b"\xff\x64\0\x0b\0\1PADDING" + stream[end:]


@pytest.mark.parametrize("boxed", [False, True])
def test_comment_behind_the_tile_parts_of_jpeg_2000(boxed: bool) -> None:
    # ITU-T T.800 A.9.2 has comments in headers only; OpenJPEG rejects the whole. A DX unit writes
    # "PADDING" behind the last tile-part.
    frame = frame_of(SAMPLES, uid.JPEG2000Lossless)
    window = {**WINDOW, "BitsStored": 16}
    radiograph = radiograph_of(
        compressed(SAMPLES, uid.JPEG2000Lossless, with_comment(frame), **window)
    )
    np.testing.assert_allclose(radiograph.pixels, SAMPLES / 4096, atol=1e-6)
    flags = ("JPEG 2000 segments outside the tile-parts: left out",)
    assert radiograph.flags == flags
    # The same as a file of its own, bare or with the JP2 boxes.
    buffer = BytesIO()
    Image.fromarray(SAMPLES << 4).save(buffer, "JPEG2000", no_jp2=not boxed)
    file = buffer.getvalue()
    alone = with_comment(file)
    if boxed:
        at = alone.index(b"jp2c") - 4
        alone = alone[:at] + (len(alone) - at).to_bytes(4, "big") + alone[at + 4 :]
    assert read(alone).flags == flags
    np.testing.assert_array_equal(read(alone).pixels, read(file).pixels)


def test_real_file_with_a_comment_behind_its_tile_parts(real_data: Path) -> None:
    radiograph = read(real_data / "dicom-samples" / "966.dcm")  # of a DX unit, MONOCHROME1
    assert (radiograph.pixels.shape, radiograph.bit_depth) == ((2128, 2000), 12)
    assert radiograph.flags == ("JPEG 2000 segments outside the tile-parts: left out",)
    # A chest: bright between two darker lungs.
    rows = radiograph.pixels[600:1400]
    assert rows[:, 950:1050].mean() > rows[:, 400:700].mean() + 0.05
    assert radiograph.pixels.std() > 0.1


@pytest.mark.parametrize(
    ("name", "other"),
    [("RG1_J2KI", "RG1_JLSN"), ("RG2_J2KI", "RG2_JPLY"), ("RG3_J2KI", "RG3_JPLY")],
)
def test_real_files_agree_in_every_coding(name: str, other: str, real_data: Path) -> None:
    # The same radiograph by OpenJPEG, CharLS and GDCM's 12-bit JPEG, all lossy.
    one, two = (read(real_data / "dicom-samples" / f"{file}.dcm").pixels for file in (name, other))
    assert np.abs(one - two).mean() < 0.01
