"""`predictions.csv`, written so that no row is lost, whatever ends the program.

Rows are appended to `predictions.csv.part`, which becomes `predictions.csv` when it is whole.
Beside it `predictions.csv.part.json` says what is being predicted, and with what; an interrupted
prediction is continued only where that is the same.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, get_args

from covid_cxr.errors import InputError
from covid_cxr.files import atomic_write
from covid_cxr.inference.entries import Entry
from covid_cxr.types import Prediction, Status

Value = str | int | float | bool | None
Start = Literal["continue", "resume", "restart"]

PREDICTIONS = "predictions.csv"
PART = f"{PREDICTIONS}.part"
RECORD = f"{PART}.json"
_BEFORE = ("file", "status", "message", "predicted_class")
_AFTER = ("threshold", "flags", "explanation", "explanation_fidelity", "model", "seconds")
_PROBABILITY = "probability_"


def table(predictions: Iterable[Prediction], classes: Sequence[str]) -> str:
    """Return predictions as CSV text, one row each, in the columns of the contract."""
    return _line(columns(classes)) + "".join(_row(one, classes) for one in predictions)


def read_table(path: Path) -> Iterator[Prediction]:
    """Yield the rows of a `predictions.csv`, numbers as rounded there, one at a time."""
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            yield _parsed(row)


class PredictionsFile:
    """A `predictions.csv` being written. Use it in a `with` block.

    Args:
        folder: where it lies; made where missing.
        classes: the model's.
        record: what is predicted and with what; compared with that of an unfinished file.
        entries: the files to answer, in order; compared with the rows of an unfinished file.
        start: "continue" an unfinished file where there is one, "resume" only that, or "restart".
        multiple: keep a multiple of so many rows of an unfinished file.

    Attributes:
        rows: that are written, and on disk.

    Raises:
        InputError: an unfinished file is of another record, or in use; nothing was changed.
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        classes: Sequence[str],
        record: Mapping[str, Value],
        entries: Iterable[Entry],
        *,
        start: Start = "continue",
        multiple: int = 1,
    ) -> None:
        self.part, self._folder, self._classes, self.rows = folder / PART, folder, classes, 0
        if start == "resume" and not (self.part.is_file() and self.part.stat().st_size):
            raise InputError(f"nothing to resume: there is no '{self.part}'; leave --resume out")
        folder.mkdir(parents=True, exist_ok=True)
        self._stream = self._open()
        try:
            if start != "restart" and os.fstat(self._stream.fileno()).st_size:
                _check_record(folder, record)
                self._continue(entries, multiple)
            else:
                self._begin(record)
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> PredictionsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stream.close()

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Add rows; they are on disk when this returns.

        Raises:
            OSError: the disk is full; the rows before are kept.
        """
        self._write("".join(_row(prediction, self._classes) for prediction in predictions))
        self.rows += len(predictions)

    def finish(self) -> Path:
        """Give the file its name, in place of an earlier one, and return that."""
        path = self._folder / PREDICTIONS
        if os.name == "nt":  # which renames no open file
            self._stream.close()
        self.part.replace(path)
        (self._folder / RECORD).unlink(missing_ok=True)
        _sync_folder(self._folder)
        return path

    def _open(self) -> io.FileIO:
        """Open the unfinished file, locked so that no other process writes it.

        Raises:
            InputError: another process does, or has just finished it.
        """
        stream = self.part.open("a+b", buffering=0)  # so that a failed write leaves none behind
        try:
            _lock(stream)
            if not os.path.samestat(os.fstat(stream.fileno()), self.part.stat()):
                raise FileNotFoundError  # renamed between the opening and the lock
        except (BlockingIOError, FileNotFoundError) as error:
            stream.close()
            raise InputError(
                f"'{self.part}' is being written by another process; wait for it, or name "
                "another --out"
            ) from error
        return stream

    def _begin(self, record: Mapping[str, Value]) -> None:
        self._stream.truncate(0)
        atomic_write(self._folder / RECORD, json.dumps(record, indent=2) + "\n")
        self._write(_line(columns(self._classes)))
        _sync_folder(self._folder)

    def _continue(self, entries: Iterable[Entry], multiple: int) -> None:
        """Keep the rows that are whole and drop what a killed process left half written."""
        rest, header, end = iter(entries), len(_line(columns(self._classes)).encode()), 0
        for number, row in enumerate(_whole_rows(self.part, len(columns(self._classes)))):
            if number:  # below the header
                entry = next(rest, None)
                if entry is None or entry.file != row.fields[0]:
                    listed = "no more file" if entry is None else f"'{entry.file}'"
                    raise InputError(
                        f"row {number} of '{self.part}' is for '{row.fields[0]}', the files named "
                        f"have {listed} there; --restart begins anew"
                    )
            if number % multiple == 0:
                self.rows, end = number, row.end
        self._stream.truncate(end)
        if end < header:
            self._write(_line(columns(self._classes)))

    def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        try:
            while data:
                data = data[self._stream.write(data) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.part)) from error


class _Row(NamedTuple):
    fields: list[str]
    end: int  # in bytes from the start of the file


def _whole_rows(path: Path, width: int) -> Iterator[_Row]:
    """Yield rows up to the first that is torn: no end of line, no text, or not `width` fields."""
    row, end = b"", 0
    with path.open("rb") as stream:
        for line in stream:
            row += line
            if row.count(b'"') % 2 and line.endswith(b"\n"):
                continue  # the line ends within a name
            try:
                (fields,) = csv.reader(io.StringIO(row.decode(), newline=""), strict=True)
            except (ValueError, csv.Error):
                return
            if len(fields) != width or not line.endswith(b"\n"):
                return
            end += len(row)
            yield _Row(fields, end)
            row = b""


def _check_record(folder: Path, record: Mapping[str, Value]) -> None:
    """Check that an unfinished file is of this record.

    Raises:
        InputError: it differs, or cannot be read; the message names the first that differs.
    """
    path = folder / RECORD
    anew = "--restart begins anew and drops the rows that are done"
    try:
        before = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{folder / PART}' cannot be continued, as '{path}' cannot be read; {anew}"
        ) from error
    for name in {**before, **record}:
        then, now = before.get(name), record.get(name)
        if then != now:
            raise InputError(
                f"'{folder}' holds an unfinished prediction with {name} = {then!s:.16}, now it is "
                f"{now!s:.16}; repeat the command that began it, name another --out, or {anew}"
            )


def _lock(stream: io.FileIO) -> None:
    """Lock a file until it is closed, where system and file system can.

    Raises:
        BlockingIOError: another process has locked it.
    """
    try:
        import fcntl
    except ImportError:  # on Windows, where two processes are not kept from writing one table
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks, as some on a network
        pass


def _sync_folder(folder: Path) -> None:
    """Let a new name outlive a power cut."""
    if os.name == "nt":  # which opens no folder
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def columns(classes: Sequence[str]) -> list[str]:
    """Return the names of the columns, for a model's classes."""
    return [*_BEFORE, *(f"{_PROBABILITY}{name}" for name in classes), *_AFTER]


