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
from covid_cxr.inference.explaining import ExplainSettings, Inference, caption_of, write_explanation
from covid_cxr.inference.predictor import Predictor
from covid_cxr.progress import track
from covid_cxr.types import FloatArray, Prediction, Radiograph

Answer = Prediction | Inference  # a file that cannot be read has a prediction alone
PREDICTIONS, EXPLANATIONS = "predictions.csv", "explanations"
# Images that go through a network together: as fast an image as 16 on one core, and every answer
# is the same bit for bit whatever the number.
BATCH = 4
_WORKERS = 2  # batches being answered, or predictions being explained, at a time
_AHEAD = 4  # batches that are begun before the first is asked for


class Entry(NamedTuple):
    """One file to answer: how its row calls it, and where it lies."""

    file: str
    path: Path


def expand(paths: Iterable[Path | str]) -> list[Entry]:
    """Return one entry for every file named, and for all that lies below every folder named.

    Folders are read recursively and sorted, hidden files included; whatever is no folder
    (picture, text, FIFO, broken link) is an entry, and so is a folder that cannot be listed.
    """
    entries: list[Entry] = []
    for path in map(Path, paths):
        files = sorted(_below(path)) if path.is_dir() else [path]
        entries += [Entry(_printable(file), file) for file in files]
    return entries


def predict_to(
    out: Path,
    predictor: Predictor,
    paths: Sequence[Path | str],
    *,
    settings: ExplainSettings | None = None,
) -> list[Prediction]:
    """Answer everything in `paths` and write `out/predictions.csv` and `out/explanations/`.

    Args:
        out: made where missing; an existing CSV is replaced when all files are answered.
        predictor: the model.
        paths: files and folders; our own CSV and pictures in `out` are left out.
        settings: how every prediction is explained; None writes no pictures.

    Raises:
        InputError: `out` is a file.
        UnknownName: no such explainer (found before any file is read).
    """
    if settings:
        explain.get(settings.method)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out '{out}' is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in expand(paths) if not _is_ours(entry.path, out)]
    predictions = list(predict(predictor, entries, settings, out / EXPLANATIONS))
    atomic_write(out / PREDICTIONS, table(predictions, predictor.classes))
    return predictions


def predict(
    predictor: Predictor,
    entries: Sequence[Entry],
    settings: ExplainSettings | None = None,
    pictures: Path = Path(EXPLANATIONS),
    description: str = "predicting",
) -> Iterator[Prediction]:
    """Yield one prediction an entry, in order; a file that cannot be read gives an error row."""
    montage = None
    if settings and settings.montage:
        montage = MontageWriter(pictures, settings.style)
    # Two at a time: while one image's regions are cut or its picture is drawn, the network answers
    # for another. What comes out is the same.
    with ThreadPoolExecutor(_WORKERS) as pool:
        explain_one = partial(_explained, predictor, settings, pictures)
        answers = (
            one for batch in _answers(predictor, entries) for one in pool.map(explain_one, batch)
        )
        for prediction, tile in track(answers, description, len(entries)):
            if montage:
                montage.add(tile)
            yield prediction
    if montage:
        montage.close()


def predict_cohort(
    predictor: Predictor, paths: Iterable[str], data_root: Path, description: str = "predicting"
) -> list[Prediction]:
    """Answer a cohort's `paths` as the shipped system would; `file` is the path in the cohort."""
    entries = [Entry(path, data_root / path) for path in paths]
    return list(predict(predictor, entries, description=description))


def embed_cohort(
    predictor: Predictor, paths: Iterable[str], data_root: Path
) -> tuple[list[Prediction], FloatArray]:
    """Answer a cohort's `paths` as `predict_cohort` does, and return the embeddings beside.

    Returns:
        The predictions, in order, and float32 (N, E), a row of NaN where no image could be read.
    """
    entries = [Entry(path, data_root / path) for path in paths]
    none = np.full(predictor.bundle.manifest.embedding_size, np.nan, dtype=np.float32)
    answers = (answer for batch in _answers(predictor, entries) for answer in batch)
    read = list(track(answers, "predicting", len(entries)))
    predictions = [one.prediction if isinstance(one, Inference) else one for one in read]
    embeddings = [one.embedding if isinstance(one, Inference) else none for one in read]
    return predictions, np.stack([none, *embeddings])[1:]


