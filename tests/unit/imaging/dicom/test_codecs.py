"""Compressed streams of a wrong size, truncated, split, damaged or decompression bombs."""

from __future__ import annotations

import tracemalloc
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import FileDataset, uid
from pydicom.encaps import encapsulate, get_frame

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.imaging.dicom import codecs, pixels
from covid_cxr.imaging.dicom.codecs import unpack_rle
from support.dicom_objects import compressed, dataset_of, encode, lossless_jpeg

# c = 2048.5, w = 4097: y = x / 4096.
WINDOW = {"BitsStored": 12, "WindowCenter": 2048.5, "WindowWidth": 4097}
SAMPLES = ((np.mgrid[:40, :32][0] * 97 + np.mgrid[:40, :32][1] * 41) % 4096).astype("<u2")


def displayed(image: FileDataset) -> np.ndarray:
    return read(encode(image, enforce_file_format=True)).pixels


def jpeg(samples: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples).save(buffer, "JPEG")
    return buffer.getvalue()


def j2k_of(width: int) -> bytes:
    image = dataset_of(SAMPLES)
    image.compress(uid.JPEG2000Lossless)
    frame = bytearray(get_frame(image.PixelData, 0))
    frame[8:12] = frame[24:28] = width.to_bytes(4, "big")  # Xsiz, XTsiz
    return bytes(frame)


def resized(frame: bytes, process: int) -> bytes:
    at = frame.index(bytes([0xFF, process]))
    return frame[: at + 5] + (30_000).to_bytes(2, "big") * 2 + frame[at + 9 :]


def jpeg_ls() -> bytes:
    image = dataset_of(SAMPLES)
    image.compress(uid.JPEGLSLossless)
    return get_frame(image.PixelData, 0)


@pytest.mark.parametrize(
    ("syntax", "frame", "size"),
    [
        (uid.JPEG2000Lossless, j2k_of(30_000), "30000 x 40 x 1"),
        (uid.JPEGBaseline8Bit, resized(jpeg(SAMPLES.astype("u1")), 0xC0), "30000 x 30000 x 1"),
        (uid.JPEGLSLossless, resized(jpeg_ls(), 0xF7), "30000 x 30000 x 1"),
        (uid.JPEGLossless, resized(lossless_jpeg(SAMPLES, 12), 0xC3), "30000 x 30000 x 1"),
        (uid.JPEGBaseline8Bit, jpeg(np.zeros((40, 32, 3), "u1")), "32 x 40 x 3"),
    ],
)
def test_streams_with_a_wrong_size_are_rejected_before_decoding(
    syntax: str, frame: bytes, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = compressed(SAMPLES, syntax, frame, **WINDOW)
    monkeypatch.setattr(pixels, "get_decoder", pytest.fail)
    monkeypatch.setattr(codecs, "decode_with_gdcm", pytest.fail)
    with pytest.raises(UnreadableImage, match=f"states 32 x 40 x 1 samples.*stream has {size}"):
        displayed(image)


def test_run_lengths_stop_at_the_size_of_the_picture() -> None:
    # 100,000 runs of 128 zeros would be 13 MB; 1280 bytes are wanted.
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + b"\0" * 56
    frame = header + b"\x81\0" * 100_000
    tracemalloc.start()
    try:
        assert unpack_rle(frame, 1280, 1, 1).tolist() == [[0]] * 1280
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_run_lengths_by_hand() -> None:
    # PS3.5 G.3: 2 -> three literals; 0xFE -> three times; 0x80 -> nothing. Two bytes a sample.
    header = b"".join(number.to_bytes(4, "little") for number in (2, 64, 70, *[0] * 13))
    frame = header + b"\2\1\2\3\xfe\0" + b"\x80\xfe\7\2\4\5\6"
    # High bytes 1 2 3 0 0 0, low bytes 7 7 7 4 5 6.
    right = [[0x107], [0x207], [0x307], [4], [5], [6]]
    assert unpack_rle(frame, 6, 1, 2).tolist() == right
    with pytest.raises(UnreadableImage, match="segment of 6 bytes, expected 7"):
        unpack_rle(frame, 7, 1, 2)
    with pytest.raises(UnreadableImage, match="has 2 RLE segments, expected 3"):
        unpack_rle(frame, 2, 3, 1)


def test_fragments_are_joined_whatever_the_offset_table_says() -> None:
    frame = lossless_jpeg(SAMPLES, 12)
    image = compressed(SAMPLES, uid.JPEGLossless, frame, **WINDOW)
    broken = b"\xfe\xff\0\xe0\4\0\0\0\xff\xff\0\0" + encapsulate([frame], has_bot=False)[8:]
    for content in (encapsulate([frame], fragments_per_frame=3, has_bot=False), broken):
        image.PixelData = content
        np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)
    at = frame.index(b"\xff\xc3")
    image.PixelData = encapsulate([frame[:at] + b"\xff\xff" + frame[at:]])  # fill bytes
    np.testing.assert_allclose(displayed(image), SAMPLES / 4096, atol=1e-6)
    image.PixelData = encapsulate([frame, frame])
    with pytest.raises(UnreadableImage, match="is DICOM with 2 frames"):
        displayed(image)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_truncated_streams_are_rejected(share: float) -> None:
    image = dataset_of(SAMPLES, **WINDOW)
    image.compress(uid.RLELossless, encoding_plugin="pydicom")
    frames = {
        uid.RLELossless: get_frame(image.PixelData, 0),
        uid.JPEGLSLossless: jpeg_ls(),
        uid.JPEG2000Lossless: j2k_of(32),
        uid.JPEGLossless: lossless_jpeg(SAMPLES, 12),
        uid.JPEGBaseline8Bit: jpeg(SAMPLES.astype("u1")),
    }
    for syntax, frame in frames.items():
        image = compressed(SAMPLES, syntax, frame[: int(share * len(frame))], **WINDOW)
        with pytest.raises(UnreadableImage):
            displayed(image)


@pytest.mark.parametrize("frame", [b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\0free" * 9, b"\xff\x4f"])
def test_jpeg_2000_without_a_codestream_ends(frame: bytes) -> None:
    # A box of length 0 before the codestream is where a naive walk never ends.
    with pytest.raises(UnreadableImage, match="JPEG 2000"):
        displayed(compressed(SAMPLES, uid.JPEG2000, frame))


def test_jpeg_ls_without_an_end_is_rejected_at_once() -> None:
    image = dataset_of(SAMPLES)
    image.compress(uid.JPEGLSLossless)
    frame = get_frame(image.PixelData, 0)
    with pytest.raises(UnreadableImage, match="JPEG-LS stream that is cut short"):
        displayed(compressed(SAMPLES, uid.JPEGLSLossless, frame[: len(frame) * 9 // 10]))


@pytest.mark.parametrize("junk", [b"\1\2\3\4", b"\xff\0"])
def test_broken_markers_do_not_end_the_process(junk: bytes) -> None:
    # GDCM, handed this, calls std::terminate.
    frame = lossless_jpeg(SAMPLES, 12)
    at = frame.index(b"\xff\xda")
    with pytest.raises(UnreadableImage, match="cut short, or has several scans"):
        displayed(compressed(SAMPLES, uid.JPEGLossless, frame[:at] + junk + frame[at:]))
