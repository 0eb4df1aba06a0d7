"""Actualmed COVID-19 cases from Spain: `metadata.csv` and `images/<imagename>`.

A patient is `patientid`; one without it would be its own. A finding is COVID-19, "No finding"
(the infection was excluded) or empty (inconclusive). `offset`, `sex` and `age` are columns that the
published table leaves empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.config import DatasetConfig


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` names files by `imagename`, beside a folder `images`."""
    return metadata_table("actualmed").lies_in(root)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has files of this set; see `MetadataTable.misfit`."""
    return metadata_table("actualmed").misfit(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`.

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    return [_record(row) for row in metadata_table("actualmed").rows(root)]


def _record(row: Mapping[str, str]) -> Record:
    name = row["imagename"].strip()
    patient = row["patientid"] or f"file-{name}"
    record = Record(name, f"images/{name}", patient, row["finding"].strip())
    return with_columns(record, row, "view", "sex", "age", "modality", "offset")
