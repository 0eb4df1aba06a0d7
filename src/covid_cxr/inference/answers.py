"""Files -> answers, a batch at a time: two batches at once, few files in memory, rows in order."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from covid_cxr.errors import UnreadableImage
from covid_cxr.explain.rendering.montage import ON_A_PAGE, MontageWriter, Tile, cell_of
from covid_cxr.explain.rendering.page import Caption
from covid_cxr.imaging.page import Cell
from covid_cxr.inference.entries import Entry
from covid_cxr.inference.explaining import (
    NO_EXPLANATION,
    Explained,
    ExplainSettings,
    Inference,
    caption_of,
    flagged,
    picture_stem,
    write_explanation,
)
from covid_cxr.inference.predictor import Predictor, ReducedRadiograph
from covid_cxr.progress import report
from covid_cxr.types import FloatArray, Prediction

EXPLANATIONS = "explanations"
# Images that go through a network together: as fast an image as 16 on one core, and every answer
# is the same bit for bit whatever the number.
BATCH = 4
_WORKERS = 2  # batches at a time: so many files are decoded at once
_AHEAD = 4  # batches that are begun before the first is asked for
# A batch ends before it keeps more than so many pixels; they are few unless the bundle's
# preprocessing needs the radiograph at its own size.
_MOST_PIXELS = 16_000_000
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Answer(NamedTuple):
    """What a batch keeps of one file.

    Attributes:
        prediction: its row.
        embedding: float32 (E,); None where it could not be read.
        cell: its place on a montage; None where none is drawn.
    """

    prediction: Prediction
    embedding: FloatArray | None = None
    cell: Cell | None = None


class Work(NamedTuple):
    """What is done with every file.

    Attributes:
        predictor: the model.
        settings: how predictions are explained; None explains none.
        pictures: folder of the explanations.
    """

    predictor: Predictor
    settings: ExplainSettings | None = None
    pictures: Path = Path(EXPLANATIONS)


def answers_of(
    work: Work,
    entries: Iterable[Entry],
    total: int,
    description: str = "predicting",
    *,
    done: int = 0,
) -> Generator[list[Answer], None, None]:
    """Yield the answers of one batch after the other, in order; report them when asked for more.

    Args:
        work: what is done with every file.
        entries: the files that are left of `total` after the first `done`.
        total: for the report of progress.
        description: likewise.
        done: files answered before; whole pages, where montages are drawn.
    """
    settings, montage = work.settings, None
    if settings and settings.montage:
        montage = MontageWriter(work.pictures, settings.style, number=done // ON_A_PAGE + 1)
    # While a radiograph is explained its pixels are kept to be drawn, so that one is a batch.
    answer, size = (_explain, 1) if settings else (_infer, BATCH)
    for answers in _begun_ahead(partial(answer, work), entries, size, work.predictor.threads):
        if montage:
            last = total - done - 1
            yield [_on_montage(montage, one, i == last) for i, one in enumerate(answers)]
        else:
            yield answers
        for step in range(len(answers)):
            report(description, done + step + 1, total)
        done += len(answers)
    if montage:  # fewer files than were listed
        montage.close()


def _begun_ahead(
    answer: Callable[[Sequence[Entry]], list[Answer]],
    entries: Iterable[Entry],
    size: int,
    threads: int | None,
) -> Iterator[list[Answer]]:
    """Yield what `answer` returns for batches of `size`, in order.

    Batches are begun ahead, two at a time where there are threads for it: one is read, prepared or
    drawn while a network works on another. What comes out is the same.
    """
    begun: deque[Future[list[Answer]]] = deque()
    rest = iter(entries)
    pool = ThreadPoolExecutor(min(_WORKERS, threads or _WORKERS))
    try:
        while batch := list(islice(rest, size)):
            if len(begun) == _AHEAD:
                yield begun.popleft().result()
            begun.append(pool.submit(answer, batch))
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class _Read(NamedTuple):
    """A file that was read, and how long that took: reduced, or an error row."""

    entry: Entry
    radiograph: ReducedRadiograph | Prediction
    seconds: float


def _infer(work: Work, entries: Sequence[Entry]) -> list[Answer]:
    """Return each file's answer, in order, keeping no radiograph at its own size for long."""
    answers: list[Answer] = []
    read: list[_Read] = []
    for entry in entries:
        read.append(_read(work.predictor, entry))
        if sum(map(_pixels, read)) > _MOST_PIXELS:
            answers += _infer_read(work.predictor, read)
            read.clear()
    return answers + _infer_read(work.predictor, read)


