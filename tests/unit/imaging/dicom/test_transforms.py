"""DICOM pixels, worked out by hand from PS3.3 C.7.6.3 (pixels), C.11.1 and C.11.2 (transforms)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from covid_cxr.imaging import read
from support.dicom_objects import EDGE, dataset, dataset_of, decode, encode, first, lut

# c = 100.5, w = 201: y = (x - 100) / 200 + 0.5 = x / 200.
PLAIN = {"WindowCenter": 100.5, "WindowWidth": 201}


def test_linear_window() -> None:
    # C.11.2.1.2.1 with c = 2048, w = 2001, so c - 0.5 = 2047.5 and w - 1 = 2000:
    # y = (x - 2047.5) / 2000 + 0.5; black up to 1047.5, white above 3047.5.
    # 1548 -> 0.25025; 2048 -> 0.50025; 2547 -> 0.74975.
    values = [0, 1047, 1548, 2048, 2547, 3048, 4095]
    radiograph = decode(values, BitsStored=12, WindowCenter=2048, WindowWidth=2001)
    assert first(radiograph, 7) == pytest.approx([0, 0, 0.25025, 0.50025, 0.74975, 1, 1], abs=1e-6)
    assert (radiograph.format, radiograph.bit_depth, radiograph.flags) == ("DICOM", 12, ())
    assert radiograph.pixels.dtype == np.float32


def test_first_of_several_windows_is_used() -> None:
    # c = 100.5, w = 201: y = (x - 100) / 200 + 0.5, so 150 -> 0.75.
    radiograph = decode([150], WindowCenter=[100.5, 1000], WindowWidth=[201, 5])
    assert first(radiograph, 1) == pytest.approx([0.75], abs=1e-6)


def test_linear_exact_and_sigmoid_windows() -> None:
    # C.11.2.1.3.2, c = 100, w = 200: y = (x - 100) / 200 + 0.5, so 150 -> 0.75.
    exact = decode([150], WindowCenter=100, WindowWidth=200, VOILUTFunction="LINEAR_EXACT")
    assert first(exact, 1) == pytest.approx([0.75], abs=1e-6)
    # C.11.2.1.3.1: y = 1 / (1 + exp(-4 (150 - 100) / 200)) = 1 / (1 + 1/e) = 0.731059.
    curve = decode([150], WindowCenter=100, WindowWidth=200, VOILUTFunction="SIGMOID")
    assert first(curve, 1) == pytest.approx([0.731059], abs=1e-5)


def test_rescale_comes_before_the_window() -> None:
    # C.11.1.1.2: 2 x - 1000: 250 -> -500, 500 -> 0, 750 -> 500. Window c = 0.5, w = 1001:
    # y = x / 1000 + 0.5.
    radiograph = decode(
        [250, 500, 750], RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0.5, WindowWidth=1001
    )
    assert first(radiograph, 3) == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_negative_slope_is_not_turned_over_again() -> None:
    # 1000 - x: 200 -> 800, 800 -> 200; same window over 0..1000, y = x / 1000.
    radiograph = decode(
        [200, 800], RescaleSlope=-1, RescaleIntercept=1000, WindowCenter=500.5, WindowWidth=1001
    )
    assert first(radiograph, 2) == pytest.approx([0.8, 0.2], abs=1e-6)


def test_modality_lut_comes_before_the_window() -> None:
    # Stored 10, 11, 12 -> 0, 30, 100; below and above hold the ends. Window: y = x / 100.
    radiograph = decode(
        [5, 10, 11, 12, 99],
        ModalityLUTSequence=[lut(10, 16, [0, 30, 100])],
        WindowCenter=50.5,
        WindowWidth=101,
    )
    assert first(radiograph, 5) == pytest.approx([0, 0, 0.3, 1, 1], abs=1e-6)


def test_voi_lut_wins_over_the_window() -> None:
    # Table from 100: 0, 1023, 4095 of 12 bits: 1023 / 4095 = 0.249817.
    radiograph = decode(
        [0, 100, 101, 102, 9000],
        VOILUTSequence=[lut(100, 12, [0, 1023, 4095])],
        WindowCenter=1,
        WindowWidth=1,
    )
    assert first(radiograph, 5) == pytest.approx([0, 0, 0.249817, 1, 1], abs=1e-6)


def test_long_voi_lut_of_eight_bits_does_not_wrap() -> None:
    # 4096 entries x // 16: 3000 -> 187 of 255. An 8-bit index would read entry 3000 % 256.
    table = [index // 16 for index in range(4096)]
    radiograph = decode([0, 3000, 4095], BitsStored=12, VOILUTSequence=[lut(0, 8, table)])
    assert first(radiograph, 3) == pytest.approx([0, 187 / 255, 1], abs=1e-6)


def test_voi_lut_after_rescale_and_with_negative_first_value() -> None:
    # x - 2: 1 -> -1 -> entry 0, 2 -> 0 -> entry 1, 3 -> 1 -> entry 2.
    radiograph = decode(
        [1, 2, 3],
        "<i2",
        RescaleSlope=1,
        RescaleIntercept=-2,
        VOILUTSequence=[lut(-1, 16, [65535, 0, 13107])],
    )
    assert first(radiograph, 3) == pytest.approx([1, 0, 0.2], abs=1e-6)


def test_monochrome1_is_turned_over_once_after_the_window() -> None:
    # y = (x - 100) / 200 + 0.5, then 1 - y: 0 -> 1, 50 -> 0.75, 200 -> 0.
    radiograph = decode(
        [0, 50, 200],
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=100.5,
        WindowWidth=201,
    )
    assert first(radiograph, 3) == pytest.approx([1, 0.75, 0], abs=1e-6)
    turned = decode(
        [0, 1], PhotometricInterpretation="MONOCHROME1", VOILUTSequence=[lut(0, 8, [0, 51])]
    )
    assert first(turned, 2) == pytest.approx([1, 0.8], abs=1e-6)


def test_signed_pixels() -> None:
    # Window c = 0.5, w = 2001: y = x / 2000 + 0.5; -500 -> 0.25, 500 -> 0.75.
    radiograph = decode([-1000, -500, 0, 500, 1000], "<i2", WindowCenter=0.5, WindowWidth=2001)
    assert first(radiograph, 5) == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-6)


def test_bits_above_bits_stored_are_ignored() -> None:
    # 0x7800 has 0x800 = 2048 in its 12 low bits. Signed 12 bits: 0x0C00 is -1024.
    unsigned = decode([0x7800], BitsStored=12, WindowCenter=2048.5, WindowWidth=4097)
    assert first(unsigned, 1) == pytest.approx([0.5], abs=1e-6)
    signed = decode([0x0C00], "<i2", BitsStored=12, WindowCenter=0.5, WindowWidth=4097)
    assert first(signed, 1) == pytest.approx([0.25], abs=1e-6)


def test_without_window_percentiles_are_used_and_flagged() -> None:
    # 1024 different values 0..1023: percentiles 0.5 and 99.5 are 5.115 and 1017.885.
    image = dataset([0])
    image.PixelData = np.arange(EDGE * EDGE, dtype="<u2").tobytes()
    radiograph = read(encode(image, enforce_file_format=True))
    assert radiograph.flags == ("no window: percentiles used",)
    assert radiograph.pixels[0, 5] == 0
    assert radiograph.pixels[0, 6] == pytest.approx((6 - 5.115) / 1012.77, abs=1e-6)
    assert radiograph.pixels[-1, -6] == 1
    assert decode([7]).pixels.max() == 0  # one value only
    empty = decode([1, 2], WindowCenter=None, WindowWidth=None)
    assert empty.flags == radiograph.flags


def test_facts_are_kept_and_the_patient_is_not() -> None:
    radiograph = decode([0, 1], ViewPosition="PA", BurnedInAnnotation="YES", PatientSex="F")
    assert radiograph.view == "PA"
    assert radiograph.metadata == {
        "modality": "DX",
        "photometric_interpretation": "MONOCHROME2",
        "burned_in_annotation": "YES",
        "transfer_syntax": "Explicit VR Little Endian",
    }
    assert "Doe" not in repr(radiograph)
    assert decode([0, 1]).view is None


def test_percentiles_are_those_of_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 900, (EDGE, EDGE)).astype("<u2")
    radiograph = read(encode(dataset_of(pixels, RescaleSlope=-3, RescaleIntercept=7)))
    values = 7.0 - 3 * pixels
    low, high = np.percentile(values, (0.5, 99.5))
    np.testing.assert_allclose(
        radiograph.pixels, np.clip((values - low) / (high - low), 0, 1), atol=1e-6
    )


def test_narrowest_linear_window_is_a_step() -> None:
    # C.11.2.1.2.1, c = 100.5, w = 1: black up to 100, white above.
    assert first(decode([99, 100, 101], WindowCenter=100.5, WindowWidth=1), 3) == [0, 0, 1]


def test_unknown_voi_function_is_linear_and_flagged() -> None:
    radiograph = decode([150], VOILUTFunction="CUBIC", **PLAIN)
    assert first(radiograph, 1) == pytest.approx([0.75], abs=1e-6)
    assert radiograph.flags == ("VOI LUT function unknown: LINEAR used",)


def test_intercept_alone_is_applied() -> None:
    # 250 - 100 = 150 -> 0.75.
    assert first(decode([250], RescaleIntercept=-100, **PLAIN), 1) == pytest.approx([0.75])


def test_eight_bit_lut_two_entries_to_a_word() -> None:
    item = lut(0, 8, [])
    item.LUTDescriptor = [4, 0, 8]
    item.add_new("LUTData", "OW", bytes([0, 51, 102, 255]))
    radiograph = decode([0, 1, 2, 3], VOILUTSequence=[item])
    assert first(radiograph, 4) == pytest.approx([0, 0.2, 0.4, 1], abs=1e-6)  # 51 / 255, 102 / 255


@pytest.mark.parametrize("little", [True, False])
def test_lut_of_words_is_in_the_byte_order_of_the_object(little: bool) -> None:
    image = dataset([0])
    item = lut(0, 16, [])
    item.LUTDescriptor = [2, 0, 16]
    item.add_new("LUTData", "OW", np.array([0x1999, 0xFFFF], "<u2" if little else ">u2").tobytes())
    image.VOILUTSequence = [item]
    image.PixelData = np.tile([0, 1], EDGE * EDGE // 2).astype("<u2" if little else ">u2").tobytes()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    assert first(read(encode(image)), 2) == pytest.approx([6553 / 65535, 1])


@pytest.mark.parametrize(
    ("photometric", "shape", "displayed", "flagged"),
    [
        ("MONOCHROME1", "INVERSE", 0.25, False),  # said twice, inverted once: 1 - 150 / 200
        ("MONOCHROME1", None, 0.25, False),
        ("MONOCHROME1", "IDENTITY", 0.25, True),
        ("MONOCHROME2", "IDENTITY", 0.75, False),
        ("MONOCHROME2", "INVERSE", 0.75, True),
    ],
)
def test_polarity_is_the_photometric_interpretations(
    photometric: str, shape: str | None, displayed: float, flagged: bool
) -> None:
    radiograph = decode(
        [150], PhotometricInterpretation=photometric, PresentationLUTShape=shape, **PLAIN
    )
    assert first(radiograph, 1) == pytest.approx([displayed], abs=1e-6)
    contradiction = (f"PresentationLUTShape contradicts {photometric}: ignored",)
    assert radiograph.flags == (contradiction if flagged else ())


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(photometric: str) -> None:
    padding = {"PixelPaddingValue": 180, "PixelPaddingRangeLimit": 170}
    radiograph = decode(
        [169, 170, 175, 180, 181], PhotometricInterpretation=photometric, **padding, **PLAIN
    )
    right = [0.845, 0, 0, 0, 0.905] if photometric == "MONOCHROME2" else [0.155, 0, 0, 0, 0.095]
    assert first(radiograph, 5) == pytest.approx(
        right, abs=1e-6
    )  # 169 / 200, 181 / 200, or 1 - that


def test_padding_does_not_enter_the_percentiles() -> None:
    # Half is padding of -2000, written as US 63536; the rest is 0..511: percentiles 0.5 and 99.5
    # are 0.005 * 511 = 2.555 and 508.445.
    pixels = np.full((EDGE, EDGE), -2000, "<i2")
    pixels[:16] = np.arange(512).reshape(16, EDGE)
    image = dataset_of(pixels)
    image.add_new("PixelPaddingValue", "US", 63536)
    radiograph = read(encode(image))
    assert radiograph.pixels[16:].max() == 0
    assert radiograph.pixels[8, 0] == pytest.approx((256 - 2.555) / 505.89, abs=1e-6)
    image.PixelData = np.full((EDGE, EDGE), -2000, "<i2").tobytes()
    assert read(encode(image)).pixels.max() == 0  # nothing but padding


def test_bits_below_high_bit_are_the_value() -> None:
    # 12 bits that end at bit 15: 0x96F is 2415 above four bits of an old overlay, 2400 + 15.
    radiograph = decode([0x96F7], BitsStored=12, HighBit=15, WindowCenter=2048.5, WindowWidth=4097)
    assert first(radiograph, 1) == pytest.approx([2415 / 4096], abs=1e-6)
    signed = decode(
        [-0x4000 + 7], "<i2", BitsStored=12, HighBit=15, WindowCenter=0.5, WindowWidth=4097
    )
    assert first(signed, 1) == pytest.approx([0.25], abs=1e-6)  # -1024 / 4096 + 0.5


def test_deep_pixels() -> None:
    radiograph = decode(
        [0, 250_000, 1_000_000], "<u4", WindowCenter=500_000.5, WindowWidth=1_000_001
    )
    assert first(radiograph, 3) == pytest.approx([0, 0.25, 1], abs=1e-6)


def test_overlays_and_what_was_already_done_change_nothing() -> None:
    plain = decode([0, 50, 150, 200], **PLAIN)
    image = dataset(
        [0, 50, 150, 200], FieldOfViewRotation=90, FieldOfViewHorizontalFlip="YES", **PLAIN
    )
    image.add_new(0x60000010, "US", EDGE)
    image.add_new(0x60000011, "US", EDGE)
    image.add_new(0x60003000, "OW", b"\xff" * (EDGE * EDGE // 8))
    np.testing.assert_array_equal(read(encode(image)).pixels, plain.pixels)


@pytest.mark.parametrize(
    ("stated", "view"),
    [("PA", "PA"), (" ap ", "AP"), ("", None), ("LLD", "LLD"), (["PA", "AP"], "PA")],
)
def test_view_position(stated: Any, view: str | None) -> None:
    image = dataset([0])
    image.add_new("ViewPosition", "CS", "777" if stated == " ap " else stated)
    assert read(encode(image).replace(b"777 ", b" ap ")).view == view


@pytest.mark.parametrize(
    ("value", "view"), [("399348003", "AP"), ("R-10214", "PA"), ("399173006", "LL"), ("X", None)]
)
def test_view_code_stands_in_for_a_blank_view(value: str, view: str | None) -> None:
    item = Dataset()
    item.CodeValue = value
    assert decode([0], ViewPosition="", ViewCodeSequence=[item]).view == view
    assert decode([0], ViewPosition="RLD", ViewCodeSequence=[item]).view == "RLD"


def test_what_a_reader_should_know_is_flagged() -> None:
    radiograph = decode(
        [0], BurnedInAnnotation="YES", PixelAspectRatio=[1, 2], Modality="CT", **PLAIN
    )
    assert radiograph.flags == (
        "burned-in annotation stated",
        "pixels are not square: left as they are",
    )
    assert radiograph.metadata["modality"] == "CT"
    assert decode([0], BurnedInAnnotation="NO", PixelAspectRatio=[1, 1], **PLAIN).flags == ()
