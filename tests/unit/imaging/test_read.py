"""What `read` returns for every container, sample layout and broken input."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read

RAMP = np.linspace(0, 255, 40 * 48).reshape(40, 48).astype(np.uint8)


def encode(image: Image.Image, container: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


def png_of(width: int, height: int, depth: int, colour: int, raw: bytes) -> bytes:
    """A PNG written by hand, for layouts that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("container", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_lossless_grey_is_exact(container: str) -> None:
    radiograph = read(encode(Image.fromarray(RAMP), container))
    assert radiograph.format == container
    assert (radiograph.height, radiograph.width, radiograph.bit_depth) == (40, 48, 8)
    assert radiograph.pixels.dtype == np.float32
    np.testing.assert_allclose(radiograph.pixels, RAMP / 255, atol=1e-6)
    assert radiograph.flags == ()


@pytest.mark.parametrize(("container", "options"), [("JPEG", {"quality": 95}), ("WEBP", {})])
def test_lossy_grey_is_close_and_not_called_colour(container: str, options: dict[str, int]) -> None:
    radiograph = read(encode(Image.fromarray(RAMP), container, **options))
    assert (radiograph.format, radiograph.bit_depth, radiograph.flags) == (container, 8, ())
    assert np.abs(radiograph.pixels - RAMP / 255).max() < 0.03


@pytest.mark.parametrize("container", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_kept(container: str) -> None:
    values = np.arange(40 * 48, dtype=np.uint16).reshape(40, 48) + 60_000
    radiograph = read(encode(Image.fromarray(values), container))
    assert radiograph.bit_depth == 16
    assert np.unique(radiograph.pixels).size == values.size  # one level in 65535 still tells
    np.testing.assert_allclose(radiograph.pixels, values / 65535, atol=1e-7)


def test_one_bit_png_is_black_and_white() -> None:
    radiograph = read(encode(Image.fromarray(RAMP > 127), "PNG"))
    assert radiograph.bit_depth == 1
    assert set(np.unique(radiograph.pixels)) == {0.0, 1.0}


def test_four_bit_png_spans_the_range() -> None:
    # Each byte holds the samples 0 and 15: columns of 0 and 1.
    radiograph = read(png_of(32, 32, 4, 0, (b"\x00" + b"\x0f" * 16) * 32))
    assert radiograph.bit_depth == 4
    np.testing.assert_array_equal(radiograph.pixels, np.tile([0.0, 1.0], (32, 16)))


def test_colour_becomes_rec601_luma_and_is_flagged() -> None:
    # 0.299 * 1 + 0.587 * 0.4 + 0.114 * 0 = 0.5338
    radiograph = read(encode(Image.new("RGB", (40, 40), (255, 102, 0)), "PNG"))
    assert radiograph.pixels[3, 3] == pytest.approx(0.5338, abs=1e-6)
    assert radiograph.flags == ("holds colour: a radiograph has none",)


def test_grey_stored_as_rgb_is_not_flagged() -> None:
    radiograph = read(encode(Image.fromarray(RAMP).convert("RGB"), "PNG"))
    assert radiograph.flags == ()
    np.testing.assert_allclose(radiograph.pixels, RAMP / 255, atol=1e-6)


def test_alpha_is_composited_on_black() -> None:
    # Grey 204 (0.8) at alpha 51 (0.2) on black: 0.16.
    for mode, colour in (("LA", (204, 51)), ("RGBA", (204, 204, 204, 51))):
        radiograph = read(encode(Image.new(mode, (40, 40), colour), "PNG"))
        assert radiograph.pixels[0, 0] == pytest.approx(0.16, abs=1e-6)


def test_palette_is_looked_up_with_its_transparency() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([255, 255, 255, 51, 51, 51])
    assert read(encode(image, "PNG")).pixels[0, 0] == pytest.approx(0.2, abs=1e-6)
    image.paste(0, (0, 0, 40, 20))  # half of it in white
    transparent = read(encode(image, "PNG", transparency=1))
    assert transparent.pixels[:20].min() == 1
    assert transparent.pixels[20:].max() == 0


def test_cmyk_jpeg_is_not_inverted() -> None:
    dark, light = (
        read(encode(Image.new("CMYK", (40, 40), (0, 0, 0, k)), "JPEG")) for k in (230, 20)
    )
    assert dark.pixels.mean() == pytest.approx(25 / 255, abs=0.02)
    assert light.pixels.mean() == pytest.approx(235 / 255, abs=0.02)


def test_float_tiff_is_scaled_by_its_range() -> None:
    values = np.linspace(-3, 5, 40 * 40).reshape(40, 40).astype(np.float32)
    radiograph = read(encode(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(radiograph.pixels, (values + 3) / 8, atol=1e-6)
    assert (radiograph.bit_depth, radiograph.flags) == (
        32,
        ("no defined range: scaled by the values found",),
    )


def test_constant_float_tiff_is_black() -> None:
    assert read(encode(Image.new("F", (40, 40), 7.0), "TIFF")).pixels.max() == 0


def test_float_tiff_with_nan_is_rejected() -> None:
    with pytest.raises(UnreadableImage, match="not finite"):
        read(encode(Image.new("F", (40, 40), float("nan")), "TIFF"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_that_stores_white_as_zero_is_turned_over(dtype: type) -> None:
    top = np.iinfo(dtype).max
    values = np.zeros((40, 40), dtype)
    values[:, 20:] = top
    data = bytearray(encode(Image.fromarray(values), "TIFF"))
    # IFD entry of tag 262 (photometric), SHORT, one value: 1 (black is zero) -> 0.
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    data[at + 8] = 0
    radiograph = read(bytes(data))
    assert radiograph.pixels[0, 0] == 1
    assert radiograph.pixels[0, 39] == 0


def test_first_of_several_frames_is_flagged() -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    for container in ("GIF", "PNG", "TIFF", "WEBP"):
        options = {"lossless": True} if container == "WEBP" else {}
        radiograph = read(
            encode(frames[0], container, save_all=True, append_images=frames[1:], **options)
        )
        assert radiograph.flags == ("several frames: the first is used",), container
        np.testing.assert_allclose(radiograph.pixels, RAMP / 255, atol=0.01)


@pytest.mark.parametrize("container", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(container: str, orientation: int) -> None:
    # EXIF 2.3: for 1..8, the corner of the upright picture where stored row 0, column 0 belongs.
    corner = [None, (0, 0), (0, -1), (-1, -1), (-1, 0), (0, 0), (0, -1), (-1, -1), (-1, 0)]
    stored = np.zeros((48, 64), np.uint8)
    stored[:24, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    radiograph = read(encode(Image.fromarray(stored), container, exif=exif))
    assert radiograph.pixels.shape == ((48, 64) if orientation <= 4 else (64, 48))
    bright = [at for at in ((0, 0), (0, -1), (-1, 0), (-1, -1)) if radiograph.pixels[at] > 0.5]
    assert bright == [corner[orientation]]


def test_broken_exif_is_no_reason_to_reject() -> None:
    data = encode(Image.fromarray(RAMP), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert read(data).pixels.shape == (40, 48)


def test_container_is_detected_from_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encode(Image.fromarray(RAMP), "PNG"))
    radiograph = read(path)
    assert radiograph.format == "PNG"
    assert radiograph.origin == str(path)
    np.testing.assert_array_equal(read(str(path)).pixels, radiograph.pixels)
    assert read(path.read_bytes()).origin == "<bytes>"


def assert_rejected(source: str | bytes | Path, *words: str) -> None:
    with pytest.raises(UnreadableImage) as caught:
        read(source)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message.splitlines()) == 1
    for word in words:
        assert word in message


def test_files_that_are_no_image_are_rejected_in_one_line(tmp_path: Path) -> None:
    assert_rejected(b"", "'<bytes>'", "empty")
    assert_rejected(b"PK\3\4" + bytes(60), "'<bytes>' is an archive (ZIP)", "unpack it and name")
    assert_rejected(bytes(257) + b"ustar" + bytes(250), "is an archive (tar)", "unpack it")
    assert_rejected(b"just a text\n" * 50, "'<bytes>'", "no image of a known format")
    assert_rejected(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "known format")
    assert_rejected(tmp_path, str(tmp_path), "folder")
    assert_rejected(tmp_path / "none.png", "none.png", "does not exist")
    assert_rejected("nul\x00byte", "is no path")


@pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6])
def test_truncated_files_are_rejected(container: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = encode(Image.fromarray(noise), container)
    assert_rejected(data[: int(len(data) * kept)])


def test_damaged_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8))
    for container in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "JPEG2000"):
        clean = encode(noise, container)
        for _ in range(40):
            data = bytearray(clean)
            for at in rng.integers(0, min(len(data), 400), 6):
                data[at] = rng.integers(256)
            try:
                pixels = read(bytes(data)).pixels
            except UnreadableImage:
                continue
            assert np.isfinite(pixels).all()
            assert pixels.min() >= 0
            assert pixels.max() <= 1


def test_special_files_are_rejected_without_hanging(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo.png", tmp_path / "link.png"
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "gone.png")
    assert_rejected(fifo, "pipe")
    assert_rejected(link, "link to nowhere")
    assert_rejected("/dev/null", "device")
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    assert_rejected(loop, "cannot be opened")


def test_name_with_line_break_stays_one_line(tmp_path: Path) -> None:
    assert_rejected(tmp_path / "two\nlines.png", "two\\nlines.png")


def test_no_permission_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.png"
    path.write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert_rejected(path, "secret.png", "Permission denied")


def test_size_limits_are_checked_on_the_header() -> None:
    assert_rejected(encode(Image.new("L", (31, 400)), "PNG"), "31 x 400", "32")
    # 10 001 x 10 000 and, above Pillow's own limit, 60 000 x 60 000: nothing to decode inside.
    assert_rejected(png_of(10_001, 10_000, 8, 0, b""), "10001 x 10000", "100000000")
    assert_rejected(png_of(60_000, 60_000, 8, 0, b""), "3600000000")


def test_pillows_own_limit_neither_warns_nor_rejects() -> None:
    # 99 million pixels lie above Pillow's warning (89 million) and below ours.
    limit = Image.MAX_IMAGE_PIXELS
    filters = list(warnings.filters)
    radiograph = read(encode(Image.new("1", (9_900, 10_000)), "PNG"))
    assert radiograph.pixels.shape == (10_000, 9_900)
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


def test_huge_files_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    assert_rejected(path, str((1 << 30) + 1))


def test_library_warnings_stay_inside_also_where_threads_overlap() -> None:
    # A TIFF whose tag 258 claims more data than the file has, which Pillow warns about.
    data = bytearray(encode(Image.fromarray(RAMP), "TIFF"))
    at = data.index(struct.pack("<HHI", 258, 3, 1))
    data[at + 4 : at + 8] = struct.pack("<I", 1 << 28)
    with pytest.warns(UserWarning, match="258"):
        Image.open(BytesIO(data)).load()
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: read(bytes(data)), range(40)))
    assert filters == list(warnings.filters)
