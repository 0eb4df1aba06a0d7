import errno
import hashlib
from pathlib import Path

import pytest

from covid_cxr.files import atomic_write, sha256_of


def test_writes_text_as_utf8_and_bytes_as_they_are(tmp_path: Path):
    atomic_write(tmp_path / "new" / "a.txt", "größe\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "größe\n".encode()
    atomic_write(tmp_path / "new" / "a.txt", b"\x00\xff")
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"\x00\xff"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch):
    atomic_write(tmp_path / "a.txt", "old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does, without a name

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        atomic_write(tmp_path / "a.txt", "new")
    assert error.value.filename == str(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_sha256_is_that_of_the_content(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()
