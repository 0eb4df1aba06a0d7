"""Malformed files: wrong names, kinds and sizes, and decompression bombs."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from support.mutants import resealed
from support.tiff_files import tiff_of
from support.valid_files import sample_image, seeds, tiled_tiff

EDGE = 30_000


def patched(name: str, at: int, form: str, *numbers: int) -> bytes:
    data = bytearray(seeds()[name])
    struct.pack_into(form, data, at, *numbers)
    return bytes(data)


def bombs() -> dict[str, bytes]:
    """Small files whose headers promise 30,000 x 30,000 pixels (GIF: a frame beyond its canvas)."""
    jpeg = seeds()["jpeg"].index(b"\xff\xc0")
    tiff = seeds()["tiff"]
    sizes = [tiff.index(struct.pack("<HHI", tag, 4, 1)) for tag in (256, 257)]
    large = bytearray(tiff)
    for at in sizes:
        struct.pack_into("<I", large, at + 8, EDGE)
    codestream = seeds()["j2k-tiled"].index(b"\xff\x51")
    return {
        "png": resealed(patched("png", 16, ">II", EDGE, EDGE)),
        "jpeg": patched("jpeg", jpeg + 5, ">HH", EDGE, EDGE),
        "webp": webp(b"VP8X", bytes(4) + (EDGE - 1).to_bytes(3, "little") * 2),
        "tiff": bytes(large),
        "tiff-strips": tiff_of([bytes(9)], (EDGE, EDGE), {258: [64]}),
        "gif": patched("gif", 6, "<HH", EDGE, EDGE),
        "gif-frame": b"GIF89a" + struct.pack("<2H3x", 40, 40) + b",\0\0\0\0" + b"\x30\x75" * 2,
        "bmp": patched("bmp", 18, "<ii", EDGE, EDGE),
        "j2k": patched("j2k-tiled", codestream + 6, ">II", EDGE, EDGE),
        "pgm": b"P5\n30000 30000\n255\n",
    }


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body + bytes(12)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@cache
def inner_bombs() -> dict[str, bytes]:
    """Files of harmless size in pixels, with what would unfold, or be walked, without end."""
    zeros = zlib.compress(bytes(60_000_000), 9)
    frames = seeds()["jpeg-progressive"]
    scan = frames[frames.rindex(b"\xff\xda") : -2]
    return {
        "png-profile": with_chunk(b"iCCP", b"name\0\0" + zeros),
        "png-text": with_chunk(b"zTXt", b"name\0\0" + zeros),
        "tiff-tile": tiled_tiff(np.zeros((40, 32), "u1"), stated=32_768),
        "tiff-strips": tiff_of([zeros[:99]] * 9, (9999, 9999), {258: [64], 259: [8]}),
        "jpeg-scans": frames[:-2] + scan * 1000 + b"\xff\xd9",
        "j2k-tiles": codestream(255, 1),
    }


def with_chunk(kind: bytes, body: bytes) -> bytes:
    data = seeds()["png"]
    chunk = struct.pack(">I", len(body)) + kind + body + bytes(4)
    return resealed(data[:33] + chunk + data[33:])  # behind the IHDR


def codestream(edge: int, tile: int) -> bytes:
    """A JPEG 2000 of tiles, of which only the first is there, and is empty (T.800 annex A)."""
    size = struct.pack(">H8IH", 0, edge, edge, 0, 0, tile, tile, 0, 0, 1) + b"\7\1\1"
    markers = b"\xff\x51" + struct.pack(">H", len(size) + 2) + size
    markers += b"\xff\x52\0\x0c\0\0\0\1\0\0\4\4\0\1" + b"\xff\x5c\0\4\x40\x40"
    part = b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 22, 0, 1) + b"\xff\x93" + bytes(8)
    return b"\xff\x4f" + markers + part + b"\xff\xd9"


def why(source: bytes | Path, **options: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(source, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("name", "inside"),
    [("image.jpg", "webp"), ("image.dcm", "png"), ("image.png", "dicom"), ("image", "tiff")],
)
def test_the_name_tells_nothing(tmp_path: Path, name: str, inside: str) -> None:
    path = tmp_path / name
    path.write_bytes(seeds()[inside])
    assert read(path).format == inside.upper()


@pytest.mark.parametrize("container", bombs())
def test_bombs_are_rejected_by_their_header(container: str) -> None:
    message = why(bombs()[container])
    assert "the limit is 100000000 in all" in message
    assert "30000 x 30000" in message or "900000000 pixels" in message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"VP8X", bytes(4) + (11_999).to_bytes(3, "little") * 2),
        (b"VP8L", b"\x2f" + (11_999 | 11_999 << 14).to_bytes(4, "little") + bytes(8)),
        (b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<2H", 12_000, 12_000)),
    ],
)
def test_a_webp_canvas_is_checked_before_it_is_allocated(kind: bytes, body: bytes) -> None:
    # 144 megapixels: Pillow, which would allocate 8 bytes a pixel, raises an error from 179 on.
    assert "has 12000 x 12000 pixels, the limit is 100000000 in all" in why(webp(kind, body))


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("png-profile", "too large"),
        ("png-text", "too large"),
        ("tiff-tile", "tiles of 32768 x 32768 pixels"),
        ("tiff-strips", "bytes of samples, its size needs 799840008"),
        ("jpeg-scans", "JPEG scans, the limit is 500"),
        ("j2k-tiles", "65025 tiles, the limit is 16384"),
    ],
)
def test_bombs_inside_are_rejected(name: str, word: str) -> None:
    assert word in why(inner_bombs()[name])


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    for name, data in {**bombs(), **inner_bombs()}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "seed").write_bytes(seeds()["webp"])
    # What is allocated counts, touched or not: the address space may grow by 300 MB.
    text = """
        import resource, sys
        from pathlib import Path
        from covid_cxr.errors import UnreadableImage
        from covid_cxr.imaging import read
        folder = Path(sys.argv[1])
        read(folder / "seed")
        if sys.platform == "linux":
            taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + 300_000_000,) * 2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sorted(folder.iterdir()):
            try:
                read(path.read_bytes())
            except UnreadableImage as error:
                assert "emory" not in str(error), error
            else:
                assert path.name == "seed", path
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert sys.platform != "linux" or grown < 50_000, f"grown by {grown} kB"
    """
    command = [sys.executable, "-c", textwrap.dedent(text), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_limit_can_be_set() -> None:
    assert "32 x 40 pixels, the limit is 1279 in all" in why(seeds()["png"], max_pixels=1279)
    assert "the limit is 1279 in all" in why(seeds()["dicom"], max_pixels=1279)
    assert read(seeds()["png"], max_pixels=1280).width == 32


def test_no_side_is_longer_than_any_detector_has() -> None:
    # Decoders lay out whole rows: 3,125,000 x 32 pixels are under the limit, a row of them not.
    data = patched("bmp", 18, "<ii", 3_125_000, 32)
    assert "3125000 x 32 pixels, the limit is 65535 a side" in why(data)


def test_tiles_may_be_larger_than_a_small_picture() -> None:
    tiled = tiled_tiff(sample_image(), edge=1024)
    np.testing.assert_allclose(read(tiled).pixels, sample_image() / 255, atol=1e-6)


@pytest.mark.parametrize("edge", [1, 31])
def test_too_small_to_be_a_chest(edge: int) -> None:
    buffer = BytesIO()
    Image.new("L", (edge, edge)).save(buffer, "PNG")
    assert f"has {edge} x {edge} pixels, expected 32 a side or more" in why(buffer.getvalue())


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("image.png", seeds()["png"])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"just a text\n" * 40,
        b"<!DOCTYPE html><html><body>404</body></html>" * 4,
        b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" * 9,
        b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>' * 3,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        b"\0" * 4096,
        "Größe".encode("utf-16") * 90,
    ],
)
def test_what_is_no_picture_is_no_image(data: bytes) -> None:
    assert "no image of a known format" in why(data)


def test_an_archive_is_called_so() -> None:
    assert "is an archive (ZIP), expected an image file; unpack it" in why(zipped())


def test_a_socket_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.png")
        assert "is a pipe, socket or device" in why(Path("s.png"))


def test_a_file_that_does_not_fit_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path) -> bytes:
        raise MemoryError

    (tmp_path / "image.png").write_bytes(seeds()["png"])
    monkeypatch.setattr(Path, "read_bytes", full)
    assert "does not fit into memory" in why(tmp_path / "image.png")


def test_libraries_say_nothing_on_standard_error(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = bytearray(seeds()["tiff-16-lzw"])
    data[40:200] = bytes(160)
    with pytest.raises(OSError, match="decoder error"):
        Image.open(BytesIO(data)).load()
    assert "LZWDecode" in capfd.readouterr().err  # libtiff does speak, and again afterwards
    assert "decoder error" in why(bytes(data))
    many = bytearray(seeds()["tiff-tiled"])
    struct.pack_into("<I", many, many.index(struct.pack("<HHI", 277, 4, 1)) + 8, 99)
    assert "no image" in why(bytes(many))
    assert capfd.readouterr().err == ""
    assert caplog.records == []
    with pytest.raises(OSError, match="decoder error"):
        Image.open(BytesIO(data)).load()
    assert "LZWDecode" in capfd.readouterr().err
