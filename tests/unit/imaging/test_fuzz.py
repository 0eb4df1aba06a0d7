"""For any bytes, `read` returns an image or raises `UnreadableImage` with one line."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.mutants import IMAGE, REJECTED, mutant, outcome, resealed
from support.valid_files import seeds

SHARDS, MUTANTS = 8, 2000
MAGIC = (
    *(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBPVP8 ", b"GIF89a"),
    *(b"BM", b"II*\0", b"MM\0*", b"II+\0", b"P5\n40 40\n255\n", b"\xff\x4f\xff\x51"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS", b""),
)

LENGTHS = st.one_of(st.integers(0, 64), st.sampled_from((255, 256, 30_000, 65_535)))
WIDE = st.one_of(LENGTHS, st.sampled_from((2**31 - 1, 2**31, 2**32 - 1)))
BODY = st.binary(max_size=80)
# Tags of size, samples, compression, strips and tiles, among them such as Pillow looks into.
TAGS = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324)
ELEMENTS = (
    *((2, 0x10), (8, 5), (8, 0x16), (0x28, 2), (0x28, 4), (0x28, 8), (0x28, 0x10), (0x28, 0x11)),
    *((0x28, 0x100), (0x28, 0x101), (0x28, 0x103), (0x28, 0x1050), (0x28, 0x1051)),
    *((0x28, 0x3000), (0x28, 0x3010), (0x7FE0, 0x10)),
)


@st.composite
def png(draw: st.DrawFn) -> bytes:
    numbers = [draw(WIDE), draw(WIDE), *(draw(st.integers(0, 17)) for _ in range(5))]
    chunks = [(b"IHDR", struct.pack(">2I5B", *numbers))]
    kinds = st.sampled_from(
        (b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"eXIf")
    )
    for kind, body in draw(st.lists(st.tuples(kinds, BODY), max_size=4)):
        chunks.append((kind, zlib.compress(body * 40) if kind == b"IDAT" else body))
    parts = [struct.pack(">I", len(body)) + kind + body + bytes(4) for kind, body in chunks]
    return resealed(MAGIC[0][:8] + b"".join(parts))


@st.composite
def tiff(draw: st.DrawFn) -> bytes:
    entry = st.tuples(st.sampled_from(TAGS), st.integers(0, 14), WIDE, WIDE)
    entries = sorted(draw(st.lists(entry, max_size=14)))
    order = draw(st.sampled_from("<>"))
    table = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(entries)) + table + bytes(4) + draw(BODY) * 20


@st.composite
def jpeg(draw: st.DrawFn) -> bytes:
    markers = (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xF7)
    parts = [b"\xff\xd8"]
    for marker in draw(st.lists(st.sampled_from(markers), min_size=1, max_size=6)):
        body = draw(BODY)
        if marker & 0xF0 == 0xC0:
            body = struct.pack(">BHHB", 8, draw(LENGTHS), draw(LENGTHS), draw(LENGTHS) % 5) + body
        parts.append(bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body)
    return b"".join(parts) + draw(BODY) * 9


@st.composite
def dicom(draw: st.DrawFn) -> bytes:
    kinds = st.sampled_from((b"US", b"SS", b"DS", b"CS", b"UI", b"LO", b"AT"))
    element = st.tuples(st.sampled_from(ELEMENTS), kinds, BODY)
    parts = [bytes(128) + b"DICM"]
    for tag, kind, body in sorted(draw(st.lists(element, max_size=14))):
        parts.append(struct.pack("<HH2sH", *tag, kind, len(body)) + body)
    length = draw(WIDE)
    return b"".join(parts) + struct.pack("<HH4sI", 0x7FE0, 0x10, b"OW\0\0", length) + draw(BODY)


@pytest.mark.parametrize("name", seeds())
def test_every_seed_is_a_picture_before_it_is_damaged(name: str) -> None:
    assert outcome(seeds()[name]) == IMAGE


@pytest.mark.parametrize("shard", range(SHARDS))
def test_damaged_files_are_pictures_or_rejected(shard: int) -> None:
    kinds = {outcome(mutant(number)[1]) for number in range(shard, MUTANTS, SHARDS)}
    assert kinds == {IMAGE, REJECTED}  # the damage is neither always harmless nor always deadly


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=400))
def test_any_bytes_behind_a_magic_number(magic: bytes, rest: bytes) -> None:
    assert outcome(magic + rest) in (IMAGE, REJECTED)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(seeds())), st.data())
def test_any_truncation(name: str, data: st.DataObject) -> None:
    whole = seeds()[name]
    assert outcome(whole[: data.draw(st.integers(0, len(whole)))]) in (IMAGE, REJECTED)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.one_of(png(), tiff(), jpeg(), dicom()))
def test_headers_that_are_well_formed_and_senseless(data: bytes) -> None:
    assert outcome(data) in (IMAGE, REJECTED)
