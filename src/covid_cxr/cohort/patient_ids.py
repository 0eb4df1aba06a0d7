"""Identifiers of patients: cells that are none, and two spellings that may be one patient.

Nothing is merged here: that "7" and "00007" are one patient is for the data's owner to say.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from covid_cxr.cohort.cells import is_missing
from covid_cxr.cohort.splits.leakage import one_line
from covid_cxr.cohort.tables import plain
from covid_cxr.errors import CohortError

logger = logging.getLogger(__name__)

# What Excel makes of a number of more than eleven digits; the last ones are lost.
_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d+", re.IGNORECASE)
_WHOLE = re.compile(r"0*(\d+?)(?:[.,]0+)?")
_NAMED = 3


def stated(raw: str) -> str:
    """Return a patient's id as it stands, "" for a cell that names nobody ("N/A", "nan", "-")."""
    return "" if is_missing(raw) else raw.strip()


def check(path: Path, rows: pd.DataFrame, column: str) -> None:
    """Reject ids that a spreadsheet has shortened.

    Args:
        path: of the table, for messages.
        rows: as `tables.read_table` returns them.
        column: of the ids.

    Raises:
        CohortError: an id such as 1.02E+11, with its line.
    """
    for line, raw in rows[column].items():
        if _SHORTENED.fullmatch(raw.strip()):
            raise CohortError(
                f"'{path}' line {line} has '{raw.strip()}' as {column}: a spreadsheet shortened "
                "the number and its last digits are lost; export the ids again, as text"
            )


def warn_of_nobody(path: Path, raws: Iterable[str], column: str, without: str) -> None:
    """Warn of cells that state something and name nobody, with counts.

    Args:
        path: of the table or folder, for messages.
        raws: the cells.
        column: their name.
        without: what an image without an id counts as.
    """
    counts = Counter(raw.strip() for raw in raws if raw.strip() and not stated(raw))
    if counts:
        logger.warning(
            "'%s' has %s that name nobody: %s; each such image is taken as %s",
            *(path, column, ", ".join(f"'{raw}' ({n})" for raw, n in counts.most_common())),
            without,
        )


def spelling_warnings(cohort: pd.DataFrame) -> list[str]:
    """Return a sentence a source that writes ids in several ways that may be one patient each.

    Ids are compared without case, accents, blanks and invisible characters, numbers without
    leading zeros and ".0". Rows that are excluded count: they link patients too.

    Args:
        cohort: with `image_id, source, patient_id, split`.
    """
    patients = cohort.drop_duplicates("patient_id")[["source", "patient_id"]]
    own = [
        patient.removeprefix(f"{source}:")
        for source, patient in zip(patients["source"], patients["patient_id"], strict=True)
    ]
    patients = patients.assign(own=own, key=[_key(patient) for patient in own])
    several = patients.groupby(["source", "key"])["own"].transform("size") > 1
    sides = cohort.groupby("patient_id")["split"].agg(set)
    return [
        _sentence(str(source), variants, sides)
        for source, variants in patients[several].groupby("source", sort=True)
    ]


def _sentence(source: str, variants: pd.DataFrame, sides: pd.Series) -> str:
    groups = [group for _, group in variants.groupby("key", sort=True)]
    examples = [" and ".join(_quoted(patient) for patient in group["own"]) for group in groups]
    crossing = sum(
        len(set().union(*sides[group["patient_id"]]) - {"excluded"}) > 1 for group in groups
    )
    across = f", {crossing} of them in several splits" if crossing else ""
    count = f"{len(groups)} patients" if len(groups) > 1 else "a patient"
    return (
        f"{source} may write {count} in several ways{across}: {'; '.join(examples[:_NAMED])}; if "
        "these are one patient each, give them one id and build the cohort again"
    )


def _quoted(patient: str) -> str:
    # One zero-width space tells two ids apart and shows nowhere.
    return f"'{one_line(patient)}'" if patient.isprintable() else ascii(patient)


def _key(patient: str) -> str:
    text = plain(patient).replace(" ", "")
    match = _WHOLE.fullmatch(text)
    return match[1] if match else text
