"""Every transfer syntax, on pixels that are known: encoded here by hand, by pydicom, by Pillow."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import FileDataset, uid

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from support.dicom_objects import compressed, dataset_of, encode, lossless_jpeg, twelve_bit_jpeg

ROWS, COLUMNS = np.mgrid[:40, :32]
# c = 2048.5, w = 4097: y = x / 4096. Adjacent ones differ, ends are reached, all twelve bits vary.
WINDOW = {"BitsStored": 12, "WindowCenter": 2048.5, "WindowWidth": 4097}
SAMPLES = ((ROWS * 97 + COLUMNS * 41) % 4096).astype("<u2")
# c = 128, w = 256: y = (x - 127.5) / 255 + 0.5 = x / 255.
EIGHT = {"WindowCenter": 128, "WindowWidth": 256}
# 32 x 32, 16 bits, 300 on the left and 3000 on the right, as OpenJPH 0.26 wrote it, lossless.
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAgAAAAIAAAAAAAAAAAAAAAIAAAACAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB"
    "/1wAEyCIkJCQkJCQkJCQkJCQiIiI/5AACgAAAAAAlQAB/5PAACZX+QUHdADAABMAQPIDh3QAwAAVIKM5Gv3rAMGUAMAA"
    "Fpjf+hY9et/6Fr3o9QBcnEQD0ngAwAAXRADb2x4U1Pa2BxWobG97UIHK9rYHFaj8vgOp3U7qcYPTAnwAwAAulIta1KIW"
    "tahFLWpRi1rUoha1qEUtalHn/gU5TlOU5TlOU4MCfwD/2Q=="
)


def displayed(image: FileDataset) -> np.ndarray:
    radiograph = read(encode(image, enforce_file_format=True))
    # Colour, and streams of another depth than the object, are read as they are, and flagged.
    assert not [flag for flag in radiograph.flags if not re.search("colour|bits stated", flag)]
    return radiograph.pixels


def jpeg(samples: np.ndarray, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG", quality=100, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<u2", "<i2"])
@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
        uid.JPEGLSLossless,
        uid.JPEG2000Lossless,
    ],
)
def test_lossless_syntaxes_return_every_sample(syntax: uid.UID, dtype: str) -> None:
    signed = dtype == "<i2"
    image = dataset_of(SAMPLES.astype("<i4").astype(dtype) - 2048 * signed, **WINDOW)
    image.WindowCenter = 2048.5 - 2048 * signed
    if syntax.is_encapsulated:
        image.compress(syntax, encoding_plugin="" if syntax != uid.RLELossless else "pydicom")
    image.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)


def test_big_endian() -> None:
    image = dataset_of(SAMPLES, **WINDOW)
    image.PixelData = SAMPLES.astype(">u2").tobytes()
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)
    # Eight bits as OW: the bytes of each word are swapped (PS3.5 D).
    small = (SAMPLES >> 4).astype("u1")
    image = dataset_of(small, **EIGHT)
    image.add_new("PixelData", "OW", small.reshape(-1, 2)[:, ::-1].tobytes())
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    np.testing.assert_allclose(displayed(image), small / 255, atol=1e-6)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLosslessSV1])
def test_lossless_jpeg(syntax: str, predictor: int) -> None:
    image = compressed(SAMPLES, syntax, lossless_jpeg(SAMPLES, 12, predictor), **WINDOW)
    np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)


def test_lossless_jpeg_of_other_depths() -> None:
    eight = (SAMPLES >> 4).astype("u1")
    image = compressed(eight, uid.JPEGLossless, lossless_jpeg(eight, 8), **EIGHT)
    np.testing.assert_allclose(displayed(image), eight / 255, atol=1e-6)
    with pytest.raises(UnreadableImage, match=r"states 8 bits allocated.*stream has 12"):
        displayed(compressed(eight, uid.JPEGLossless, lossless_jpeg(SAMPLES, 12)))
    # 8-bit precision in cells of 16; then 16-bit precision, junk above the 12 bits stored.
    frame = lossless_jpeg(eight, 8)
    image = compressed(SAMPLES >> 4, uid.JPEGLossless, frame, HighBit=15, **{**WINDOW, **EIGHT})
    np.testing.assert_allclose(displayed(image), eight / 255, atol=1e-6)
    junk = SAMPLES + 0x7000
    image = compressed(SAMPLES, uid.JPEGLossless, lossless_jpeg(junk, 16), **WINDOW)
    np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)
    # Signed: -1024 of 12 bits is 0xC00 in the stream, which knows no sign; -1024 / 4096 + 0.5.
    image = compressed(
        np.full((32, 32), -1024, "<i2"),
        uid.JPEGLossless,
        lossless_jpeg(np.full((32, 32), 0xC00), 12),
        **{**WINDOW, "WindowCenter": 0.5},
    )
    assert np.unique(displayed(image)) == pytest.approx([0.25], abs=1e-6)


def test_twelve_bit_extended_jpeg(capfd: pytest.CaptureFixture[str]) -> None:
    blocks = np.array([[0, 4095, 2048, 1], [17, 300, 4000, 2047]] * 2)
    samples = np.kron(blocks, np.ones((8, 8), "<u2")).astype("<u2")
    # The stream's precision holds, not the object's, and it knows no sign.
    for stated in ({}, {"BitsStored": 10, "PixelRepresentation": 1}):
        frame = twelve_bit_jpeg(blocks)
        image = compressed(samples, uid.JPEGExtended12Bit, frame, **{**WINDOW, **stated})
        np.testing.assert_allclose(displayed(image), samples / 4096, atol=1e-6)
    assert capfd.readouterr().err == ""  # GDCM tried no other precision first


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit])
@pytest.mark.parametrize("progressive", [False, True])
def test_eight_bit_jpeg(syntax: str, progressive: bool) -> None:
    # Flat blocks survive the cosine transform: 8 (v - 128) is whole.
    samples = np.kron(np.arange(16).reshape(4, 4) * 17, np.ones((8, 8))).astype("u1")
    frame = jpeg(samples, progressive=progressive)
    image = compressed(samples, syntax, frame, **EIGHT)
    np.testing.assert_allclose(displayed(image), samples / 255, atol=1e-6)
    image = compressed(samples.astype("<u2"), syntax, frame, **{**WINDOW, **EIGHT})
    np.testing.assert_allclose(displayed(image), samples / 255, atol=1e-6)


def test_lossy_syntaxes_stay_close() -> None:
    image = dataset_of(SAMPLES, **WINDOW)
    image.compress(uid.JPEGLSNearLossless, jls_error=3)
    assert np.abs(displayed(image) - SAMPLES / 4096).max() <= 3.01 / 4096
    smooth = (ROWS * 50 + COLUMNS * 30).astype("<u2")
    image = dataset_of(smooth, **WINDOW)
    image.compress(uid.JPEG2000, j2k_psnr=[80])
    assert 0 < np.abs(displayed(image) - smooth / 4096).max() < 4 / 4096


@pytest.mark.parametrize("syntax", [uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL])
def test_high_throughput_jpeg_2000(syntax: str) -> None:
    samples = np.where(np.arange(32) < 16, 300, 3000) + np.zeros((32, 1))
    image = compressed(samples.astype("<u2"), syntax, HTJ2K, **{**WINDOW, "BitsStored": 16})
    np.testing.assert_allclose(displayed(image), samples / 4096, atol=1e-6)


# Left red, right a blue: luma 0.299 * 255 = 76.2 and 0.587 * 128 + 0.114 * 255 = 104.2.
COLOURS = np.zeros((32, 32, 3), "u1")
COLOURS[:, :16], COLOURS[:, 16:] = (255, 0, 0), (0, 128, 255)
LUMA = (76.245 / 255, 104.206 / 255)


def check_luma(image: FileDataset, tolerance: float) -> None:
    pixels = displayed(image)
    assert pixels[:, :16] == pytest.approx(np.full((32, 16), LUMA[0]), abs=tolerance)
    assert pixels[:, 16:] == pytest.approx(np.full((32, 16), LUMA[1]), abs=tolerance)


def test_uncompressed_colour() -> None:
    check_luma(dataset_of(COLOURS), 1e-6)
    planes = dataset_of(COLOURS, PlanarConfiguration=1)
    planes.PixelData = COLOURS.transpose(2, 0, 1).tobytes()
    check_luma(planes, 1e-6)
    # C.7.6.3.1.2: red is Y 76, Cb 85, Cr 255 (255.5 cut), the blue Y 104, Cb 213, Cr 54.
    ybr = np.where(np.arange(32)[:, None] < 16, (76, 85, 255), (104, 213, 54)).astype("u1")
    ybr = np.broadcast_to(ybr, (32, 32, 3))
    check_luma(dataset_of(ybr, PhotometricInterpretation="YBR_FULL"), 0.004)
    half = dataset_of(ybr, PhotometricInterpretation="YBR_FULL_422")
    pairs = ybr.reshape(-1, 2, 3)  # stored as Y1 Y2 Cb Cr
    half.PixelData = np.column_stack((pairs[:, 0, 0], pairs[:, 1])).tobytes()
    check_luma(half, 0.004)
    rle = dataset_of(ybr, PhotometricInterpretation="YBR_FULL")
    rle.compress(uid.RLELossless, encoding_plugin="pydicom")
    check_luma(rle, 0.004)


def untold_rgb() -> bytes:
    """RGB samples coded as they are; neither a marker nor the component numbers say so."""
    coded = jpeg(COLOURS, subsampling=0, keep_rgb=True)
    at = coded.index(b"\xff\xee")
    coded = coded[:at] + coded[at + 16 :]
    for letter, number in zip((b"R", b"G", b"B"), (b"\1", b"\2", b"\3"), strict=True):
        for tail in (b"\x11", b"\0"):  # in the frame header, in the scan header
            coded = coded.replace(letter + tail, number + tail)
    return coded


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "YBR_FULL_422"])
@pytest.mark.parametrize("marker", ["JFIF", "Adobe YCbCr", "Adobe RGB", "none"])
def test_colour_of_jpeg_is_what_its_markers_say(marker: str, photometric: str) -> None:
    coded = jpeg(COLOURS, subsampling=0, keep_rgb=marker == "Adobe RGB")
    if marker in ("Adobe YCbCr", "none"):
        bare = coded[20:]  # after SOI and the JFIF segment
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1" if marker == "Adobe YCbCr" else b""
        coded = coded[:2] + adobe + bare
    if marker == "none" and photometric == "RGB":
        coded = untold_rgb()
    image = compressed(COLOURS, uid.JPEGBaseline8Bit, coded, PhotometricInterpretation=photometric)
    check_luma(image, 0.01)


def test_colour_that_the_syntax_cannot_hold_is_rejected() -> None:
    for photometric in ("YBR_RCT", "YBR_ICT"):
        image = dataset_of(COLOURS, PhotometricInterpretation=photometric)
        with pytest.raises(UnreadableImage, match=f"is {photometric} that its transfer syntax"):
            displayed(image)
        image = dataset_of(COLOURS)
        image.compress(uid.RLELossless, encoding_plugin="pydicom")
        image.PhotometricInterpretation = photometric
        with pytest.raises(UnreadableImage, match=f"is {photometric} that its transfer syntax"):
            displayed(image)
