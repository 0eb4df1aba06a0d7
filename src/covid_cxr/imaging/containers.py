"""Checks of image containers for malformed and truncated files, before and after decoding.

Decoders allocate what a header states, and some return a truncated image as if it were whole. Each
check here reads a few bytes only, or none where the pixels show no sign of truncation.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator

from PIL import ImageFile

from covid_cxr.errors import UnreadableImage

# libjpeg-turbo's own fuzzers stop at 500 scans; images have a dozen. Each visits all pixels.
_MAX_SCANS = 500
# OpenJPEG keeps some 10 kB a tile, used or not.
_MAX_TILES = 1 << 14
# libtiff accepts tiles larger than the image; usual ones have 256 to 1024 pixels a side.
_MAX_TILE_PIXELS = 1 << 24
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_CODESTREAM = b"\xff\x4f\xff\x51"  # ITU-T T.800 A.4.1, A.5.1: SOC, SIZ
_JP2_SIGNATURE = b"\0\0\0\x0cjP  "
_SOT, _EOC = b"\xff\x90", b"\xff\xd9"
_MISPLACED = "JPEG 2000 segments outside the tile-parts: left out"
_ENDLESS = "JPEG 2000 without its end marker: added"
# First row and column, and steps, of the passes of an interlaced PNG (PNG 8.2).
_ADAM7 = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
_PIECE = 1 << 20  # bytes inflated at a time
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type -> samples a pixel


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WEBP (RFC 9649), None for anything else.

    The decoder allocates the canvas when it opens a file, before its size can be queried.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<2H", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def check(image: ImageFile.ImageFile, data: bytes) -> None:
    """Check the tiles and scans of `image`, opened but not decoded.

    Raises:
        UnreadableImage: an implausible number or size of them, or some are missing.
    """
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        _check_tile(tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0), image.width * image.height)
    elif image.format == "JPEG2000":
        check_codestream(data, image.width, image.height)
    elif image.format in ("JPEG", "MPO"):
        check_scans(data)


def check_scans(data: bytes) -> None:
    """Limit the scans of a JPEG: a few bytes each, but the decoder may take hours.

    Raises:
        UnreadableImage: an implausible number of scans.
    """
    scans = data.count(b"\xff\xda")  # these bytes cannot occur within a scan
    if scans > _MAX_SCANS:
        raise UnreadableImage(f"has {scans} JPEG scans, the limit is {_MAX_SCANS}")


def misses_rows(data: bytes) -> bool:
    """Tell whether the compressed samples of a PNG end before its last row.

    Needed only where the last row is black, as Pillow leaves missing rows: takes about as long as
    decoding.
    """
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">2I5B", data, 16)
    need = 0
    for top, left, down, across in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        rows, columns = math.ceil((height - top) / down), math.ceil((width - left) / across)
        need += rows * (1 + math.ceil(columns * depth * _SAMPLES[colour] / 8))
    inflater = zlib.decompressobj()
    for chunk in _image_data(data):
        while chunk and need > 0:
            need -= len(inflater.decompress(chunk, _PIECE))
            chunk = inflater.unconsumed_tail  # noqa: PLW2901
    return need > len(inflater.flush(_PIECE))


def _image_data(png: bytes) -> Iterator[bytes]:
    at = 8
    while at + 8 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            yield png[at + 8 : at + 8 + length]
        at += 12 + length


def _check_tile(width: int, length: int, pixels: int) -> None:
    if width * length > max(pixels, _MAX_TILE_PIXELS):
        raise UnreadableImage(f"has tiles of {width} x {length} pixels, more than the picture")


def check_codestream(data: bytes, width: int, height: int) -> None:
    """Check the size of a JPEG 2000 codestream, and that it has a part or more of every tile.

    Missing tiles would be black. The tile-parts are located by their lengths (T.800 A.4.2).

    Raises:
        UnreadableImage: another size, too many tiles, a missing tile, no end marker.
    """
    start = data.find(_CODESTREAM)
    try:
        right, bottom, left, top, across, down, from_left, from_top = struct.unpack_from(
            ">8I", data, start + 8
        )
        if start < 0 or (right - left, bottom - top) != (width, height):
            raise UnreadableImage(f"has {width} x {height} pixels, its codestream another size")
        tiles = math.ceil((right - from_left) / across) * math.ceil((bottom - from_top) / down)
        if tiles > _MAX_TILES:
            raise UnreadableImage(f"has {tiles} tiles, the limit is {_MAX_TILES}")
        present = len(_tile_numbers(data, start + 2))
    except (struct.error, ZeroDivisionError) as error:
        raise UnreadableImage("holds a JPEG 2000 codestream that is cut short") from error
    if present != tiles:
        raise UnreadableImage(f"holds {present} of its {tiles} tiles")


def repair_codestream(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Return a JPEG 2000 file of tile-parts that end with the end marker, and a flag.

    Some writers end with a comment, which belongs into a header (T.800 A.9.2), with zeros before
    the end marker, or without it; OpenJPEG rejects the whole. JP2 boxes state their lengths, which
    stay. What is malformed otherwise is left alone.
    """
    is_jpeg_2000 = data.startswith((_CODESTREAM, _JP2_SIGNATURE))
    start = data.find(_CODESTREAM) if is_jpeg_2000 else -1
    try:
        spans = _spans(data, start + 2) if start >= 0 else []
    except struct.error:
        return data, ()
    tiles = [span for span in spans if data.startswith(_SOT, span[0])]
    if not tiles:
        return data, ()
    ends = data.startswith(_EOC, spans[-1][1])
    if spans[spans.index(tiles[0]) :] == tiles if ends else start > 0:
        return data, ()
    last = spans[-1][1] + len(_EOC)
    kept = data[: tiles[0][0]] + b"".join(data[at:end] for at, end in tiles) + _EOC
    return kept + bytes(max(0, last - len(kept))) + data[last:], (_MISPLACED if ends else _ENDLESS,)


def _tile_numbers(data: bytes, at: int) -> set[int]:
    """Return the numbers of the tiles between the first marker segment, at `at`, and the end.

    Raises:
        struct.error: the codestream is cut short.
    """
    starts = [start for start, _ in _spans(data, at) if data.startswith(_SOT, start)]
    return {struct.unpack_from(">H", data, start + 4)[0] for start in starts}


def _spans(data: bytes, at: int) -> list[tuple[int, int]]:
    """Return start and end of marker segments, tile-parts and junk up to the end marker or the end.

    Raises:
        struct.error: a segment or tile-part is cut short.
    """
    spans = []
    while at < len(data) and not data.startswith(_EOC, at):
        if data.startswith(_SOT, at):
            # 0: up to the end of the codestream.
            end = at + struct.unpack_from(">I", data, at + 6)[0]
            end = data.rfind(_EOC) if end == at else end
            if end <= at:
                raise struct.error("no end marker")
        elif data[at] == 0xFF:
            end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        else:
            end = data.find(_EOC, at) % (len(data) + 1)  # -1: all of it is junk
        spans.append((at, end))
        at = spans[-1][1]
    if at > len(data):
        raise struct.error("cut short")
    return spans
