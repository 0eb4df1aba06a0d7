"""Headers of compressed frames, and the decoders of RLE and of lossless and 12-bit JPEG.

The header of a compressed frame may contradict the object around it, and decoders trust the
header: it is parsed, and compared, before a decoder allocates anything.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import gdcm  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_fragments

from covid_cxr.errors import UnreadableImage

JPEG, JPEG_12, JPEG_LOSSLESS = "8-bit JPEG", "12-bit JPEG", "lossless JPEG"
JPEG_LS, JPEG_2000, RLE = "JPEG-LS", "JPEG 2000", "RLE"
ITEM = b"\xfe\xff\x00\xe0"  # starts encapsulated pixel data, whatever else is stated

# ITU-T T.81 table B.1 and T.87 C.1.
_SOI, _EOI, _SOS, _APP14 = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xEE
_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
_FRAMES = frozenset((*range(0xC0, 0xD0), _LS)) - {0xC4, 0xC8, 0xCC}
_TABLES = (0xC4, 0xDB, 0xDD)  # Huffman, quantisation, restart interval
# Within a scan only stuffed zeros and restart markers may follow 0xFF.
_SCAN_BREAK = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JP2_SIGNATURE = b"\0\0\0\x0cjP  "
_CODESTREAM = b"\xff\x4f\xff\x51"
_GDCM_SYNTAX = {JPEG_12: "1.2.840.10008.1.2.4.51", JPEG_LOSSLESS: "1.2.840.10008.1.2.4.57"}


@dataclass(frozen=True)
class Stream:
    """The header of a compressed frame.

    Attributes:
        kind: the name of the coding.
        width, height: pixels; 0 for RLE, which does not state them.
        samples: samples a pixel; 0 for RLE.
        bits: bits a sample; 0 for RLE.
        signed: samples are signed; only JPEG 2000 states it.
        adobe: an Adobe marker states whether the decoder converts YCbCr to RGB.
    """

    kind: str
    width: int = 0
    height: int = 0
    samples: int = 0
    bits: int = 0
    signed: bool = False
    adobe: bool = False


def join(value: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Join the fragments of one frame; its offset table may be missing or wrong, which is flagged.

    Raises:
        UnreadableImage: several frames.
    """
    table, *fragments = generate_fragments(value)
    frames = sum(map(_starts_frame, fragments))
    if frames > 1:
        raise UnreadableImage(f"is DICOM with {frames} frames, expected a single radiograph")
    stated = len(table) // 4
    flags = (f"offset table of {stated} frames, one found: ignored",) if stated > 1 else ()
    return b"".join(fragments), flags


def _starts_frame(fragment: bytes) -> bool:
    """Tell whether a fragment is the first of a frame; no scan or packet holds these bytes."""
    return fragment.startswith((_SOI, _CODESTREAM, _JP2_SIGNATURE)) or _is_rle(fragment)


def describe(frame: bytes) -> Stream:
    """Parse the header of a compressed frame.

    Raises:
        UnreadableImage: an unknown coding, or one without a decoder; a broken header.
    """
    if frame.startswith(_SOI):
        return _describe_jpeg(frame)
    if frame.startswith((_CODESTREAM[:2], _JP2_SIGNATURE)):
        return _describe_jpeg_2000(frame)
    if _is_rle(frame):
        return Stream(RLE)
    raise UnreadableImage("holds compressed pixels that are no JPEG, JPEG-LS, JPEG 2000 or RLE")


def up_to_end(frame: bytes) -> bytes:
    """Return a JPEG-LS frame up to its end marker; without one CharLS would search for seconds.

    Raises:
        UnreadableImage: no end marker.
    """
    end = frame.rfind(_EOI)
    if end < 0:
        raise UnreadableImage("holds a JPEG-LS stream that is cut short")
    return frame[: end + len(_EOI)]


def without_zero_before_end(frame: bytes) -> bytes:
    """Return a JPEG-LS frame without a zero between its scan and its end marker.

    Some writers fill up to an even length there, and CharLS rejects it; a scan may also end so.
    """
    zero = b"\0" + _EOI
    return frame.removesuffix(zero) + _EOI if frame.endswith(zero) else frame


def unpack_rle(frame: bytes, pixels: int, samples: int, width: int) -> NDArray[np.unsignedinteger]:
    """Decode an RLE frame (PS3.5 annex G), never beyond the size of the image.

    pydicom's decoder has no such limit: it would expand a malformed frame of 1 GiB to 64 GiB.

    Args:
        frame: the 64-byte header and the segments, one for each byte of each sample.
        pixels: pixels in the image.
        samples: samples a pixel.
        width: bytes a sample.

    Returns:
        Unsigned samples (pixels, samples).

    Raises:
        UnreadableImage: other than `samples * width` segments, or a segment too short.
    """
    count, *offsets = struct.unpack_from("<16I", frame)
    if count != samples * width:
        raise UnreadableImage(f"has {count} RLE segments, expected {samples * width}")
    segments = itertools.pairwise([*offsets[:count], len(frame)])
    planes = [_unpack_segment(frame[start:end], pixels) for start, end in segments]
    bytewise = np.stack(planes, axis=-1).reshape(pixels, samples, width)
    return bytewise.view(f">u{width}")[..., 0].astype(f"u{width}")


