"""16-bit numbers whose sign the pixels decide (PS3.3 C.11.1.1, C.11.2.1.1, C.7.5.1.1.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, FileDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)

from covid_cxr.imaging import read
from covid_cxr.imaging.dicom.numbers import Interval, most_met
from covid_cxr.types import Radiograph
from support.dicom_objects import EDGE, dataset_of, encode

COUNT = EDGE * EDGE
RAMP = np.arange(COUNT).reshape(EDGE, EDGE)
# The table of 1024 entries 0, 64, 128, ... 65472; of 16 bits: entry k is shown as 64 k / 65535.
ENTRIES = [64 * entry for entry in range(COUNT)]
DISPLAYED = 64 * RAMP / 65_535
# c = 512.5, w = 1025: y = x / 1024.
WINDOW = {"WindowCenter": 512.5, "WindowWidth": 1025}


def table(vr: str, first: int, entries: list[int] = ENTRIES, bits: int = 16) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def radiograph_of(image: FileDataset, syntax: str = ExplicitVRLittleEndian) -> Radiograph:
    image.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        image.PixelData = np.frombuffer(image.PixelData, "u2").byteswap().tobytes()
    return read(encode(image, enforce_file_format=True))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("vr", "first", "flags"),
    [
        ("SS", -2048, ()),
        ("US", 63_488, ("LUT from 63488 read as from -2048, which meets the pixels",)),
    ],
)
def test_voi_lut_of_unsigned_pixels_with_a_negative_intercept(
    vr: str, first: int, flags: tuple[str, ...], syntax: str
) -> None:
    # Stored 0 to 1023, rescaled to -2048 to -1025: the table from -2048 (0xF800) covers them.
    image = dataset_of(RAMP.astype("<u2"), RescaleSlope=1, RescaleIntercept=-2048)
    image.VOILUTSequence = [table(vr, first)]
    radiograph = radiograph_of(image, syntax)
    np.testing.assert_allclose(radiograph.pixels, DISPLAYED, atol=1e-6)
    assert radiograph.flags == flags


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("vr", ["SS", "US"])
def test_implicit_vr_states_no_sign(vr: str) -> None:
    image = dataset_of(RAMP.astype("<u2"), RescaleSlope=1, RescaleIntercept=-2048)
    image.VOILUTSequence = [table(vr, -2048 if vr == "SS" else 63_488)]
    radiograph = radiograph_of(image, ImplicitVRLittleEndian)
    np.testing.assert_allclose(radiograph.pixels, DISPLAYED, atol=1e-6)
    assert radiograph.flags == ()


@pytest.mark.parametrize(
    ("dtype", "low", "vr", "first", "read_as"),
    [
        ("<i2", -2048, "SS", -2048, None),
        ("<i2", -2048, "US", 63_488, -2048),
        ("<u2", 63_488, "US", 63_488, None),
        ("<u2", 63_488, "SS", -2048, 63_488),
        ("<u2", 0, "US", 0, None),
    ],
)
def test_modality_lut_meets_the_stored_values(
    dtype: str, low: int, vr: str, first: int, read_as: int | None
) -> None:
    # The table maps low + k to k, which the window shows as k / 1024.
    image = dataset_of((RAMP + low).astype(dtype), **WINDOW)
    image.ModalityLUTSequence = [table(vr, first, list(range(COUNT)))]
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    flag = f"LUT from {first} read as from {read_as}, which meets the pixels"
    assert radiograph.flags == (() if read_as is None else (flag,))


def test_of_two_readings_the_one_with_most_pixels_is_taken() -> None:
    values, counts = np.array([-3.0, 0.0, 65_533.0]), np.array([5, 0, 4])
    minus, plus = Interval(-10, -1), Interval(65_526, 65_535)
    assert most_met([plus, minus], values, counts) == 1
    assert most_met([plus, minus], values, counts[::-1]) == 0
    assert most_met([plus, minus], values, counts * 0) == 0
    # Neither holds a pixel: 5 is 6 from the one, 65,521 from the other.
    assert most_met([plus, minus], np.array([5.0]), np.array([1])) == 1


def padded(dtype: str, padding: int, **elements: Any) -> FileDataset:
    """0 to 1023 with the lower half replaced by padding."""
    pixels = RAMP.astype(dtype)
    pixels[16:] = np.array(padding).astype(dtype)
    return dataset_of(pixels, **{**WINDOW, **elements})


@pytest.mark.parametrize(
    "case",  # type of the cells, padding in them, VR and value stated, BitsStored, read as
    [
        ("<i2", -2000, "SS", -2000, 16, None),
        ("<i2", -2000, "US", 63_536, 16, -2000),
        ("<u2", 63_536, "US", 63_536, 16, None),
        ("<u2", 63_536, "SS", -2000, 16, 63_536),
        # 12 bits stored, all 16 of the cell used: 0xF830, whose low bits are 0x830 = 2096.
        ("<u2", 63_536, "US", 63_536, 12, None),
        ("<u2", 63_536, "SS", -2000, 12, 63_536),
        ("<u2", 0x8000, "US", 0x8000, 12, None),
        ("<i2", -32_768, "SS", -32_768, 12, None),
        ("<i2", -32_768, "US", 32_768, 12, -32_768),
        # The writer has removed the high bits.
        ("<u2", 0x830, "US", 63_536, 12, 0x830),
        ("<u2", 0xFFF, "SS", -1, 12, 0xFFF),
        ("<u1", 255, "US", 0xFFFF, 8, 255),
    ],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_met_in_either_sign(
    case: tuple[str, int, str, int, int, int | None], photometric: str
) -> None:
    dtype, cell, vr, stated, bits, read_as = case
    image = padded(dtype, cell, BitsStored=bits, PhotometricInterpretation=photometric)
    image.add_new("PixelPaddingValue", vr, stated)
    radiograph = radiograph_of(image)
    values = RAMP[:8].astype(dtype) / 1024
    right = values if photometric == "MONOCHROME2" else 1 - values
    np.testing.assert_allclose(radiograph.pixels[:7], right[:7], atol=1e-6)
    assert radiograph.pixels[16:].max() == 0
    flag = f"padding {stated} read as {read_as}, which the pixels have"
    assert radiograph.flags == (() if read_as is None else (flag,))


def test_padding_outside_the_stored_bits_spares_the_value_of_its_low_bits() -> None:
    # 0xF830 is padding, 0x0830 = 2096 is a grey level, and 0x7830 is one with a bit of an overlay.
    pixels = np.full((EDGE, EDGE), 0x0830, "<u2")
    pixels[:8], pixels[8:16] = 0xF830, 0x7830
    image = dataset_of(pixels, BitsStored=12, WindowCenter=2048.5, WindowWidth=4097)
    image.add_new("PixelPaddingValue", "US", 0xF830)
    radiograph = radiograph_of(image)
    assert radiograph.pixels[:8].max() == 0
    assert radiograph.pixels[8:] == pytest.approx(np.full((24, EDGE), 2096 / 4096), abs=1e-6)


def test_range_of_padding_in_the_other_sign() -> None:
    image = padded("<i2", -1500)
    image.add_new("PixelPaddingValue", "US", 63_536)  # -2000
    image.add_new("PixelPaddingRangeLimit", "US", 64_536)  # -1000
    radiograph = radiograph_of(image)
    assert radiograph.pixels[16:].max() == 0
    flag = "padding 63536 to 64536 read as -2000 to -1000, which the pixels have"
    assert radiograph.flags == (flag,)


def test_a_rare_value_is_not_padding_by_its_low_bits() -> None:
    # 0xF00A has the low bits 10, which one pixel of 1024 has.
    image = dataset_of(RAMP.astype("<u2"), BitsStored=12, **WINDOW)
    image.add_new("PixelPaddingValue", "US", 0xF00A)
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    assert radiograph.flags == ()


@pytest.mark.parametrize("limit", [1023, 1020])
def test_padding_that_covers_the_picture_is_not_believed(limit: int) -> None:
    image = dataset_of(RAMP.astype("<u2"), PixelPaddingValue=0, PixelPaddingRangeLimit=limit)
    image.update({"WindowCenter": 512.5, "WindowWidth": 1025})
    radiograph = radiograph_of(image)
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    assert radiograph.flags == ("padding covers the whole picture: ignored",)


# Windows that show 0 to 65536, -32768 to 32768, -2048 to 2048, and 0 to 4096 as 0 to 1.
UNSIGNED = {"WindowCenter": 32_768.5, "WindowWidth": 65_537}
SIGNED = {"WindowCenter": 0.5, "WindowWidth": 65_537}
NARROW = {"WindowCenter": 0.5, "WindowWidth": 4097}
TWELVE = {"WindowCenter": 2048.5, "WindowWidth": 4097}


@pytest.mark.parametrize(
    ("stored", "dtype", "window", "flag"),
    [
        (64 * RAMP, "<u2", UNSIGNED, "signed pixels stated, window and pixels are unsigned"),
        (64 * RAMP - 32_768, "<i2", SIGNED, "unsigned pixels stated, window and pixels are signed"),
        (4 * RAMP - 2048, "<i2", NARROW, "unsigned pixels stated, window and pixels are signed"),
    ],
)
def test_sign_of_the_pixels(
    stored: np.ndarray, dtype: str, window: dict[str, Any], flag: str
) -> None:
    image = dataset_of(stored.astype(dtype), **window)
    radiograph = radiograph_of(image)
    assert radiograph.flags == ()
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    image.PixelRepresentation = 1 - image.PixelRepresentation
    contradicted = radiograph_of(image)
    assert contradicted.flags == (f"{flag}: read so",)
    np.testing.assert_array_equal(contradicted.pixels, radiograph.pixels)
    # Without a window nothing tells.
    del image.WindowCenter
    assert radiograph_of(image).flags == ("no window: percentiles used",)


def test_sign_of_the_pixels_in_a_compressed_stream() -> None:
    image = dataset_of((4 * RAMP).astype("<u2"), BitsStored=12, **TWELVE)
    image.compress(JPEGLSLossless)
    image.PixelRepresentation = 1
    radiograph = read(encode(image, enforce_file_format=True))
    assert radiograph.flags == ("signed pixels stated, window and pixels are unsigned: read so",)
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)


def test_text_and_collimation_do_not_change_the_sign() -> None:
    # Unsigned, white at the end of 16 bits beside 12 bits of tissue: signed that would be -1.
    stored = 4 * RAMP
    stored[:, :8] = 65_535
    window = {"WindowCenter": 2000, "WindowWidth": 4300}
    assert radiograph_of(dataset_of(stored.astype("<u2"), **window)).flags == ()


def test_wide_window_alone_does_not_change_the_sign() -> None:
    image = dataset_of(RAMP.astype("<i2"), BitsStored=12, **TWELVE)
    radiograph = radiograph_of(image)
    assert radiograph.flags == ()
    np.testing.assert_allclose(radiograph.pixels, RAMP / 4096, atol=1e-6)
