"""Detecting and parsing DICOM files (PS3.10), with limits on what a deflated file may expand to.

A deflated file of a megabyte may hold gigabytes, and each sequence item of eight bytes takes a
hundred times as much once parsed. So the header is inflated, counted and parsed before the pixels;
headers of radiographs have some hundred elements.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from io import BytesIO
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging.raster import DECODER_ERRORS

HEADER_ROOM = 1 << 24  # bytes; overlays, which precede the pixels, take a megabyte each
# What pydicom and its decoders raise on malformed objects.
MALFORMED = (InvalidDicomError, BytesLengthException, *DECODER_ERRORS)
_META_ROOM = 1 << 16
_MOST_ELEMENTS, _MOST_ITEMS = 10_000, 10_000
_ITEM = b"\xfe\xff\x00\xe0"
_PIXELS = 0x7FE00000  # group of pixel data, the last of an image


def is_dicom(data: bytes) -> bool:
    """Detect DICOM: "DICM" after the preamble, or a plausible first data element.

    Without a preamble (required by PS3.10 7.1, omitted by old systems) the object starts with
    group 0002 or 0008, little-endian, and either a VR of two capitals or a length in the file; or
    with group 0008, big-endian, and a VR.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 132:
        return False
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    if data[:3] == b"\x00\x08\x00":
        return explicit
    if data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    return explicit or struct.unpack("<I", data[4:8])[0] < 128


def read_object(data: bytes, most: int) -> Any:
    """Parse a whole file; of a deflated object at most `most` bytes are inflated (PS3.5 A.5).

    Raises:
        UnreadableImage: a deflated object is truncated, or it or its header is too large.
        Exception: one of `MALFORMED`.
    """
    stream = BytesIO(data)
    meta = _meta_if_deflated(stream)
    if meta is None:
        return dcmread(stream, force=data[128:132] != b"DICM")
    packed = data[stream.tell() :]
    _header(packed, meta, ())
    content, whole = _inflate(packed, most)
    if not whole:
        state = "cut short" if len(content) < most else f"larger than {most} bytes"
        raise UnreadableImage(f"is deflated DICOM, {state}")
    return _parse(content, meta)


def read_header(file: BinaryIO, keywords: Iterable[str]) -> Any:
    """Parse the named elements of an open file, up to its pixels, which are not read.

    Raises:
        UnreadableImage: the header of a deflated object is too large.
        Exception: one of `MALFORMED`.
    """
    tags = [tag for tag in map(tag_for_keyword, keywords) if tag is not None]
    meta = _meta_if_deflated(file)
    if meta is not None:
        return _header(file.read(HEADER_ROOM + _META_ROOM), meta, tags)
    bare = file.read(132)[128:] != b"DICM"
    file.seek(0)
    return dcmread(file, stop_before_pixels=True, force=bare, specific_tags=list(tags))


def _meta_if_deflated(file: BinaryIO) -> FileMetaDataset | None:
    """Return the file meta information of a deflated object, leaving `file` behind it.

    Of other objects None, leaving `file` at its start.
    """
    bare = file.read(132)[128:] != b"DICM"
    file.seek(0 if bare else 132)
    # dcmread's own function, so that the two always agree on what is deflated.
    meta = _read_file_meta_info(file)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return meta
    file.seek(0)
    return None


def _header(packed: bytes, meta: FileMetaDataset, tags: Iterable[int]) -> Any:
    """Inflate, count and parse the elements before the pixels."""
    content, whole = _inflate(packed, HEADER_ROOM)
    counted, ends = 0, False

    def stop(tag: int, *_: object) -> bool:
        nonlocal counted, ends
        counted, ends = counted + 1, tag >= _PIXELS
        return ends or counted > _MOST_ELEMENTS

    if content.count(_ITEM) > _MOST_ITEMS:
        raise UnreadableImage(f"is deflated DICOM with more than {_MOST_ITEMS} sequence items")
    header = _parse(content, meta, stop_when=stop, specific_tags=list(tags) or None)
    if counted > _MOST_ELEMENTS:
        raise UnreadableImage(f"is deflated DICOM with more than {_MOST_ELEMENTS} elements")
    if not (ends or whole) and len(content) >= HEADER_ROOM:
        raise UnreadableImage(f"is deflated DICOM, its header larger than {HEADER_ROOM} bytes")
    return header


def _parse(content: bytes, meta: FileMetaDataset, **options: Any) -> Any:
    dataset: Any = read_dataset(BytesIO(content), False, True, **options)
    dataset.file_meta = meta
    return dataset


def _inflate(packed: bytes, most: int) -> tuple[bytes, bool]:
    """Return up to `most` bytes, and whether that is all."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    return inflater.decompress(packed, most), inflater.eof
