"""DICOM objects that are incomplete, contradictory, wrong or damaged."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, FileDataset, uid

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.imaging.dicom.file import is_dicom
from support.dicom_objects import (
    EDGE,
    compressed,
    dataset,
    dataset_of,
    decode,
    encode,
    first,
    lossless_jpeg,
    lut,
)

# c = 100.5, w = 201: y = (x - 100) / 200 + 0.5 = x / 200.
PLAIN = {"WindowCenter": 100.5, "WindowWidth": 201}
UNUSABLE = "window unusable: percentiles used"
SAMPLES = (np.mgrid[:40, :32][0] * 97 % 4096).astype("<u2")


LYING = {True: uid.ImplicitVRLittleEndian, False: uid.ExplicitVRLittleEndian}


def padded(syntax: str) -> bytes:
    """A UI element's length and value."""
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return len(value).to_bytes(2, "little") + value


def radiograph_of(image: FileDataset) -> Any:
    return read(encode(image, enforce_file_format=True))


@pytest.mark.parametrize(("implicit", "little"), [(True, True), (False, True), (False, False)])
def test_object_without_preamble_is_read(implicit: bool, little: bool) -> None:
    image = dataset([150], **PLAIN)
    image.add_new(0x00080000, "UL", 200)  # a group length, retired and wrong
    del image.file_meta, image.preamble
    if not little:
        image.PixelData = np.full(EDGE * EDGE, 150, ">u2").tobytes()
    bare = encode(image, implicit_vr=implicit, little_endian=little)
    assert bare[128:132] != b"DICM"
    assert first(read(bare), 1) == pytest.approx([0.75])


@pytest.mark.parametrize(
    "data",
    [b"", b"\x08\x00\x05\x00CS", b"\x00\x08\x00" + b"\1" * 200, b"\x08\x00\x05\1CS" + b"a" * 200],
)
def test_what_does_not_start_like_dicom_is_not_taken_for_it(data: bytes) -> None:
    assert not is_dicom(data)


def test_file_meta_that_lacks_something() -> None:
    image = dataset([150], **PLAIN)
    data = encode(image)
    assert data[132:136] == b"\2\0\2\0"  # written without a group length
    assert first(read(data), 1) == pytest.approx([0.75])
    proper = bytearray(encode(image, enforce_file_format=True))
    assert proper[132:140] == b"\2\0\0\0UL\4\0"
    proper[140] += 6  # a group length that is wrong
    assert first(read(bytes(proper)), 1) == pytest.approx([0.75])
    for implicit in (True, False):
        del image.file_meta[:]
        bare = encode(image, implicit_vr=implicit, little_endian=True)
        radiograph = read(bare)
        assert first(radiograph, 1) == pytest.approx([0.75])
        stated = "Implicit" if implicit else "Explicit"
        assert radiograph.metadata["transfer_syntax"] == f"{stated} VR Little Endian"


@pytest.mark.parametrize("implicit", [True, False])
def test_transfer_syntax_with_the_wrong_vr(implicit: bool) -> None:
    image = dataset([150], **PLAIN)
    image.file_meta.TransferSyntaxUID = LYING[implicit]
    data = encode(image, enforce_file_format=True)
    lying = data.replace(padded(LYING[implicit]), padded(LYING[not implicit]))
    lying = lying[:140] + bytes([data[140] + len(lying) - len(data)]) + lying[141:]
    assert len(lying) != len(data)
    assert first(read(lying), 1) == pytest.approx([0.75])


def test_coding_is_detected_from_the_stream() -> None:
    frame = lossless_jpeg(SAMPLES, 12)
    window = {"BitsStored": 12, "WindowCenter": 2048.5, "WindowWidth": 4097}
    stated = {
        uid.ExplicitVRLittleEndian: "Explicit VR Little Endian",
        uid.JPEGLSLossless: "JPEG-LS Lossless Image Compression",
        uid.UID("1.2.3.4"): "unknown",
    }
    for syntax, name in stated.items():
        radiograph = radiograph_of(compressed(SAMPLES, syntax, frame, **window))
        np.testing.assert_allclose(radiograph.pixels, SAMPLES / 4096, atol=1e-6)
        assert radiograph.flags == (f"transfer syntax {name} stated, lossless JPEG found",)


