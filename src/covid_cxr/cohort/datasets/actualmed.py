"""Actualmed COVID-19 cases from Spain: `metadata.csv` and `images/<imagename>`.

A patient is `patientid`; one without it would be its own. A finding is COVID-19, "No finding"
(the infection was excluded) or empty (inconclusive). The published table is ASCII; a copy that an
editor saved anew is read as UTF-8, with or without a mark in front, and if it is not that, as
latin-1. `offset`, `sex` and `age` are columns that the published table leaves empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from covid_cxr.cohort.metadata_tables import MetadataTable, metadata_table
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.config import DatasetConfig


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` names files by `imagename`, beside a folder `images`."""
    return _table(root).lies_in(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`.

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    return [_record(row) for row in _table(root).rows(root)]


def _table(root: Path) -> MetadataTable:
    table = metadata_table("actualmed")
    try:
        (root / table.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return replace(table, encoding="latin-1")
    return table


def _record(row: Mapping[str, str]) -> Record:
    name = row["imagename"].strip()
    patient = row["patientid"].strip() or f"file-{name}"
    record = Record(name, f"images/{name}", patient, row["finding"].strip())
    return with_columns(record, row, "view", "sex", "age", "modality", "offset")
