"""An image is complete or rejected: files truncated anywhere, and missing parts inside."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import containers, read
from support.valid_files import sample_image, seeds

CUTS = 60
GREY = "ends in plain mid-grey, as damaged JPEG does"


def why(data: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(data)
    return str(caught.value)


def picture(container: str, **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(sample_image()).save(buffer, container, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", seeds())
def test_a_truncated_file_is_rejected_or_lacks_nothing(name: str) -> None:
    whole = seeds()[name]
    pixels = read(whole).pixels
    size = len(whole)
    for cut in {*range(0, size, max(1, size // CUTS)), *range(max(0, size - 20), size)}:
        try:
            partial = read(whole[:cut]).pixels
        except UnreadableImage:
            continue
        # What follows the image may be missing: checksums, a second frame, padding.
        # Numbers written out may lose their last digit, and nobody can tell.
        assert np.count_nonzero(partial != pixels) <= (name == "pgm-plain"), f"cut at {cut}"


def png(rows: bytes, interlaced: int = 0) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = chunk(b"IHDR", struct.pack(">2I5B", 32, 40, 8, 0, 0, 0, interlaced))
    coded = zlib.compress(rows)
    # Two chunks, as the samples may be split anywhere.
    data = chunk(b"IDAT", coded[:9]) + chunk(b"IDAT", coded[9:])
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_png_rows_that_were_never_written_are_missed() -> None:
    # A filter byte and 32 samples a row; an image may be black below, and then is whole.
    row, black = b"\0" + b"\x55" * 32, b"\0" * 33
    assert read(png(row * 20 + black * 20)).pixels[-1].max() == 0
    assert "its last rows are missing" in why(png(row * 20 + black * 19))
    assert "its last rows are missing" in why(png(row * 20))


def test_interlaced_png_rows_are_counted_by_pass() -> None:
    # 40 x 32 in seven passes: rows x (1 + columns) of 5x4, 5x4, 5x8, 10x8, 10x16, 20x16, 20x32:
    # 25 + 25 + 45 + 90 + 170 + 340 + 660 = 1355 bytes.
    assert not containers.misses_rows(png(bytes(1355), interlaced=1))
    assert containers.misses_rows(png(bytes(1354), interlaced=1))


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_jpeg_that_ends_early_but_neatly_is_flagged(share: float) -> None:
    # An end marker behind the cut, as repair tools write it: libjpeg fills up with grey.
    whole = picture("JPEG", quality=95)
    start = whole.index(b"\xff\xda")
    cut = whole[: start + 12 + int(share * (len(whole) - start))] + b"\xff\xd9"
    assert read(cut).flags == (GREY,)
    assert read(whole).flags == ()


def test_jpeg_strips_that_end_early_are_flagged() -> None:
    data = bytearray(picture("TIFF", compression="jpeg"))
    at = next(
        data.index(struct.pack("<HHI", 279, kind, 1))
        for kind in (3, 4)
        if struct.pack("<HHI", 279, kind, 1) in data
    )
    length = struct.unpack_from("<I", data, at + 8)[0]
    struct.pack_into("<I", data, at + 8, length * 3 // 4)
    assert read(bytes(data)).flags == (GREY,)


def tiles_of(data: bytes) -> list[int]:
    """Return where the tile-parts of a codestream start, and where the last ends."""
    starts, at = [], data.index(b"\xff\x90")
    while data[at : at + 2] == b"\xff\x90":
        starts.append(at)
        at += struct.unpack_from(">I", data, at + 6)[0]
    return [*starts, at]


@pytest.mark.parametrize("boxes", [False, True])
def test_jpeg_2000_without_all_of_its_tiles_is_rejected(boxes: bool) -> None:
    data = picture("JPEG2000", no_jp2=not boxes, tile_size=(16, 16))
    starts = tiles_of(data)
    assert len(starts) - 1 == 6  # 32 x 40 in tiles of 16 x 16: 2 x 3
    np.testing.assert_allclose(read(data).pixels, sample_image() / 255, atol=1e-6)
    dropped = data[: starts[2]] + data[starts[3] :]
    assert "holds 5 of its 6 tiles" in why(dropped)
    assert "cut short" in why(data[: starts[3] - 1])
    for end in (b"", b"\xff\xd9"):
        assert "holds 3 of its 6 tiles" in why(data[: starts[3]] + end)


def test_jpeg_2000_whose_last_part_says_no_length_is_read() -> None:
    data = bytearray(picture("JPEG2000", no_jp2=True))
    struct.pack_into(">I", data, data.index(b"\xff\x90") + 6, 0)
    np.testing.assert_allclose(read(bytes(data)).pixels, sample_image() / 255, atol=1e-6)


def test_jpeg_2000_boxes_with_a_wrong_size_are_rejected() -> None:
    data = picture("JPEG2000")
    at = data.index(b"ihdr") + 4
    assert "32 x 48 pixels, its codestream another size" in why(
        data[:at] + struct.pack(">I", 48) + data[at + 4 :]
    )


def test_cmyk_is_inverted_where_the_adobe_marker_says_so() -> None:
    # Inks K 230: grey 25. Adobe stores 255 - ink; without its marker a JPEG holds the inks.
    inks = Image.new("CMYK", (40, 40), (0, 0, 0, 230))
    buffer = BytesIO()
    inks.save(buffer, "JPEG")
    adobe = buffer.getvalue()
    assert read(adobe).pixels.mean() == pytest.approx(25 / 255, abs=0.02)
    buffer = BytesIO()
    Image.eval(inks, lambda sample: 255 - sample).save(buffer, "JPEG")
    data = buffer.getvalue()
    at = data.index(b"\xff\xee")
    plain = data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]
    assert read(plain).pixels.mean() == pytest.approx(25 / 255, abs=0.02)