def test_pixels_that_no_decoder_knows() -> None:
    for frame in (b"\0\0\1\xb3" * 40, b"\xff\xd8\xff\xc9\0\x0b\x08\0\x28\0\x20\1\1\x11\0"):
        with pytest.raises(UnreadableImage, match=r"no JPEG, JPEG-LS|SOF9 with 8 bits"):
            radiograph_of(compressed(SAMPLES, uid.MPEG2MPML, frame))
    data = encode(dataset([150]), enforce_file_format=True)
    lying = data.replace(padded(uid.ExplicitVRLittleEndian), padded(uid.JPEGBaseline8Bit))
    with pytest.raises(UnreadableImage, match="states transfer syntax JPEG Baseline"):
        read(lying)


def test_limit_is_the_callers() -> None:
    data = encode(dataset([150]), enforce_file_format=True)
    with pytest.raises(UnreadableImage, match="the limit is 1023"):
        read(data, max_pixels=1023)
    assert read(data, max_pixels=1024).height == EDGE


def test_length_of_the_pixel_data() -> None:
    right = dataset([150], **PLAIN)
    right.PixelData += b"\0" * 100
    assert first(radiograph_of(right), 1) == pytest.approx([0.75])
    right.PixelData = right.PixelData[: 2 * EDGE * EDGE - 2]
    with pytest.raises(UnreadableImage, match="has 2046 bytes of pixel data, its size needs 2048"):
        radiograph_of(right)
    right.PixelData *= 4
    with pytest.raises(UnreadableImage, match="one frame has 2048: several frames"):
        radiograph_of(right)
    odd = dataset_of(np.full((33, 33), 150, "u1"), **PLAIN)
    odd.PixelData += b"\0"
    assert radiograph_of(odd).pixels.shape == (33, 33)
    # Cut off in the file: the element states more than there is.
    with pytest.raises(UnreadableImage):
        read(encode(dataset([150]), enforce_file_format=True)[:-500])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"PixelData": b""}, "pixel data are empty"),
        ({"PixelData": None}, r"without pixels \(Digital X-Ray Image Storage - For Presentation\)"),
        ({"NumberOfFrames": 3}, "3 frames, expected a single radiograph"),
        ({"Rows": None}, "without Rows"),
        ({"Columns": []}, "without Columns"),
        ({"Rows": 20_000, "Columns": 20_000}, "20000 x 20000 pixels"),
        ({"Rows": 31}, "32 x 31 pixels"),
        ({"BitsStored": 17}, "17 of 16 bits"),
        ({"BitsStored": 0}, "0 of 16 bits"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "12 of 12 bits"),
        ({"BitsAllocated": 64}, "16 of 64 bits"),
        ({"PixelRepresentation": 2}, "whether its pixels are signed"),
        ({"SamplesPerPixel": 3}, "MONOCHROME2 with 3 samples"),
        ({"PhotometricInterpretation": "RGB"}, "RGB with 1 samples"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "without tables that can be used"),
        ({"PhotometricInterpretation": None}, "in None, expected"),
    ],
)
def test_objects_that_are_rejected(changes: dict[str, Any], why: str) -> None:
    image = dataset([150])
    for keyword, value in changes.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    with pytest.raises(UnreadableImage, match=why) as caught:
        radiograph_of(image)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_are_rejected(keyword: str) -> None:
    image = dataset([150])
    del image.PixelData
    setattr(image, keyword, b"\0" * 8 * EDGE * EDGE)
    with pytest.raises(UnreadableImage, match="floating-point pixels"):
        radiograph_of(image)


