"""The ieee8023 ("Mila") COVID-19 image data collection: `metadata.csv` and `images/`.

Cohen et al., arXiv 2003.11597. A patient is `patientid`, which the collection states for every
row; a row without one would be its own patient. The site is the publisher: the host of `url`.
`offset` counts days since the first symptoms or, where they are not known, since admission.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from covid_cxr.cohort.cells import host_of
from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.config import DatasetConfig


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` has this collection's columns, beside a folder `images`."""
    return metadata_table("mila").lies_in(root)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has files of this set; see `MetadataTable.misfit`."""
    return metadata_table("mila").misfit(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`; CT rows keep the modality "CT".

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    return [_record(row) for row in metadata_table("mila").rows(root)]


def _record(row: Mapping[str, str]) -> Record:
    folder, name = row["folder"].strip(), row["filename"].strip()
    record = Record(
        image_id=name,
        path=f"{folder or 'images'}/{name}",
        patient_id=row["patientid"] or f"file-{name}",
        raw_finding=row["finding"].strip(),
        site=host_of(row["url"]),
    )
    record = with_columns(record, row, "view", "sex", "age", "license", "modality", "offset")
    return replace(record, modality="CT") if folder == "volumes" else record
