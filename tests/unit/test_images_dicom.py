"""DICOM pixels, worked out by hand from PS3.3 C.7.6.3 (pixels), C.11.1 and C.11.2 (transforms)."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, FileDataset, FileMetaDataset
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from covid_cxr.errors import UnreadableImage
from covid_cxr.images import read
from covid_cxr.types import Radiograph

EDGE = 32


def dataset(values: list[int], dtype: str = "<u2", **elements: Any) -> FileDataset:
    """A 32 x 32 radiograph whose first row starts with `values`; the rest repeats the last."""
    pixels = np.full((EDGE, EDGE), values[-1], dtype)
    pixels[0, : len(values)] = values
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    result = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    result.SOPClassUID, result.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    result.Modality = "DX"
    result.PatientName, result.PatientID = "Doe^Jane", "12345"
    result.Rows = result.Columns = EDGE
    result.SamplesPerPixel = 1
    result.PhotometricInterpretation = "MONOCHROME2"
    result.BitsAllocated = 8 * pixels.itemsize
    result.BitsStored = elements.get("BitsStored", result.BitsAllocated)
    result.HighBit = result.BitsStored - 1
    result.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(result, keyword, value)
    result.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
    return result


def encode(image: Dataset, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save_as(buffer, **options)
    return buffer.getvalue()


def decode(values: list[int], dtype: str = "<u2", **elements: Any) -> Radiograph:
    return read(encode(dataset(values, dtype, **elements), enforce_file_format=True))


def lut(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def first(film: Radiograph, count: int) -> list[float]:
    return [float(value) for value in film.pixels[0, :count]]


def test_linear_window() -> None:
    # C.11.2.1.2.1 with c = 2048, w = 2001, so c - 0.5 = 2047.5 and w - 1 = 2000:
    # y = (x - 2047.5) / 2000 + 0.5; black up to 1047.5, white above 3047.5.
    # 1548 -> 0.25025; 2048 -> 0.50025; 2547 -> 0.74975.
    values = [0, 1047, 1548, 2048, 2547, 3048, 4095]
    film = decode(values, BitsStored=12, WindowCenter=2048, WindowWidth=2001)
    assert first(film, 7) == pytest.approx([0, 0, 0.25025, 0.50025, 0.74975, 1, 1], abs=1e-6)
    assert (film.format, film.bit_depth, film.flags) == ("DICOM", 12, ())
    assert film.pixels.dtype == np.float32


def test_first_of_several_windows_is_used() -> None:
    # c = 100.5, w = 201: y = (x - 100) / 200 + 0.5, so 150 -> 0.75.
    film = decode([150], WindowCenter=[100.5, 1000], WindowWidth=[201, 5])
    assert first(film, 1) == pytest.approx([0.75], abs=1e-6)


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
    film = decode(
        [250, 500, 750], RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0.5, WindowWidth=1001
    )
    assert first(film, 3) == pytest.approx([0, 0.5, 1], abs=1e-6)


def test_negative_slope_is_not_turned_over_again() -> None:
    # 1000 - x: 200 -> 800, 800 -> 200; same window over 0..1000, y = x / 1000.
    film = decode(
        [200, 800], RescaleSlope=-1, RescaleIntercept=1000, WindowCenter=500.5, WindowWidth=1001
    )
    assert first(film, 2) == pytest.approx([0.8, 0.2], abs=1e-6)


def test_modality_lut_comes_before_the_window() -> None:
    # Stored 10, 11, 12 -> 0, 30, 100; below and above hold the ends. Window: y = x / 100.
    film = decode(
        [5, 10, 11, 12, 99],
        ModalityLUTSequence=[lut(10, 16, [0, 30, 100])],
        WindowCenter=50.5,
        WindowWidth=101,
    )
    assert first(film, 5) == pytest.approx([0, 0, 0.3, 1, 1], abs=1e-6)


def test_voi_lut_wins_over_the_window() -> None:
    # Table from 100: 0, 1023, 4095 of 12 bits: 1023 / 4095 = 0.249817.
    film = decode(
        [0, 100, 101, 102, 9000],
        VOILUTSequence=[lut(100, 12, [0, 1023, 4095])],
        WindowCenter=1,
        WindowWidth=1,
    )
    assert first(film, 5) == pytest.approx([0, 0, 0.249817, 1, 1], abs=1e-6)


def test_long_voi_lut_of_eight_bits_does_not_wrap() -> None:
    # 4096 entries x // 16: 3000 -> 187 of 255. An 8-bit index would read entry 3000 % 256.
    table = [index // 16 for index in range(4096)]
    film = decode([0, 3000, 4095], BitsStored=12, VOILUTSequence=[lut(0, 8, table)])
    assert first(film, 3) == pytest.approx([0, 187 / 255, 1], abs=1e-6)


def test_voi_lut_after_rescale_and_with_negative_first_value() -> None:
    # x - 2: 1 -> -1 -> entry 0, 2 -> 0 -> entry 1, 3 -> 1 -> entry 2.
    film = decode(
        [1, 2, 3],
        "<i2",
        RescaleSlope=1,
        RescaleIntercept=-2,
        VOILUTSequence=[lut(-1, 16, [65535, 0, 13107])],
    )
    assert first(film, 3) == pytest.approx([1, 0, 0.2], abs=1e-6)


def test_monochrome1_is_turned_over_once_after_the_window() -> None:
    # y = (x - 100) / 200 + 0.5, then 1 - y: 0 -> 1, 50 -> 0.75, 200 -> 0.
    film = decode(
        [0, 50, 200],
        PhotometricInterpretation="MONOCHROME1",
        WindowCenter=100.5,
        WindowWidth=201,
    )
    assert first(film, 3) == pytest.approx([1, 0.75, 0], abs=1e-6)
    turned = decode(
        [0, 1], PhotometricInterpretation="MONOCHROME1", VOILUTSequence=[lut(0, 8, [0, 51])]
    )
    assert first(turned, 2) == pytest.approx([1, 0.8], abs=1e-6)


def test_signed_pixels() -> None:
    # Window c = 0.5, w = 2001: y = x / 2000 + 0.5; -500 -> 0.25, 500 -> 0.75.
    film = decode([-1000, -500, 0, 500, 1000], "<i2", WindowCenter=0.5, WindowWidth=2001)
    assert first(film, 5) == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-6)


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
    film = read(encode(image, enforce_file_format=True))
    assert film.flags == ("no window: percentiles used",)
    assert film.pixels[0, 5] == 0
    assert film.pixels[0, 6] == pytest.approx((6 - 5.115) / 1012.77, abs=1e-6)
    assert film.pixels[-1, -6] == 1
    assert decode([7]).pixels.max() == 0  # one value only
    empty = decode([1, 2], WindowCenter=None, WindowWidth=None)
    assert empty.flags == film.flags


def test_colour_becomes_luma() -> None:
    image = dataset(
        [0], "u1", SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0
    )
    # 0.299 * 1 + 0.587 * 0.4 + 0.114 * 0 = 0.5338
    image.PixelData = bytes([255, 102, 0]) * EDGE * EDGE
    film = read(encode(image, enforce_file_format=True))
    assert film.pixels[0, 0] == pytest.approx(0.5338, abs=1e-6)
    assert film.flags == ("holds colour: a radiograph has none",)


def test_facts_are_kept_and_the_patient_is_not() -> None:
    film = decode([0, 1], ViewPosition="PA", BurnedInAnnotation="YES", PatientSex="F")
    assert film.view == "PA"
    assert film.metadata == {
        "modality": "DX",
        "photometric_interpretation": "MONOCHROME2",
        "burned_in_annotation": "YES",
        "transfer_syntax": "Explicit VR Little Endian",
    }
    assert "Doe" not in repr(film)
    assert decode([0, 1]).view is None


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_object_without_preamble_is_read(syntax: str) -> None:
    image = dataset([150], WindowCenter=100.5, WindowWidth=201)
    expected = read(encode(image, enforce_file_format=True)).pixels
    del image.file_meta, image.preamble
    bare = encode(image, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    assert bare[128:132] != b"DICM"
    np.testing.assert_array_equal(read(bare).pixels, expected)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("SC_rgb_rle_2frame.dcm", "2 frames"),
        ("rtplan.dcm", "without pixels"),
        ("test-SR.dcm", "without pixels"),
        ("examples_palette.dcm", "PALETTE COLOR"),
        ("MR_truncated.dcm", "cannot be decoded"),
    ],
)
def test_what_is_no_single_radiograph_is_refused(name: str, why: str) -> None:
    path = get_testdata_file(name, download=False)
    with pytest.raises(UnreadableImage, match=why) as caught:
        read(path)
    assert name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "JPEG2000.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_real_encodings_are_decoded(name: str) -> None:
    film = read(get_testdata_file(name, download=False))
    assert film.format == "DICOM"
    assert np.isfinite(film.pixels).all()
    assert film.pixels.min() >= 0
    assert film.pixels.max() <= 1
    assert film.pixels.std() > 0.05


def test_lossless_encodings_agree() -> None:
    plain = read(get_testdata_file("MR_small.dcm", download=False)).pixels
    for kind in ("RLE", "bigendian", "implicit", "jp2klossless", "jpeg_ls_lossless"):
        other = read(get_testdata_file(f"MR_small_{kind}.dcm", download=False)).pixels
        np.testing.assert_array_equal(other, plain)


def test_damaged_objects_never_raise_anything_else() -> None:
    clean = encode(dataset([1, 2], WindowCenter=100, WindowWidth=20), enforce_file_format=True)
    rng = np.random.default_rng(0)
    for kept in (140, 300, 600, 1500):
        with pytest.raises(UnreadableImage):
            read(clean[:kept])
    for _ in range(150):
        data = bytearray(clean)
        for at in rng.integers(132, 900, 4):
            data[at] = rng.integers(256)
        try:
            pixels = read(bytes(data)).pixels
        except UnreadableImage:
            continue
        assert np.isfinite(pixels).all()


def test_header_size_is_judged_before_decoding() -> None:
    image = dataset([0])
    image.Rows = image.Columns = 20_000
    with pytest.raises(UnreadableImage, match="20000 x 20000"):
        read(encode(image, enforce_file_format=True))
