"""Headers that are bombs, damaged or of files that cannot be opened: an answer or one line."""

import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from pydicom import uid

from covid_cxr.cohort.dicom_headers import quiet, read_header
from covid_cxr.errors import CohortError, UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.imaging.dicom import file
from support.dicom_objects import dataset_of, encode
from support.mutants import IMAGE, REJECTED, header_outcome, mutant
from support.valid_files import sample_image, seeds

ITEM, END = b"\xfe\xff\x00\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
SEQUENCE = b"\x54\0\x20\x02SQ\0\0\xff\xff\xff\xff"  # view codes, of undefined length


def deflated(body: bytes, before: bytes = b"") -> bytes:
    """An object whose file meta information holds `before` and is followed by `body`, packed."""
    image = dataset_of(sample_image())
    image.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    if before:
        image.file_meta.PrivateInformationCreatorUID = "1.2.3"
        image.file_meta.PrivateInformation = before
    data = encode(image, enforce_file_format=True)
    start = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return data[:start] + packer.compress(body) + packer.flush()


def element(group: int, number: int, value: bytes = b"") -> bytes:
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return tag + b"LO" + len(value).to_bytes(2, "little") + value


MODALITY = b"\x08\0\x60\0CS\2\0DX"
ROOM = 17 << 20  # more than a header may take
PIXELS = b"\xe0\x7f\x10\0OW\0\0" + ROOM.to_bytes(4, "little") + b"\0" * ROOM
BOMBS = {
    "elements": b"".join(element(9 + 2 * (n >> 16), n & 0xFFFF) for n in range(1 << 18)),
    "items": MODALITY + SEQUENCE + ITEM * (1 << 20) + END,
    "one element": MODALITY + b"\x09\0\x10\x10OB\0\0" + ROOM.to_bytes(4, "little") + b"\0" * ROOM,
}


def header(folder: Path, data: bytes) -> dict[str, str] | None:
    (folder / "file").write_bytes(data)
    with quiet():
        return read_header(folder / "file")


@pytest.mark.parametrize("before", [b"", b"\0" * 5000], ids=["plain", "long meta information"])
@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_a_header_that_is_a_bomb_is_rejected_at_once(
    tmp_path: Path, body: bytes, before: bytes
) -> None:
    bomb = deflated(body, before)
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(CohortError, match=r"is deflated DICOM.*(more|larger) than"):
            header(tmp_path, bomb)
        with pytest.raises(UnreadableImage, match=r"is deflated DICOM.*(more|larger) than"):
            read(bomb)
        assert tracemalloc.get_traced_memory()[1] < 3 * file.HEADER_ROOM
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 10


def test_a_deflated_image_with_many_pixels_has_a_header(tmp_path: Path) -> None:
    found = header(tmp_path, deflated(MODALITY + PIXELS))
    assert found is not None
    assert found["Modality"] == "DX"
    cut = deflated(MODALITY + PIXELS)[:-40]
    assert header(tmp_path, cut) == found


def test_files_that_cannot_be_opened_are_named(tmp_path: Path) -> None:
    for path, why in ((tmp_path, "is no file"), (tmp_path / "gone", "is no file")):
        with pytest.raises(CohortError, match=why):
            read_header(path)
    with pytest.raises(CohortError, match=r"no readable DICOM header: .*File name too long"):
        read_header(tmp_path / ("x" * 300))


@pytest.mark.parametrize("shard", range(4))
def test_damaged_headers_are_errors_or_read(shard: int) -> None:
    names = sorted(seeds())
    numbers = [n for n in range(1600) if names[n % len(names)].startswith("dicom")]
    kinds = {header_outcome(mutant(number)[1]) for number in numbers[shard::4]}
    assert kinds == {IMAGE, REJECTED}