def table(predictions: Iterable[Prediction], classes: Sequence[str]) -> str:
    """Return predictions as CSV text, one row each, in the columns of the contract."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_columns(classes))
    for row in predictions:
        probabilities = [_number(row.probabilities.get(name)) for name in classes]
        answer = (row.file, row.status, row.message, row.predicted_class, *probabilities)
        flags, fidelity = "; ".join(row.flags), _number(row.explanation_fidelity)
        more = (_number(row.threshold), flags, row.explanation, fidelity, row.model)
        writer.writerow([*answer, *more, f"{row.seconds:.3f}"])
    return buffer.getvalue()


def _columns(classes: Sequence[str]) -> list[str]:
    return [
        *("file", "status", "message", "predicted_class"),
        *(f"probability_{name}" for name in classes),
        *("threshold", "flags", "explanation", "explanation_fidelity", "model", "seconds"),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def _answers(predictor: Predictor, entries: Sequence[Entry]) -> Iterator[list[Answer]]:
    """Yield what `_answer` returns for one batch after the other.

    Batches are begun ahead, two at a time where there are threads for it: one is read and
    prepared while a network works on another.
    """
    begun: deque[Future[list[Answer]]] = deque()
    with ThreadPoolExecutor(min(_WORKERS, predictor.threads or _WORKERS)) as pool:
        for start in range(0, len(entries), BATCH):
            if len(begun) == _AHEAD:
                yield begun.popleft().result()
            begun.append(pool.submit(_answer, predictor, entries[start : start + BATCH]))
        while begun:
            yield begun.popleft().result()


def _answer(predictor: Predictor, entries: Sequence[Entry]) -> list[Answer]:
    """Return each radiograph's inference, or the error row of a file that is none, in order."""
    read = [_read(predictor, entry) for entry in entries]
    radiographs = [one for one, _ in read if isinstance(one, Radiograph)]
    started = time.perf_counter()
    inferences = iter(predictor.infer(radiographs) if radiographs else ())
    share = (time.perf_counter() - started) / max(1, len(radiographs))
    answers: list[Answer] = []
    for (one, seconds), entry in zip(read, entries, strict=True):
        if isinstance(one, Prediction):
            answers.append(one)
            continue
        inference = next(inferences)
        own = replace(inference.prediction, file=entry.file, seconds=seconds + share)
        answers.append(replace(inference, prediction=own))
    return answers


def _read(predictor: Predictor, entry: Entry) -> tuple[Radiograph | Prediction, float]:
    """Return the radiograph, or an error row where there is none, and the seconds it took."""
    started = time.perf_counter()
    try:
        return predictor.read(entry.path), time.perf_counter() - started
    except UnreadableImage as error:
        seconds, model = time.perf_counter() - started, predictor.bundle.id
        return Prediction(entry.file, "error", str(error), model=model, seconds=seconds), seconds


def _explained(
    predictor: Predictor, settings: ExplainSettings | None, pictures: Path, answer: Answer
) -> tuple[Prediction, Tile]:
    """Return the row and the tile of one entry, explained where there is something to explain."""
    if isinstance(answer, Prediction):
        return answer, Tile(None, None, Caption(0.0, file=answer.file, flags=(answer.message,)))
    prediction, explanation = answer.prediction, None
    if settings and prediction.status == "ok":
        started = time.perf_counter()
        explained = predictor.explain(answer, settings)
        prediction, explanation = explained.prediction, explained.explanation
        if explanation:
            stem = pictures / picture_stem(prediction.file)
            similar = predictor.similar_cases(answer.embedding)
            prediction = write_explanation(stem, answer, explained, settings, similar)
        seconds = prediction.seconds + time.perf_counter() - started
        prediction = replace(prediction, seconds=seconds)
    caption, label = caption_of(prediction), prediction.predicted_class
    return prediction, Tile(answer.radiograph.pixels, explanation, caption, label)


def picture_stem(file: str) -> str:
    """Return a file name for the picture of `file`: readable, safe, and its own.

    Two files of one name in different folders get different pictures, and a second run over the
    same files replaces its own.

    >>> picture_stem("ward 3/chest.png")
    'chest-b07651d0'
    """
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(file).stem).strip("._-")[:60]
    return f"{readable or 'image'}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"


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
    """Tell whether `path` was written by this run or the last."""
    resolved, ours = path.parent.resolve() / path.name, out.resolve()
    return resolved == ours / PREDICTIONS or resolved.is_relative_to(ours / EXPLANATIONS)