def _infer_read(predictor: Predictor, read: Sequence[_Read]) -> list[Answer]:
    radiographs = [one.radiograph for one in read if isinstance(one.radiograph, ReducedRadiograph)]
    started = time.perf_counter()
    inferences = iter(predictor.infer_reduced(radiographs))
    share = (time.perf_counter() - started) / max(1, len(radiographs))
    answers: list[Answer] = []
    for entry, radiograph, seconds in read:
        if isinstance(radiograph, Prediction):
            answers.append(Answer(radiograph))
            continue
        inference = next(inferences)
        own = replace(inference.prediction, file=entry.file, seconds=seconds + share)
        answers.append(Answer(own, inference.embedding))
    return answers


def _read(predictor: Predictor, entry: Entry) -> _Read:
    started = time.perf_counter()
    try:
        radiograph = predictor.reduce(predictor.read(entry.source, entry.sha256))
    except UnreadableImage as error:
        return _Read(entry, _error_row(predictor, entry, error, started), 0.0)
    return _Read(entry, radiograph, time.perf_counter() - started)


def _error_row(
    predictor: Predictor, entry: Entry, error: UnreadableImage, started: float
) -> Prediction:
    seconds, model = time.perf_counter() - started, predictor.bundle.id
    return Prediction(entry.file, "error", str(error), model=model, seconds=seconds)


def _pixels(read: _Read) -> int:
    """Return how many pixels are kept of a file."""
    radiograph = read.radiograph
    return 0 if isinstance(radiograph, Prediction) else radiograph.pixels.pixels.size


def _explain(work: Work, entries: Sequence[Entry]) -> list[Answer]:
    """Return each file's answer, explained where there is something to explain."""
    return [_explain_one(work, entry) for entry in entries]


def _explain_one(work: Work, entry: Entry) -> Answer:
    predictor, settings, started = work.predictor, work.settings, time.perf_counter()
    assert settings is not None
    try:
        radiograph = predictor.read(entry.source, entry.sha256)
    except UnreadableImage as error:
        row = _error_row(predictor, entry, error, started)
        caption = Caption(0.0, file=entry.file, flags=(row.message,))
        return Answer(row, cell=_cell(settings, Tile(None, None, caption)))
    (inference,) = predictor.infer([radiograph])
    inference = replace(inference, prediction=replace(inference.prediction, file=entry.file))
    explained = Explained(inference.prediction)
    if inference.prediction.status == "ok":
        explained = predictor.explain_inference(inference, settings)
    prediction = explained.prediction
    if explained.explanation:
        prediction = _write(work, radiograph.pixels, inference, explained)
    prediction = replace(prediction, seconds=time.perf_counter() - started)
    caption, label = caption_of(prediction), prediction.predicted_class
    tile = Tile(radiograph.pixels, explained.explanation, caption, label)
    return Answer(prediction, inference.embedding, _cell(settings, tile))


def _write(
    work: Work, pixels: FloatArray, inference: Inference, explained: Explained
) -> Prediction:
    """Write the picture and its JSON; where they cannot be, the row says so."""
    assert work.settings is not None
    stem = work.pictures / picture_stem(explained.prediction.file)
    similar = work.predictor.similar_cases(inference.embedding)
    try:
        return write_explanation(stem, pixels, explained, work.settings, similar)
    except OSError as error:
        prediction = flagged(explained.prediction, f"{NO_EXPLANATION}: picture not written")
        return _with_message(prediction, error)


def _cell(settings: ExplainSettings, tile: Tile) -> Cell | None:
    return cell_of(tile, settings.style) if settings.montage else None


def _on_montage(montage: MontageWriter, answer: Answer, is_last: bool) -> Answer:
    """Add an answer to its page; where a full page cannot be written, its last row says so."""
    assert answer.cell is not None
    try:
        montage.add_cell(answer.cell)
        if is_last:
            montage.close()
    except OSError as error:
        return answer._replace(prediction=_with_message(answer.prediction, error))
    return answer


def _with_message(prediction: Prediction, error: OSError) -> Prediction:
    """Return the row that says what could not be written.

    Raises:
        OSError: the disk is full. Going on would leave all further pictures out; after room was
            made, the same command continues with this one.
    """
    if error.errno in _FULL:
        raise error
    message = f"'{error.filename}' cannot be written: {error.strerror}"
    return replace(prediction, message="; ".join(filter(None, (prediction.message, message))))
