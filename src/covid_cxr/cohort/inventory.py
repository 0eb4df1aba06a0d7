"""What each file of a cohort is: hash, size, fingerprint, or why it cannot be used.

Every image is decoded whole, once, so that nothing in a cohort stops a training that takes hours.
Answers are kept in a small database beside the cohort; a build that is stopped, or comes again
after files were added, reads only what it does not know. A file that has changed its size or time
is read anew.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from covid_cxr import imaging
from covid_cxr.cohort.dedup.fingerprint import Fingerprint, fingerprint
from covid_cxr.cohort.splits.leakage import one_line
from covid_cxr.errors import CohortError, UnreadableImage
from covid_cxr.files import sha256_of
from covid_cxr.imaging.raster import MAX_PIXELS
from covid_cxr.progress import report, track

NAME = "files.sqlite"
BLANK = "blank: one grey value all over"
CRASHED = "unreadable: decoding it crashed the decoder"
_VERSION = 2  # of what a row holds; another version is read anew
_BLANK = 0.01  # least spread of grey levels (out of 1), as of an image that is answered
_CHUNK = 16  # files a task of another process
_ROUND = 512  # tasks until the processes are started anew, which frees what decoders keep
_SAVED = 256  # answers that a build which is killed loses at most
_WORTH = 200  # so many files pay for the seconds that further processes take to start
_TABLE = """CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, stamp TEXT, sha256 TEXT, width INTEGER, height INTEGER,
    reason TEXT, view TEXT, modality TEXT, fingerprint BLOB, flags TEXT)"""


class File(NamedTuple):
    """One file: `reason` is "" if it can be used, else `fingerprint` is empty.

    The size of a file that cannot be decoded is 0.
    """

    sha256: str
    width: int
    height: int
    reason: str
    view: str = ""
    modality: str = ""
    fingerprint: bytes = b""
    flags: str = ""  # of the radiograph, "\n" between them

    @property
    def flag_list(self) -> list[str]:
        return self.flags.split("\n") if self.flags else []


def examine(path: Path, max_pixels: int = MAX_PIXELS) -> File:
    """Read one file; what is wrong with it is in `reason`."""
    try:
        # Checked first: to open a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            return File("", 0, 0, "unreadable: no regular file")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return File("", 0, 0, "file missing")
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        return File("", 0, 0, f"unreadable: {getattr(error, 'strerror', error)}")
    digest = hashlib.sha256(data).hexdigest()
    try:
        radiograph = imaging.read(data, max_pixels=max_pixels)
    except UnreadableImage as error:
        reason = str(error).removeprefix("'<bytes>' ")
        return File(digest, 0, 0, f"unreadable: {reason}")
    blank = float(np.ptp(radiograph.pixels)) < _BLANK
    return File(
        digest,
        radiograph.width,
        radiograph.height,
        reason=BLANK if blank else "",
        view=radiograph.view or "",
        modality=radiograph.metadata.get("modality", ""),
        # All blank images look alike: they would be copies of each other.
        fingerprint=b"" if blank else fingerprint(radiograph.pixels).tobytes(),
        flags="\n".join(radiograph.flags),
    )


def altered(cohort: pd.DataFrame, data_root: Path) -> list[str]:
    """Return a line for each file that is gone or was replaced since the cohort was built.

    Args:
        cohort: as `schema.read` returns it; rows without a hash had no readable file.
        data_root: folder that its paths are relative to.
    """
    rows = cohort[cohort["sha256"] != ""]
    lines = []
    for row in track(rows.itertuples(), "comparing files with the cohort", len(rows)):
        path = data_root / row.path
        try:
            present = sha256_of(path) if path.is_file() else "no file"
        except OSError as error:
            present = f"cannot be read: {error.strerror}"
        if present != row.sha256:
            lines.append(
                f"image '{one_line(row.image_id)}': '{one_line(str(path))}' is not the file that "
                f"the cohort was built on (sha256 {row.sha256:.12} then, {present:.12} now)"
            )
    return lines


def fingerprints(files: Iterable[File]) -> Fingerprint:
    """Return the fingerprints (n, 64, 64) of files that all have one."""
    return np.frombuffer(b"".join(file.fingerprint for file in files), np.uint8).reshape(-1, 64, 64)


def as_unicode(name: str) -> str:
    """Return a file name with bytes that are no Unicode escaped: no CSV or database holds them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class Inventory:
    """Answers for many files, kept in `database`; None keeps them for this process only.

    Raises:
        CohortError: `database` is no database of ours, or may not be written.
    """

    def __init__(self, database: Path | None = None, *, max_pixels: int = MAX_PIXELS) -> None:
        self._database, self._max_pixels = database, max_pixels
        with _sqlite_errors(database):
            if database is not None:
                database.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(database or ":memory:")
            if self._rows.execute("PRAGMA user_version").fetchone() != (_VERSION,):
                self._rows.execute("DROP TABLE IF EXISTS files")
                self._rows.execute(f"PRAGMA user_version = {_VERSION}")
            self._rows.execute(_TABLE)

    def close(self) -> None:
        """Close the database; what it holds stays."""
        self._rows.close()

    def take(self, paths: Sequence[Path], *, processes: int = 1) -> list[File]:
        """Return one answer a path, in order; only files not known yet are read.

        Args:
            paths: of regular files or anything else.
            processes: how many read at a time; under 200 files one is faster.

        Raises:
            CohortError: the database may not be written, or is damaged.
        """
        with _sqlite_errors(self._database):
            return self._taken(paths, processes)

    def _taken(self, paths: Sequence[Path], processes: int) -> list[File]:
        stamps = {str(path): self._stamp(path) for path in paths}
        answers = {str(path): file for path in paths if (file := self._stored(path, stamps))}
        unknown = [path for path in map(Path, stamps) if str(path) not in answers]
        try:
            for done, (path, file) in enumerate(_examined(unknown, self._max_pixels, processes), 1):
                answers[str(path)] = file
                self._keep(path, stamps[str(path)], file)
                if done % _SAVED == 0:
                    self._rows.commit()
                report("reading radiographs", len(paths) - len(unknown) + done, len(paths))
        finally:
            self._rows.commit()
        return [answers[str(path)] for path in paths]

    def _stamp(self, path: Path) -> str:
        try:
            status = path.stat()
        except (OSError, ValueError):
            return ""
        return f"{_VERSION} {self._max_pixels} {status.st_size} {status.st_mtime_ns}"

    def _stored(self, path: Path, stamps: dict[str, str]) -> File | None:
        key = (as_unicode(str(path)),)
        row = self._rows.execute("SELECT * FROM files WHERE path = ?", key).fetchone()
        return File(*row[2:]) if row and row[1] == stamps[str(path)] else None

    def _keep(self, path: Path, stamp: str, file: File) -> None:
        row = (as_unicode(str(path)), stamp, *file)
        self._rows.execute("INSERT OR REPLACE INTO files VALUES (?,?,?,?,?,?,?,?,?,?)", row)


