"""Any number of files and folders in, `predictions.csv` and overlays out."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from covid_cxr import explain
from covid_cxr.errors import InputError, UnreadableImage
from covid_cxr.explain.rendering.montage import MontageWriter, Tile
from covid_cxr.explain.rendering.page import Caption
from covid_cxr.files import atomic_write
from covid_cxr.inference.explaining import Answered, How, explained
from covid_cxr.inference.inputs import Prepared
from covid_cxr.inference.predictor import Predictor
from covid_cxr.progress import report
from covid_cxr.types import FloatArray, Prediction, Radiograph

PREDICTIONS, EXPLANATIONS = "predictions.csv", "explanations"
# Films that go through a network together: as fast a film as 16 on one core, and every answer is
# the same bit for bit whatever the number.
BATCH = 4
_AT_A_TIME = 2  # batches being answered, or films being explained
_AHEAD = 4  # batches that are begun before the first is asked for


class Entry(NamedTuple):
    """One file to answer: how its row calls it, and where it lies."""

    file: str
    path: Path


class _Film(NamedTuple):
    entry: Entry
    radiograph: Radiograph
    seconds: float  # spent reading


def expand(paths: Iterable[Path | str]) -> list[Entry]:
    """Return one entry for every file named, and for all that lies below every folder named.

    Folders are read recursively and sorted, hidden files included; whatever is no folder
    (picture, text, FIFO, broken link) is an entry, and so is a folder that cannot be listed.
    """
    entries: list[Entry] = []
    for path in map(Path, paths):
        is_folder = path.is_dir()
        found = sorted(_below(path)) if is_folder else [path]
        entries += [Entry(_printable(each), each) for each in found]
    return entries


def predict_to(
    out: Path,
    predictor: Predictor,
    paths: Sequence[Path | str],
    *,
    how: How | None = None,
) -> list[Prediction]:
    """Answer everything in `paths` and write `out/predictions.csv` and `out/explanations/`.

    Args:
        out: made where missing; an existing CSV is replaced when all files are answered.
        predictor: the model.
        paths: files and folders; our own CSV and pictures in `out` are left out.
        how: explain every row with a prediction, and how; None writes no pictures.

    Raises:
        InputError: `out` is a file.
        UnknownName: no such explainer (found before any file is read).
    """
    if how:
        explain.get(how.method)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out '{out}' is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in expand(paths) if not _is_ours(entry.path, out)]
    predictions = list(predict(predictor, entries, how, out / EXPLANATIONS))
    atomic_write(out / PREDICTIONS, table(predictions, predictor.classes))
    return predictions


def predict(
    predictor: Predictor,
    entries: Sequence[Entry],
    how: How | None = None,
    pictures: Path = Path(EXPLANATIONS),
    description: str = "predicting",
) -> Iterator[Prediction]:
    """Yield one prediction an entry, in order; a file that cannot be read gives an error row."""
    done = 0
    montage = MontageWriter(pictures, how.style) if how and how.montage else None
    # Two at a time: while one film's regions are cut or its picture is drawn, the network answers
    # for another. What comes out is the same.
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        explain_one = partial(_explained, predictor, how, pictures)
        for answers in _answers(predictor, entries):
            for prediction, tile in pool.map(explain_one, answers):
                if montage:
                    montage.add(tile)
                yield prediction
                done += 1
                report(description, done, len(entries))
    if montage:
        montage.close()


def predict_cohort(
    predictor: Predictor,
    paths: Iterable[str],
    data_root: Path,
    description: str = "predicting",
) -> list[Prediction]:
    """Answer a cohort's `paths` as the shipped system would; `file` is the path in the cohort."""
    entries = [Entry(path, data_root / path) for path in paths]
    return list(predict(predictor, entries, description=description))


def embed_cohort(
    predictor: Predictor,
    paths: Iterable[str],
    data_root: Path,
) -> tuple[list[Prediction], FloatArray]:
    """Answer a cohort's `paths` as `predict_cohort` does, and return the embeddings beside.

    Returns:
        The predictions, in order, and float32 (N, E), a row of NaN where no film could be read.
    """
    entries = [Entry(path, data_root / path) for path in paths]
    nothing = np.full(predictor.bundle.manifest.embedding_size, np.nan, dtype=np.float32)
    predictions: list[Prediction] = []
    embeddings: list[FloatArray] = []
    for answers in _answers(predictor, entries):
        for found in answers:
            if isinstance(found, Answered):
                predictions.append(found.prediction)
                embeddings.append(found.embedding)
            else:
                predictions.append(found)
                embeddings.append(nothing)
        report("predicting", len(predictions), len(entries))
    return predictions, np.stack(embeddings) if embeddings else nothing[None][:0]