def _row(row: Prediction, classes: Sequence[str]) -> str:
    probabilities = [_number(row.probabilities.get(name)) for name in classes]
    answer = (row.file, row.status, row.message, row.predicted_class, *probabilities)
    flags = "; ".join(flag.replace(";", ",") for flag in row.flags)
    fidelity = _number(row.explanation_fidelity)
    more = (_number(row.threshold), flags, row.explanation, fidelity, row.model)
    return _line([*answer, *more, f"{row.seconds:.3f}"])


def _parsed(row: Mapping[str, str]) -> Prediction:
    (status,) = (name for name in get_args(Status) if name == row["status"])
    scores = {name: p for name, p in row.items() if name.startswith(_PROBABILITY) and p}
    return Prediction(
        file=row["file"],
        status=status,
        message=row["message"],
        predicted_class=row["predicted_class"],
        probabilities={name.removeprefix(_PROBABILITY): float(p) for name, p in scores.items()},
        threshold=_parsed_number(row["threshold"]),
        flags=tuple(row["flags"].split("; ")) if row["flags"] else (),
        explanation=row["explanation"],
        explanation_fidelity=_parsed_number(row["explanation_fidelity"]),
        model=row["model"],
        seconds=float(row["seconds"]),
    )


def _line(fields: Sequence[str]) -> str:
    """Return one line of CSV; the writer quotes what holds a character of its own line end."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(fields)
    return buffer.getvalue()[:-2] + "\n"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _parsed_number(text: str) -> float | None:
    return float(text) if text else None
