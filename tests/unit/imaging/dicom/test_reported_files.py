"""Kinds of files on which users of other DICOM readers have reported faults.

docs/reading.md names the reports. Every picture is a slope of 4096 values whose stored sample n is
to be displayed as n / 4095, unless a test says otherwise.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.tag import Tag

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.types import Radiograph
from support.dicom_objects import compressed, dataset_of, encode, twelve_bit_jpeg

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, on what it writes
GREY = np.arange(4096).reshape(64, 64).astype("<u2")
EIGHT = (GREY >> 4).astype("u1")
EXPECTED = GREY / 4095
WINDOW = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}


def read_object(image: Dataset) -> Radiograph:
    return read(encode(image, enforce_file_format=True))


def with_text(pixels: np.ndarray = GREY, **texts: bytes) -> Radiograph:
    """An object whose numbers are written as such a text, which pydicom would not write."""
    image = dataset_of(pixels, BitsStored=12)
    for keyword, text in texts.items():
        tag = Tag(tag_for_keyword(keyword) or 0)
        image[tag] = RawDataElement(tag, "DS", len(text), text, 0, False, True)
    return read_object(image)


def encapsulated(image: Dataset, fragments: list[bytes], offsets: bytes = b"") -> Radiograph:
    items = [
        b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item for item in (offsets, *fragments)
    ]
    image.PixelData = b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)
    image["PixelData"].is_undefined_length = True
    return read_object(image)


def frame_of(syntax: str) -> tuple[Dataset, bytes]:
    image = dataset_of(GREY, **WINDOW)
    image.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "")
    return image, get_frame(image.PixelData, 0)


def assert_shows(radiograph: Radiograph, *flags: str, expected: np.ndarray = EXPECTED) -> None:
    assert radiograph.flags == flags
    np.testing.assert_allclose(radiograph.pixels, expected, atol=0.0003)


@pytest.mark.parametrize(
    "texts",
    [
        {"WindowCenter": b"2048,0", "WindowWidth": b"4096,0"},
        {"WindowCenter": b"\\2048 ", "WindowWidth": b"\\4096 "},
        {"WindowCenter": b"2048", "WindowWidth": b"4096\\1 "},
        {"WindowCenter": b"2.048E+3", "WindowWidth": b" 4096\0"},
        {"RescaleSlope": b"", "WindowCenter": b"2048", "WindowWidth": b"4096"},
        # Values 0, 0.5, ..., 2047.5: LINEAR shows v as (v - 1023.25) / 2047 + 1 / 2 = v / 2047.
        {"RescaleSlope": b"0,5 ", "WindowCenter": b"1024", "WindowWidth": b"2048"},
    ],
)
def test_numbers_in_unusual_notation(texts: dict[str, bytes]) -> None:
    expected = np.minimum(EXPECTED * 2047.5 / 2047, 1) if b"0,5 " in texts.values() else EXPECTED
    np.testing.assert_allclose(with_text(**texts).pixels, expected, atol=0.0003)


@pytest.mark.parametrize(
    ("slope", "center", "width"),
    [(b"0.000005", b"0.01024", b"0.02048"), (b"0.001", b"2.048", b"4.096")],
)
def test_window_of_fractions_is_exact(slope: bytes, center: bytes, width: bytes) -> None:
    # The window covers stored values 0 to 4096: v is shown as v / 4096.
    radiograph = with_text(RescaleSlope=slope, WindowCenter=center, WindowWidth=width)
    assert_shows(radiograph, "window of fractions: LINEAR_EXACT used", expected=GREY / 4096)


def test_window_that_leaves_only_black_and_white_shows_nothing() -> None:
    radiograph = with_text(WindowCenter=b"2048", WindowWidth=b"1 ")
    assert radiograph.flags == ("window shows nothing of the image: percentiles used",)
    assert np.ptp(radiograph.pixels[16:48]) > 0.5


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_fragments_and_offset_tables(syntax: str) -> None:
    image, frame = frame_of(syntax)
    split = [frame[at : at + 512] for at in range(0, len(frame), 512)]
    assert_shows(encapsulated(image, split))
    assert_shows(encapsulated(image, [b"", frame], struct.pack("<I", 999)))
    flag = "offset table of 3 frames, one found: ignored"
    assert_shows(encapsulated(image, split, struct.pack("<3I", 0, 520, 99_999)), flag)
    with pytest.raises(UnreadableImage, match="2 frames, expected a single radiograph"):
        encapsulated(image, [frame, frame])


def test_native_pixels_of_undefined_length() -> None:
    data = encode(dataset_of(GREY, **WINDOW), enforce_file_format=True)
    at = data.index(b"\xe0\x7f\x10\0OW\0\0") + 8
    endless = data[:at] + b"\xff" * 4 + data[at + 4 :] + b"\xfe\xff\xdd\xe0" + bytes(4)
    assert_shows(
        read(endless), "pixel data of undefined length, not encapsulated: read as they are"
    )


def test_zero_before_the_end_of_jpeg_ls() -> None:
    image, frame = frame_of(uid.JPEGLSLossless)
    body = frame.rstrip(b"\0").removesuffix(b"\xff\xd9")
    radiograph = encapsulated(image, [body + b"\0\xff\xd9"])
    assert_shows(radiograph, "zero before the end of JPEG-LS: left out")
    with pytest.raises(UnreadableImage):
        encapsulated(image, [body[:-9] + b"\0\xff\xd9"])


@pytest.mark.parametrize(
    ("end", "flag"),
    [
        (b"", "JPEG 2000 without its end marker: added"),
        (b"\0", "JPEG 2000 without its end marker: added"),
        (b"\0\xff\xd9", "JPEG 2000 segments outside the tile-parts: left out"),
    ],
)
def test_end_of_jpeg_2000(end: bytes, flag: str) -> None:
    image, frame = frame_of(uid.JPEG2000Lossless)
    body = frame.rstrip(b"\0").removesuffix(b"\xff\xd9")
    assert_shows(encapsulated(image, [body + end]), flag)
    with pytest.raises(UnreadableImage):
        encapsulated(image, [body[:-9] + end])


def test_scan_of_12_bit_jpeg_that_states_no_coefficients() -> None:
    # T.81 B.2.3: Ss 0 and Se 63 in a sequential scan; here Se is 0.
    blocks = np.arange(64).reshape(8, 8) * 64
    frame = twelve_bit_jpeg(blocks)
    at = frame.index(b"\xff\xda") + 8
    image = compressed(GREY, uid.JPEGExtended12Bit, frame[:at] + b"\0" + frame[at + 1 :], **WINDOW)
    assert_shows(read_object(image), expected=np.kron(blocks, np.ones((8, 8))) / 4095)


def palette(entries: list[int], bits: int) -> Dataset:
    image = dataset_of(EIGHT, PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        keyword = f"{name}PaletteColorLookupTable"
        setattr(image, f"{keyword}Descriptor", [len(entries) % 2**16, 0, bits])
        data = np.array(entries, "u1" if bits == 8 else "<u2").tobytes()
        image.add_new(f"{keyword}Data", "OW", data)
    return image


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 257), (16, 1)])
@pytest.mark.parametrize("inverse", [False, True])
def test_palettes(bits: int, scale: int, inverse: bool) -> None:
    entries = [scale * (255 - n if inverse else n) for n in range(256)]
    expected = 1 - EIGHT / 255 if inverse else EIGHT / 255
    assert_shows(read_object(palette(entries, bits)), expected=expected)


def test_palette_of_colours() -> None:
    image = palette(list(range(256)), 8)
    image.GreenPaletteColorLookupTableData = image.BluePaletteColorLookupTableData = bytes(256)
    flag = "holds colour: a radiograph has none"
    assert_shows(read_object(image), flag, expected=0.299 * EIGHT / 255)
    del image.BluePaletteColorLookupTableData
    with pytest.raises(UnreadableImage, match="without tables that can be used"):
        read_object(image)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PixelSpacing", [0.1, 0.2]),
        ("ImagerPixelSpacing", [0.2, 0.1]),
        ("NominalScannedPixelSpacing", [0.1, 0.11]),
        ("PixelAspectRatio", [2, 1]),
    ],
)
def test_pixels_that_are_not_square(keyword: str, value: list[float]) -> None:
    flag = "pixels are not square: left as they are"
    assert_shows(read_object(dataset_of(GREY, **WINDOW, **{keyword: value})), flag)
    assert_shows(read_object(dataset_of(GREY, **WINDOW, **{keyword: [value[0], value[0]]})))


@pytest.mark.parametrize(
    ("shift", "high", "flag"),
    [
        (0, 15, "HighBit 15 stated, the values are in the low bits"),
        (4, 11, "HighBit 11 stated, the values are in the high bits"),
    ],
)
def test_high_bit_that_contradicts_the_samples(shift: int, high: int, flag: str) -> None:
    assert_shows(read_object(dataset_of(GREY << shift, **WINDOW, HighBit=high)), flag)
    stated = 15 if shift else 11
    assert_shows(read_object(dataset_of(GREY << shift, **WINDOW, HighBit=stated)))


def in_big_endian(pixels: np.ndarray, vr: str, data: bytes, **elements: Any) -> Dataset:
    image = dataset_of(pixels, **elements)
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    image.add_new("PixelData", vr, data)
    return image


@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_words_and_bytes_in_either_vr(vr: str) -> None:
    little = dataset_of(GREY, **WINDOW)
    little.add_new("PixelData", vr, GREY.tobytes())
    assert_shows(read_object(little))
    assert_shows(read_object(in_big_endian(GREY, vr, GREY.astype(">u2").tobytes(), **WINDOW)))
    # Bytes in OW are pairs in a word, whose bytes are swapped in big-endian (PS3.5 7.3, 8.1.1).
    pairs = EIGHT.reshape(-1, 2)[:, ::-1] if vr == "OW" else EIGHT
    window = {"WindowCenter": 128, "WindowWidth": 256}
    assert_shows(
        read_object(in_big_endian(EIGHT, vr, pairs.tobytes(), **window)), expected=EIGHT / 255
    )


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("stated", ["<", ">"])
def test_pixels_in_the_other_byte_order(vr: str, stated: str) -> None:
    content = GREY.astype("<u2" if stated == ">" else ">u2").tobytes()
    image = in_big_endian(GREY, vr, content, **WINDOW)
    if stated == "<":
        image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    assert_shows(read_object(image), "bytes of the pixels in the other order: swapped")
    # Values that use one of the two bytes are as rough either way, and taken as stated.
    bright = dataset_of((EIGHT.astype("<u2") << 8), WindowCenter=32_768, WindowWidth=65_536)
    assert_shows(read_object(bright), expected=(EIGHT.astype(int) << 8) / 65_535)


def test_code_strings_in_small_letters() -> None:
    image = dataset_of(GREY, **WINDOW, VOILUTFunction="linear")
    image.PhotometricInterpretation = "monochrome1"
    assert_shows(read_object(image), expected=1 - EXPECTED)


def test_inverse_presentation_inverts_monochrome1_once() -> None:
    image = dataset_of(GREY, **WINDOW, PresentationLUTShape="INVERSE")
    image.PhotometricInterpretation = "MONOCHROME1"
    assert_shows(read_object(image), expected=1 - EXPECTED)


def test_what_follows_the_object_is_left_alone() -> None:
    data = encode(dataset_of(GREY, **WINDOW), enforce_file_format=True)
    assert_shows(read(data + b"\0" * 999))
    assert_shows(read(data + b"trailing " * 99))
    buffer = BytesIO()
    bare = Dataset()
    bare.update(dcmread(BytesIO(data)))
    bare.save_as(buffer, implicit_vr=True, little_endian=True)
    assert_shows(read(bytes(128) + b"DICM" + buffer.getvalue()))  # a preamble, no meta information
