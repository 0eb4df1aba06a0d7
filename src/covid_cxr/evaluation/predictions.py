"""Predictions tables, joined with the truth of the cohort."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.errors import CohortError, InputError
from covid_cxr.results.scores import Counts
from covid_cxr.types import CLASSES, COVID, FINDINGS, Task, class_of

_COHORT_COLUMNS = ("path", "source", "patient_id", "finding", "view")
_STATUSES = {"ok", "abstained", "error"}


@dataclass(frozen=True)
class Cases:
    """Answered images (N) with their truth, as arrays.

    Attributes:
        classes: C names in order.
        labels: (N,) true class index.
        probabilities: (N, C).
        patients, sources: (N,) strings.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    patients: NDArray[np.object_]
    sources: NDArray[np.object_]

    @property
    def events(self) -> NDArray[np.bool_]:
        """(N,) whether the truth is COVID-19."""
        return np.equal(self.labels, self.classes.index(COVID))

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,) probability of COVID-19."""
        return self.probabilities[:, self.classes.index(COVID)]

    @property
    def both_classes(self) -> bool:
        """Whether there are cases with and without COVID-19."""
        return bool(self.events.any() and not self.events.all())

    @property
    def rarer(self) -> int:
        """How many images there are of the rarer of COVID-19 and the rest."""
        return int(min(self.events.sum(), (~self.events).sum()))

    @property
    def counts(self) -> Counts:
        """How many images, patients and images with COVID-19 there are."""
        return Counts(
            n=int(self.labels.size),
            patients=len(set(self.patients)),
            events=int(self.events.sum()),
        )

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Cases:
        """Return the cases at which `chosen` (N,) is true, or of these numbers."""
        names = ("labels", "probabilities", "patients", "sources")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


def read_predictions(path: Path | str) -> pd.DataFrame:
    """Read a `predictions.csv`.

    Raises:
        InputError: no such file, no table, a column missing, or a status that does not exist.
    """
    try:
        table = pd.read_csv(path, dtype={"file": str, "status": str, "model": str})
    except OSError as error:
        raise InputError(f"predictions '{path}' cannot be read: {error.strerror}") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"predictions '{path}' is no CSV table: {error}") from error
    _require(table, ("file", "status"), f"predictions '{path}'")
    unknown = sorted(set(table["status"].fillna("(empty)")) - _STATUSES)
    if unknown:
        raise InputError(
            f"predictions '{path}' holds status '{unknown[0]}', expected ok, abstained or error"
        )
    return table


def join(predictions: pd.DataFrame, cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the predictions with the cohort's truth beside them, one row an image.

    Args:
        predictions: table with `file` and `status`; abstained and error rows are kept.
        cohort: the cohort's rows of the same split; `path` equals `file`.

    Raises:
        CohortError: a column is missing, an image is predicted twice or not at all, a predicted
            file is not in the cohort, or a finding is not one of the three.
    """
    _require(cohort, _COHORT_COLUMNS, "the cohort")
    _require(predictions, ("file", "status"), "the predictions table")
    for column, table in (("file", predictions), ("path", cohort)):
        twice = table[column][table[column].duplicated()]
        if len(twice):
            raise CohortError(f"'{twice.iloc[0]}' stands twice in the table, expected once")
    _same_files(set(predictions["file"]), set(cohort["path"]))
    strange = sorted(set(cohort["finding"].fillna("(empty)").astype(str)) - set(FINDINGS))
    if strange:
        raise CohortError(
            f"finding '{strange[0]}' cannot be measured, expected one of {', '.join(FINDINGS)}"
        )
    own = [name for name in predictions.columns if name not in cohort.columns]
    return predictions[own].merge(cohort, left_on="file", right_on="path", validate="1:1")


def cases(table: pd.DataFrame, task: Task) -> Cases:
    """Return the answered rows (status ok) of a joined table as arrays.

    Raises:
        InputError: a probability column is missing, or a value in it is not within [0, 1].
    """
    classes = CLASSES[task]
    columns = [f"probability_{name}" for name in classes]
    _require(table, columns, f"the predictions table ({task} task)")
    ok = table[table["status"] == "ok"]
    probabilities = ok[columns].to_numpy(dtype=np.float64)
    bad = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    if bad.any():
        file = ok["file"].iloc[int(np.argmax(bad))]
        raise InputError(
            f"'{file}' is ok but its probabilities are not within 0 and 1: predict again"
        )
    labels = [classes.index(class_of(finding, task)) for finding in ok["finding"]]
    return Cases(
        classes=classes,
        labels=np.array(labels, dtype=np.intp),
        probabilities=probabilities,
        patients=ok["patient_id"].astype(str).to_numpy(dtype=object),
        sources=ok["source"].astype(str).to_numpy(dtype=object),
    )


def _require(table: pd.DataFrame, columns: tuple[str, ...] | list[str], what: str) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise CohortError(f"{what} has no column '{missing[0]}', expected {', '.join(columns)}")


def _same_files(predicted: set[str], in_cohort: set[str]) -> None:
    for extra, message in (
        (predicted - in_cohort, "is predicted but not in the cohort: give the cohort it came from"),
        (in_cohort - predicted, "is in the cohort but has no prediction: predict the whole split"),
    ):
        if extra:
            raise CohortError(f"'{min(extra)}' {message} ({len(extra)} such)")
