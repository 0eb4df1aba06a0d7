"""Actualmed COVID-19 cases from Spain: `metadata.csv` and `images/<imagename>`.

A patient is `patientid`; one without it would be its own. A finding is COVID-19, "No finding"
(the infection was excluded) or empty (inconclusive). The published table is ASCII; a copy that an
editor saved anew is read as UTF-8, with or without a mark in front, and if it is not that, as
latin-1. `offset`, `sex` and `age` are columns that the published table leaves empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.records import Record, header_of, read_table, with_columns
from covid_cxr.config import DatasetConfig

_COLUMNS = ("patientid", "offset", "sex", "age", "finding", "view", "modality", "imagename")
_TABLE = "metadata.csv"


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` names files by `imagename`, beside a folder `images`."""
    table = root / _TABLE
    return (root / "images").is_dir() and header_of(table, _encoding(table)).issuperset(_COLUMNS)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`.

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    table = read_table(root / _TABLE, _COLUMNS, _encoding(root / _TABLE))
    return [_record(row) for row in table.to_dict("records")]


def _encoding(table: Path) -> str:
    try:
        table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "latin-1"
    return "utf-8-sig"


def _record(row: Mapping[str, str]) -> Record:
    name = row["imagename"].strip()
    patient = row["patientid"].strip() or f"file-{name}"
    record = Record(name, f"images/{name}", patient, row["finding"].strip())
    return with_columns(record, row, "view", "sex", "age", "modality", "offset")
