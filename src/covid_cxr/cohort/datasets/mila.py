"""The ieee8023 ("Mila") COVID-19 image data collection: `metadata.csv` and `images/`.

Cohen et al., arXiv 2003.11597. A patient is `patientid`, which the collection states for every
row; a row without one would be its own patient. The site is the publisher: the host of `url`.
`offset` counts days since the first symptoms or, where they are not known, since admission.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.records import (
    Record,
    age_of,
    header_of,
    host_of,
    offset_of,
    read_table,
    sex_of,
    view_of,
)
from covid_cxr.config import DatasetConfig

_COLUMNS = (
    "patientid",
    "offset",
    "sex",
    "age",
    "finding",
    "view",
    "modality",
    "folder",
    "filename",
    "url",
    "license",
)


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` has this collection's columns, beside a folder `images`."""
    return (root / "images").is_dir() and header_of(root / "metadata.csv").issuperset(_COLUMNS)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`; CT rows keep the modality "CT".

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    table = read_table(root / "metadata.csv", _COLUMNS)
    return [_record(row) for row in table.to_dict("records")]


def _record(row: Mapping[str, str]) -> Record:
    volume = row["folder"].strip() == "volumes"
    return Record(
        image_id=row["filename"].strip(),
        path=f"{row['folder'].strip() or 'images'}/{row['filename'].strip()}",
        patient_id=row["patientid"].strip() or f"file-{row['filename'].strip()}",
        raw_finding=row["finding"].strip(),
        site=host_of(row["url"]),
        view=view_of(row["view"]),
        sex=sex_of(row["sex"]),
        age=age_of(row["age"]),
        license=row["license"].strip(),
        modality="CT" if volume else row["modality"].strip(),
        offset=offset_of(row["offset"]),
    )
