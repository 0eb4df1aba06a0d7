"""Unpack a zip or tar that came from elsewhere, trusting nothing it says.

Names that lead outside, links, devices and encrypted members are refused before anything is
written, and so is an archive whose contents would not fit on the disk. What is written of a member
never exceeds the size it declares, so that a bomb cannot go off behind that check.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from covid_cxr.errors import CohortError, InputError

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a zip compressed in a way that Python does not know
)


class Member(NamedTuple):
    """A regular file of an archive; `open` gives its content."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


def room(folder: Path, needed: int, what: str) -> None:
    """Check that the disk of `folder` has `needed` bytes free for `what`.

    Raises:
        InputError: it has not.
    """
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{what} needs {needed / 1e9:.1f} GB, and the disk of '{folder}' has "
            f"{free / 1e9:.1f} GB free; make room, or name a folder on another disk"
        )


def unpack(archive: Path, target: Path) -> None:
    """Unpack `archive` into the new folder `target`.

    If the archive holds one folder and nothing beside it, what that folder holds is put into
    `target`. What macOS adds (`__MACOSX`) is left out.

    Raises:
        CohortError: it is neither zip nor tar, damaged, empty or unsafe.
        InputError: the disk has no room for what it holds.
    """
    try:
        if tarfile.is_tarfile(archive):  # asked first: a tar that ends with a zip passes for one
            with tarfile.open(archive) as tar:
                _write(list(_of_tar(tar)), target)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _write(list(_of_zip(opened)), target)
        else:
            raise CohortError("the file is neither a zip nor a tar; expected an archive of a set")
    except _BROKEN as error:
        raise CohortError(f"the archive is damaged ({error}); fetch it again") from error


def _of_zip(opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        if info.is_dir() or info.filename.startswith("__MACOSX/"):
            continue
        if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
            raise _refused(info.filename, "a link or device")
        if info.flag_bits & 1:
            raise _refused(info.filename, "encrypted")
        yield Member(_inside(info.filename), info.file_size, partial(opened.open, info))


def _of_tar(opened: tarfile.TarFile) -> Iterator[Member]:
    for info in opened:
        if info.isdir():
            continue
        if not info.isreg():
            raise _refused(info.name, "a link or device")
        yield Member(_inside(info.name), info.size, partial(opened.extractfile, info))


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]:
        raise _refused(name, "a path that leads outside")
    return path


def _refused(name: str, what: str) -> CohortError:
    return CohortError(f"the archive is refused: '{name}' is {what}, which no data set needs")


def _write(members: Sequence[Member], target: Path) -> None:
    if not members:
        raise CohortError("the archive holds no files; expected those of a data set")
    room(target, sum(member.size for member in members), "unpacking the archive")
    shared = len({member.path.parts[0] for member in members}) == 1
    strip = 1 if shared and all(len(member.path.parts) > 1 for member in members) else 0
    for member in members:
        path = target.joinpath(*member.path.parts[strip:])
        path.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is not None:  # never None for a regular file
            with source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