@pytest.mark.parametrize(
    "window", [(5, 0), (5, -10), (5, 0.5), (5, "NaN"), (5, "inf"), ("NaN", 9), (5, "what")]
)
@pytest.mark.parametrize("function", ["LINEAR", "SIGMOID"])
def test_unusable_windows_are_replaced_by_percentiles(
    window: tuple[Any, Any], function: str
) -> None:
    if window[1] == 0.5 and function == "SIGMOID":
        return  # narrow, but a window
    image = dataset_of(np.arange(EDGE * EDGE, dtype="<u2").reshape(EDGE, EDGE))
    image.VOILUTFunction = function
    center, width = (f"{number:<8}".encode() for number in window)
    image.WindowCenter, image.WindowWidth = "11111111", "22222222"
    radiograph = read(encode(image).replace(b"11111111", center).replace(b"22222222", width))
    assert radiograph.flags == (UNUSABLE,)
    # Percentiles 0.5 and 99.5 of 0..1023 are 5.115 and 1017.885.
    assert radiograph.pixels[16, 0] == pytest.approx((512 - 5.115) / 1012.77, abs=1e-6)


@pytest.mark.parametrize("slope", [b"0", b"NaN", b"inf", b"what"])
def test_unusable_rescale_is_ignored_and_flagged(slope: bytes) -> None:
    image = dataset([150], RescaleIntercept=0, RescaleSlope="11111111", **PLAIN)
    radiograph = read(encode(image).replace(b"11111111", slope.ljust(8)))
    assert first(radiograph, 1) == pytest.approx([0.75])
    assert radiograph.flags == ("rescale unusable: ignored",)


def test_broken_luts() -> None:
    short = lut(0, 16, [1, 2, 3])
    short.LUTDescriptor = [300, 0, 16]
    radiograph = decode([150], VOILUTSequence=[short], **PLAIN)
    assert first(radiograph, 1) == pytest.approx([0.75])
    assert radiograph.flags == ("VOI LUT unusable: ignored",)
    for broken in (Dataset(), lut(0, 0, [1, 2]), lut(0, 17, [1, 2])):
        flags = decode([150], VOILUTSequence=[broken]).flags
        assert flags == ("VOI LUT unusable: ignored", "no window: percentiles used")
    assert decode([150], VOILUTSequence=[], ModalityLUTSequence=[], **PLAIN).flags == ()
    with pytest.raises(UnreadableImage, match="modality LUT"):
        decode([150], ModalityLUTSequence=[short], **PLAIN)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, on writing what is no code
def test_nothing_identifying_is_kept() -> None:
    radiograph = decode(
        [150],
        Modality="DOE",
        ViewPosition="Doe^Jane",
        BurnedInAnnotation="Jane Doe, 1950!",
        InstitutionName="Doe Clinic",
        **PLAIN,
    )
    assert radiograph.view is None
    assert set(radiograph.metadata) == {"modality", "photometric_interpretation", "transfer_syntax"}
    assert not {"Jane", "12345", "Clinic"} & set(repr(radiograph).replace("^", " ").split())


def deflated(body: bytes) -> bytes:
    image = dataset([150])
    image.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    data = encode(image, enforce_file_format=True)
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + packer.compress(body) + packer.flush()


def test_uid_of_deflation_alone_deflates_nothing() -> None:
    image = dataset([150], **PLAIN)
    image.SOPInstanceUID = uid.DeflatedExplicitVRLittleEndian
    assert first(radiograph_of(image), 1) == pytest.approx([0.75])


def test_deflated_objects_that_are_truncated_or_bombs() -> None:
    whole = deflated(b"\x08\0\x60\0CS\2\0DX" * 100)
    with pytest.raises(UnreadableImage, match="is deflated DICOM, cut short"):
        read(whole[:-3])
    many = 17 << 20
    pixels = b"\xe0\x7f\x10\0OW\0\0" + many.to_bytes(4, "little") + b"\0" * many
    bomb = deflated(b"\x08\0\x60\0CS\2\0DX" + pixels)
    assert len(bomb) < 30_000
    with pytest.raises(UnreadableImage, match="deflated DICOM, larger than 16785408 bytes"):
        read(bomb, max_pixels=2048)  # 4 * 2048 + 16 MiB


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
