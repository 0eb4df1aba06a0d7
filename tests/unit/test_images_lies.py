"""Files that are not what they say: names, kinds, sizes, and what hides inside."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import textwrap
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from mutants import film, resealed, seeds, tiled_tiff
from PIL import Image

from covid_cxr.errors import UnreadableImage
from covid_cxr.images import read

EDGE = 30_000


def patched(name: str, at: int, form: str, *numbers: int) -> bytes:
    data = bytearray(seeds()[name])
    struct.pack_into(form, data, at, *numbers)
    return bytes(data)


def bombs() -> dict[str, bytes]:
    """Small files whose headers promise 30,000 x 30,000 pixels (WEBP: 16,383, its most)."""
    jpeg = seeds()["jpeg"].index(b"\xff\xc0")
    tiff = seeds()["tiff"]
    sizes = [tiff.index(struct.pack("<HHI", tag, 4, 1)) for tag in (256, 257)]
    large = bytearray(tiff)
    for at in sizes:
        struct.pack_into("<I", large, at + 8, EDGE)
    codestream = seeds()["j2k-tiled"].index(b"\xff\x51")
    vp8x = struct.pack("<4sI4s4sI", b"RIFF", 40, b"WEBP", b"VP8X", 10) + bytes(4)
    vp8x += (16_382).to_bytes(3, "little") * 2 + b"VP8 " + bytes(12)
    return {
        "png": resealed(patched("png", 16, ">II", EDGE, EDGE)),
        "jpeg": patched("jpeg", jpeg + 5, ">HH", EDGE, EDGE),
        "webp": vp8x,
        "tiff": bytes(large),
        "gif": patched("gif", 6, "<HH", EDGE, EDGE),
        "bmp": patched("bmp", 18, "<ii", EDGE, EDGE),
        "j2k": patched("j2k-tiled", codestream + 6, ">II", EDGE, EDGE),
        "pgm": b"P5\n30000 30000\n255\n",
    }


def why(source: bytes | Path, **options: int) -> str:
    with pytest.raises(UnreadableImage) as caught:
        read(source, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("name", "inside"),
    [("film.jpg", "webp"), ("film.dcm", "png"), ("film.png", "dicom"), ("film", "tiff")],
)
def test_the_name_tells_nothing(tmp_path: Path, name: str, inside: str) -> None:
    path = tmp_path / name
    path.write_bytes(seeds()[inside])
    assert read(path).format == inside.upper()


@pytest.mark.parametrize("container", bombs())
def test_bombs_are_refused_by_their_header(container: str) -> None:
    # A WEBP of this kind may also be refused as broken: then nothing was decoded either.
    assert any(word in why(bombs()[container]) for word in ("the limit is 100000000", "broken"))


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    for name, data in bombs().items():
        (tmp_path / name).write_bytes(data)
    text = """
        import resource, sys
        from pathlib import Path
        from covid_cxr.errors import UnreadableImage
        from covid_cxr.images import read
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sorted(Path(sys.argv[1]).iterdir()):
            try:
                read(path)
            except UnreadableImage:
                continue
            sys.exit(f"{path} was read")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        sys.exit(f"grown by {grown} kB" if grown > 100_000 else 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(text), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_limit_can_be_set() -> None:
    assert "32 x 40 pixels, the limit is 1279 in all" in why(seeds()["png"], max_pixels=1279)
    assert "the limit is 1279 in all" in why(seeds()["dicom"], max_pixels=1279)
    assert read(seeds()["png"], max_pixels=1280).width == 32


def test_tiles_that_unfold_larger_than_they_say_are_no_danger() -> None:
    try:
        assert read(tiled_tiff(film(), stated=8192)).pixels.shape == (40, 32)
    except UnreadableImage as error:
        assert str(error).isprintable()


@pytest.mark.parametrize("edge", [1, 31])
def test_too_small_to_be_a_chest(edge: int) -> None:
    buffer = BytesIO()
    Image.new("L", (edge, edge)).save(buffer, "PNG")
    assert f"has {edge} x {edge} pixels, expected 32 a side or more" in why(buffer.getvalue())


def zipped() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("film.png", seeds()["png"])
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"just a text\n" * 40,
        b"<!DOCTYPE html><html><body>404</body></html>" * 4,
        b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n" * 9,
        b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>' * 3,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        zipped(),
        b"\0" * 4096,
        "Größe".encode("utf-16") * 90,
    ],
)
def test_what_is_no_picture_is_no_image(data: bytes) -> None:
    assert "no image of a known format" in why(data)


@pytest.mark.parametrize("name", ["png", "jpeg", "jpeg-progressive", "webp", "tiff", "jp2", "gif"])
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.95])
def test_half_a_picture_is_none(name: str, kept: float) -> None:
    whole = seeds()[name]
    cut = whole[: int(len(whole) * kept)]
    try:
        pixels = read(cut).pixels
    except UnreadableImage:
        return
    # What a container has behind its first picture may be missing.
    assert np.array_equal(pixels, read(whole).pixels)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.png")
        assert "is a pipe, socket or device" in why(Path("s.png"))
