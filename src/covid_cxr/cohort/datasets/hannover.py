"""The COVID-19 image repository of Hannover: `data.csv` and `png/<image_id>.png`.

Winther et al., github.com/ml-workgroup/covid-19-image-repository. Every patient has COVID-19. A
patient is `patient_id`; one without it would be its own. The table counts `admission_offset` from
the image to the admission (an image of the sixth day has -6), so the sign is reversed here:
`offset` is days since admission. Images from weeks before admission occur and may not show the
disease yet; a time window in the filters excludes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.config import DatasetConfig

_FINDING = "COVID-19"
_SITE = "Hannover Medical School"
_LICENSE = "CC BY 3.0"


def recognise(root: Path) -> bool:
    """Whether `data.csv` has this repository's columns, beside a folder `png`."""
    return metadata_table("hannover").lies_in(root)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has files of this set; see `MetadataTable.misfit`."""
    return metadata_table("hannover").misfit(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `data.csv`.

    Raises:
        CohortError: no table, a column missing or no rows.
    """
    return [_record(row) for row in metadata_table("hannover").rows(root)]


def _record(row: Mapping[str, str]) -> Record:
    image = row["image_id"].strip()
    record = Record(
        image_id=image,
        path=f"png/{image}.png",
        patient_id=row["patient_id"] or f"file-{image}",
        raw_finding=_FINDING,
        site=_SITE,
        license=_LICENSE,
    )
    record = with_columns(
        record, row, "sex", "age", "modality", view="projection", offset="admission_offset"
    )
    return replace(record, offset=0.0 - record.offset)