def table(predictions: Iterable[Prediction], classes: Sequence[str]) -> str:
    """Return predictions as CSV text, one row each, in the columns of the contract."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_columns(classes))
    for each in predictions:
        probabilities = [_number(each.probabilities.get(name)) for name in classes]
        answer = (each.file, each.status, each.message, each.predicted_class, *probabilities)
        remarks = (_number(each.threshold), "; ".join(each.flags), each.explanation)
        fidelity = _number(each.explanation_fidelity)
        writer.writerow([*answer, *remarks, fidelity, each.model, f"{each.seconds:.3f}"])
    return buffer.getvalue()


def _columns(classes: Sequence[str]) -> list[str]:
    return [
        *("file", "status", "message", "predicted_class"),
        *(f"probability_{name}" for name in classes),
        *("threshold", "flags", "explanation", "explanation_fidelity", "model", "seconds"),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _answers(
    predictor: Predictor, entries: Sequence[Entry]
) -> Iterator[list[Prediction | Answered]]:
    """Yield what `_answer` says of one batch after the other.

    Batches are begun ahead, two at a time where there are threads for it: one is read and
    prepared while a network looks at another.
    """
    begun: deque[Future[list[Prediction | Answered]]] = deque()
    at_a_time = min(_AT_A_TIME, predictor.threads or _AT_A_TIME)
    answering = predictor.halved if at_a_time > 1 and len(entries) > BATCH else predictor
    with ThreadPoolExecutor(at_a_time) as pool:
        for start in range(0, len(entries), BATCH):
            if len(begun) == _AHEAD:
                yield begun.popleft().result()
            begun.append(pool.submit(_answer, answering, entries[start : start + BATCH]))
        while begun:
            yield begun.popleft().result()


def _answer(predictor: Predictor, chunk: Sequence[Entry]) -> list[Prediction | Answered]:
    """Return a film with its prediction, or the row of what is no film, in order."""
    read = [_read(predictor, entry) for entry in chunk]
    films = [each for each in read if isinstance(each, _Film)]
    if not films:
        return [each for each in read if isinstance(each, Prediction)]
    started = time.perf_counter()
    gated = predictor.preparer.gate([film.radiograph.pixels for film in films])
    prepared = [each.film for each in gated]
    outputs = predictor.runtime.run(np.stack([each.image for each in prepared]))
    each_seconds = (time.perf_counter() - started) / len(films)
    judged = predictor.judge([film.radiograph for film in films], gated, outputs)
    answered = iter(zip(judged, prepared, outputs.embedding, strict=True))
    return [
        _answered(each, *next(answered), each_seconds) if isinstance(each, _Film) else each
        for each in read
    ]


def _answered(
    film: _Film, prediction: Prediction, prepared: Prepared, embedding: FloatArray, seconds: float
) -> Answered:
    own = replace(prediction, file=film.entry.file, seconds=film.seconds + seconds)
    return Answered(own, film.radiograph, prepared, embedding)


def _read(predictor: Predictor, entry: Entry) -> _Film | Prediction:
    started = time.perf_counter()
    try:
        radiograph = predictor.read(entry.path)
    except UnreadableImage as error:
        seconds = time.perf_counter() - started
        model = predictor.bundle.id
        return Prediction(entry.file, "error", str(error), model=model, seconds=seconds)
    return _Film(entry, radiograph, time.perf_counter() - started)


def _explained(
    predictor: Predictor, how: How | None, pictures: Path, found: Prediction | Answered
) -> tuple[Prediction, Tile]:
    """Return the row and the tile of one entry, explained where there is something to explain."""
    if isinstance(found, Prediction):
        return found, Tile(None, None, Caption(0.0, file=found.file, flags=(found.message,)))
    if how and found.prediction.status == "ok":
        return explained(predictor, found, pictures / picture_stem(found.prediction.file), how)
    beside = Caption(0.0, file=found.prediction.file, flags=found.prediction.flags)
    return found.prediction, Tile(found.radiograph.pixels, None, beside)


def picture_stem(file: str) -> str:
    """Return a file name for the picture of `file`: readable, safe, and its own.

    Two files of one name in different folders get different pictures, and a second run over the
    same files replaces its own.

    >>> picture_stem("ward 3/film.png")
    'film-23c1c531'
    """
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(file).stem).strip("._-")[:60]
    return f"{readable or 'film'}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"


def _below(folder: Path) -> Iterator[Path]:
    unlisted: list[Path] = []
    walk = os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename)))
    for parent, folders, files in walk:
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        yield from (Path(parent, name) for name in files + linked)
    yield from unlisted


def _printable(path: Path) -> str:
    """A name that is not Unicode is shown with its odd bytes escaped, so that CSV can hold it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_ours(path: Path, out: Path) -> bool:
    """Tell whether `path` is an answer of this run or the last, no question."""
    resolved, ours = path.parent.resolve() / path.name, out.resolve()
    return resolved == ours / PREDICTIONS or resolved.is_relative_to(ours / EXPLANATIONS)