def decode_with_gdcm(frame: bytes, stream: Stream, photometric: str) -> NDArray[np.unsignedinteger]:
    """Decode lossless or 12-bit JPEG.

    Returns:
        Unsigned samples (height * width * samples,), 8 or 16 bits wide, colour by pixel.

    Raises:
        UnreadableImage: the stream is damaged or cut short.
    """
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stream.width, stream.height, 1))
    image.SetDataElement(_as_element(_rebuilt(frame)))
    kind = gdcm.PhotometricInterpretation.GetPIType(photometric)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetPlanarConfiguration(0)
    syntax = gdcm.TransferSyntax.GetTSType(_GDCM_SYNTAX[stream.kind])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    # 12 bits allocated, as in the stream: with 16 GDCM first tries, and reports, the wrong decoder.
    allocated = 12 if stream.kind == JPEG_12 else 8 if stream.bits <= 8 else 16
    image.SetPixelFormat(gdcm.PixelFormat(stream.samples, allocated, stream.bits, stream.bits - 1))
    text = image.GetBuffer()
    if text is None:
        raise UnreadableImage(f"holds a damaged {stream.kind} stream")
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), "u1" if allocated == 8 else "<u2")


def _is_rle(frame: bytes) -> bool:
    """PS3.5 annex G.5: the number of segments, then where the first starts: after 64 bytes."""
    return len(frame) >= 64 and 1 <= frame[0] <= 15 and frame[1:8] == b"\0\0\0\x40\0\0\0"


def _describe_jpeg(frame: bytes) -> Stream:
    adobe = False
    for marker, start, _ in _segments(frame):
        adobe = adobe or (marker == _APP14 and frame[start + 4 : start + 9] == b"Adobe")
        if marker in _FRAMES and start + 10 <= len(frame):
            bits, height, width, samples = struct.unpack_from(">BHHB", frame, start + 4)
            return Stream(_jpeg_kind(marker, bits), width, height, samples, bits, adobe=adobe)
    raise UnreadableImage("holds a JPEG stream without a frame header")


def _jpeg_kind(marker: int, bits: int) -> str:
    if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE) and bits == 8:
        return JPEG
    if marker == _EXTENDED and bits == 12:
        return JPEG_12
    if marker in (_LOSSLESS, _LS) and 2 <= bits <= 16:
        return JPEG_LOSSLESS if marker == _LOSSLESS else JPEG_LS
    raise UnreadableImage(
        f"is compressed as JPEG process SOF{marker - 0xC0} with {bits} bits, which has no decoder"
    )


def _segments(frame: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of every segment, up to the first scan header."""
    at = len(_SOI)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker (T.81 B.1.1.2)
            at += 1
            continue
        start, at = at, at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
        yield marker, start, at
        if marker == _SOS:
            return


def _rebuilt(frame: bytes) -> bytes:
    """Rebuild the stream from its tables, frame header and one scan.

    GDCM terminates the process on some kinds of broken marker; so it is given none.

    Raises:
        UnreadableImage: a segment is missing or truncated, or there are several scans.
    """
    parts, scan = [_SOI], len(frame)
    for marker, start, end in _segments(frame):
        if marker in _TABLES or marker in _FRAMES or marker == _SOS:
            parts.append(frame[start:end])
        scan = end if marker == _SOS else scan
    end_of_scan = _SCAN_BREAK.search(frame, scan)
    if end_of_scan is None or end_of_scan[0] != _EOI:
        raise UnreadableImage("holds a JPEG stream that is cut short, or has several scans")
    return b"".join((*parts, frame[scan : end_of_scan.end()]))


def _describe_jpeg_2000(frame: bytes) -> Stream:
    at = _codestream(frame)
    if frame[at : at + 4] != _CODESTREAM or len(frame) < at + 43:
        raise UnreadableImage("holds a JPEG 2000 stream without a size header")
    # ITU-T T.800 A.5.1: Xsiz, Ysiz, XOsiz, YOsiz, four of the tiles, Csiz, the first Ssiz.
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    samples, depth = struct.unpack_from(">HB", frame, at + 40)
    bits, signed = (depth & 0x7F) + 1, bool(depth >> 7)
    return Stream(JPEG_2000, right - left, bottom - top, samples, bits, signed)


def _codestream(frame: bytes) -> int:
    """Return where the codestream starts: some writers include the JP2 boxes around it."""
    at = 0 if frame.startswith(_CODESTREAM[:2]) else 12
    while at and frame[at + 4 : at + 8] != b"jp2c":
        length = int.from_bytes(frame[at : at + 4], "big")
        if length < 8 or at + length >= len(frame):
            raise UnreadableImage("holds JPEG 2000 boxes without a codestream")
        at += length
    return at + 8 if at else 0


def _unpack_segment(coded: bytes, size: int) -> NDArray[np.uint8]:
    """Return the first `size` bytes of an RLE segment (PackBits, PS3.5 G.3.2)."""
    out, at = bytearray(), 0
    while len(out) < size and at + 1 < len(coded):
        head, at = coded[at], at + 1
        if head < 128:
            out += coded[at : at + 1 + head]
            at += 1 + head
        elif head > 128:
            out += coded[at : at + 1] * (257 - head)
            at += 1
    if len(out) < size:
        raise UnreadableImage(f"has an RLE segment of {len(out)} bytes, expected {size}")
    return np.frombuffer(out, np.uint8, size)


def _as_element(frame: bytes) -> gdcm.DataElement:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
