"""Any number of files and folders in, `predictions.csv` and overlays out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_cxr import __version__, explain
from covid_cxr.errors import InputError
from covid_cxr.explain.rendering.montage import ON_A_PAGE
from covid_cxr.inference.answers import EXPLANATIONS, Work, answers_of
from covid_cxr.inference.entries import Entry, Listing, Source, expand, listing
from covid_cxr.inference.explaining import ExplainSettings, check_method
from covid_cxr.inference.predictions_csv import (
    PART,
    PREDICTIONS,
    RECORD,
    PredictionsFile,
    Start,
    Value,
)
from covid_cxr.inference.predictor import Predictor
from covid_cxr.types import FloatArray, Prediction

if TYPE_CHECKING:  # a batch of files needs no tables
    import pandas as pd


def predict_to(
    out: Path,
    predictor: Predictor,
    paths: Sequence[Source],
    *,
    settings: ExplainSettings | None = None,
    start: Start = "continue",
) -> Path:
    """Answer everything in `paths` and write `out/predictions.csv` and `out/explanations/`.

    Rows are on disk before the next files are begun, so that nothing is lost if the program is
    interrupted or killed, and memory does not grow with the number of files.

    Args:
        out: made where missing; an existing CSV is replaced when all files are answered.
        predictor: the model.
        paths: files and folders; our own CSV and pictures in `out` are left out.
        settings: how every prediction is explained; None writes no pictures.
        start: "continue" an interrupted prediction in `out` where there is one, "resume" only
            that, or "restart".

    Returns:
        The path of the CSV; `predictions_csv.read_table` reads its rows.

    Raises:
        InputError: `out` is a file; there is nothing to answer; an interrupted prediction in `out`
            is of other files, settings or model.
        UnknownName: no such explainer; raised before any file is read.
        OSError: the disk is full; what was answered is kept.
        KeyboardInterrupt: likewise; it says how many files were answered.
    """
    if settings:
        check_method(predictor.bundle, settings.method)
    if out.exists() and not out.is_dir():
        raise InputError(f"--out '{out}' is a file; name a folder")
    own = [out / name for name in (PREDICTIONS, PART, RECORD, EXPLANATIONS)]
    listed, multiple = listing(paths, own), ON_A_PAGE if settings and settings.montage else 1
    record, files = _record(predictor, listed, settings), expand(paths, own)
    with PredictionsFile(
        out, predictor.classes, record, files, start=start, multiple=multiple
    ) as file:
        rest = islice(expand(paths, own), file.rows, None)
        work = Work(predictor, settings, out / EXPLANATIONS)
        batches = answers_of(work, rest, listed.files, done=file.rows)
        try:
            with closing(batches):
                for answers in batches:
                    file.append([answer.prediction for answer in answers])
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_so_far(file, listed)) from None
        except OSError as error:
            reason = f"{error.strerror}; {_so_far(file, listed)}"
            raise OSError(error.errno, reason, error.filename) from error
        return file.finish()


def predict(
    predictor: Predictor,
    entries: Collection[Entry],
    settings: ExplainSettings | None = None,
    pictures: Path = Path(EXPLANATIONS),
    description: str = "predicting",
) -> Iterator[Prediction]:
    """Yield one prediction an entry, in order; a file that cannot be read gives an error row."""
    work = Work(predictor, settings, pictures)
    batches = answers_of(work, entries, len(entries), description)
    for answer in chain.from_iterable(batches):
        yield answer.prediction


def predict_cohort(
    predictor: Predictor, rows: pd.DataFrame, data_root: Path, description: str = "predicting"
) -> list[Prediction]:
    """Answer `rows` of a cohort as the shipped system would; `file` is the path in the cohort.

    Raises:
        AlteredImage: a file has been replaced since the cohort was built.
    """
    return list(predict(predictor, _entries(rows, data_root), description=description))


def embed_cohort(
    predictor: Predictor, rows: pd.DataFrame, data_root: Path
) -> tuple[list[Prediction], FloatArray]:
    """Answer `rows` of a cohort as `predict_cohort` does, and return the embeddings beside.

    Returns:
        The predictions, in order, and float32 (N, E), a row of NaN where no image could be read.

    Raises:
        AlteredImage: a file has been replaced since the cohort was built.
    """
    entries = _entries(rows, data_root)
    none = np.full(predictor.bundle.manifest.embedding_size, np.nan, dtype=np.float32)
    answers = list(chain.from_iterable(answers_of(Work(predictor), entries, len(entries))))
    embeddings = [none if one.embedding is None else one.embedding for one in answers]
    return [one.prediction for one in answers], np.stack([none, *embeddings])[1:]


def _entries(rows: pd.DataFrame, data_root: Path) -> list[Entry]:
    pairs = zip(rows["path"], rows["sha256"], strict=True)
    return [Entry(path, data_root / path, sha256) for path, sha256 in pairs]


def _record(
    predictor: Predictor, listed: Listing, settings: ExplainSettings | None
) -> dict[str, Value]:
    """Return all that the rows and pictures of a batch depend on, flat and ready for JSON."""
    record: dict[str, Value] = {
        "version": __version__,
        "model": predictor.bundle.id,
        "number of files": listed.files,
        "SHA-256 of names, sizes and dates": listed.sha256,
        "for processing": predictor.for_processing,
        "method": settings.method if settings else None,
    }
    if settings:
        options = settings.options or explain.settings_of(settings.method)()
        own = _flat(options.model_dump(mode="json"))
        record |= {f"{settings.method} {name}": value for name, value in own}
        record |= dict(_flat(asdict(replace(settings, options=None, load_image=None))))
        del record["options"]
        record["similar cases"] = settings.load_image is not None
    return record


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Value]]:
    """Yield the entries of nested dictionaries under the names of their innermost keys."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name.replace("_", " "), value


def _so_far(file: PredictionsFile, listed: Listing) -> str:
    return f"{file.rows} of {listed.files} files are answered, the same command continues"
