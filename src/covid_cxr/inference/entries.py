"""The files that a batch answers: those named, and all that lies below the folders named."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from covid_cxr.errors import InputError
from covid_cxr.imaging.in_memory import ImageSource

Source = Path | str
_log = logging.getLogger(__name__)


class Entry(NamedTuple):
    """One image to answer.

    Attributes:
        file: how its row calls it.
        source: its file, or the image in memory.
        sha256: of the file, where a cohort states it.
    """

    file: str
    source: ImageSource
    sha256: str | None = None


class Listing(NamedTuple):
    """How many files there are, and the SHA-256 of their names, sizes and times of change."""

    files: int
    sha256: str


def expand(paths: Iterable[Source], ignored: Iterable[Path] = ()) -> Iterator[Entry]:
    """Yield one entry for every file named, and for all that lies below every folder named.

    Folders are read recursively and sorted, hidden files included, one folder at a time; whatever
    is no folder (picture, text, FIFO, broken link) is an entry, and so is a folder that cannot be
    listed.

    Args:
        paths: files and folders.
        ignored: files, and folders with all that lies in them, that are no entries.

    Raises:
        InputError: a path is empty, which would stand for the working folder.
    """
    own = {os.path.realpath(path) for path in ignored}
    for path in paths:
        if not os.fspath(path):
            raise InputError("a path is empty; name a file or folder, or '.' for the current one")
        yield from (Entry(_printable(file), file) for file in _below(Path(path), own))


def listing(paths: Iterable[Source], ignored: Iterable[Path] = ()) -> Listing:
    """Count the files that `expand` yields and hash their list, without keeping it.

    Raises:
        InputError: there is none, or a path is empty.
    """
    paths, digest, count = list(paths), hashlib.sha256(), 0
    for path in paths:
        before = count
        for entry in expand([path], ignored):
            digest.update(f"{entry.file!r} {_version(entry.source)}\n".encode())
            count += 1
        if count == before:
            _log.warning("'%s' holds no file", path)
    if not count:
        named = ", ".join(f"'{path}'" for path in paths[:3]) or "nothing"
        raise InputError(f"no file to predict in {named}; name images, or a folder that holds some")
    return Listing(count, digest.hexdigest())


def _below(path: Path, own: set[str]) -> Iterator[Path]:
    """Yield `path`, or all that lies below it where it is a folder; links are not followed."""
    is_folder = os.path.isdir(path)  # noqa: PTH112 - `Path.is_dir` raises on a name that is too long
    real = os.path.realpath(path if is_folder else path.parent)
    waiting = [(path, real if is_folder else f"{real}/{path.name}", is_folder)]
    while waiting:
        path, real, is_folder = waiting.pop()
        if real in own:
            continue
        try:
            inside = sorted(os.scandir(path), key=attrgetter("name")) if is_folder else None
        except OSError:  # may not be listed; its row says so
            inside = None
        if inside is None:
            yield path
            continue
        for entry in reversed(inside):
            below, is_folder = path / entry.name, entry.is_dir(follow_symlinks=False)
            waiting.append((below, f"{real}/{entry.name}", is_folder))


def _version(source: ImageSource) -> str:
    """Return size and time of change of a file; "" where it has none."""
    if not isinstance(source, Path):
        return ""
    try:
        status = source.stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size} {status.st_mtime_ns}"


def _printable(path: Path) -> str:
    """A name that is not Unicode is shown with its odd bytes escaped, so that CSV can hold it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