@contextmanager
def _sqlite_errors(database: Path | None) -> Iterator[None]:
    """Turn errors of SQLite into ours: a file that is fine must not be deleted."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise CohortError(
            f"'{database}' cannot be written ({error}); expected a folder that may be written and "
            "no other build in it: end that, or name another --out"
        ) from error
    except sqlite3.DatabaseError as error:
        raise CohortError(f"'{database}' is not a list of files ({error}); delete it") from error


def _examined(
    paths: Sequence[Path], max_pixels: int, processes: int
) -> Iterator[tuple[Path, File]]:
    if processes < 2 or len(paths) < _WORTH:
        yield from ((path, examine(path, max_pixels)) for path in paths)
        return
    waiting = iter(paths)
    while chunks := [c for _ in range(_ROUND) if (c := list(islice(waiting, _CHUNK)))]:
        done = 0
        try:
            with _pool(processes) as pool:
                for files in pool.map(_examine_all, chunks, repeat(max_pixels)):
                    yield from zip(chunks[done], files, strict=True)
                    done += 1
        except BrokenProcessPool:
            # A decoder that crashes takes its process along: find the file, and go on.
            for chunk in chunks[done:]:
                yield from zip(chunk, _carefully(chunk, max_pixels), strict=True)


def _carefully(chunk: list[Path], max_pixels: int) -> list[File]:
    """Examine in a process of its own; if that dies, each file in one of its own."""
    try:
        with _pool(1) as pool:
            return pool.submit(_examine_all, chunk, max_pixels).result()
    except BrokenProcessPool:
        if len(chunk) == 1:
            return [File("", 0, 0, CRASHED)]
        return [_carefully([path], max_pixels)[0] for path in chunk]


def _examine_all(paths: Sequence[Path], max_pixels: int) -> list[File]:
    return [examine(path, max_pixels) for path in paths]


def _pool(processes: int) -> ProcessPoolExecutor:
    # Not forked: a fork of a process with threads in it (torch, ONNX Runtime) may hang.
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
