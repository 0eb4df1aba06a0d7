"""Figure 1 cases: `metadata.csv` and `images/<patientid>.jpg` or `.png`.

A trailing letter in `patientid` numbers a patient's images: COVID-00003a and COVID-00003b are
two images of patient COVID-00003. The site of every row is the publisher, app.figure1.com.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.records import Record, pictures_below, with_columns
from covid_cxr.cohort.tables import header_of
from covid_cxr.config import DatasetConfig

_MARK = "artifacts/distortion"
_FILE_NAMES = ("filename", "imagename")  # of the Mila and the Actualmed table
_SITE = "app.figure1.com"


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` names images by patient (no column of file names), beside `images`."""
    table = metadata_table("figure1")
    header = header_of(root / table.file, (_MARK, *_FILE_NAMES))
    return table.lies_in(root) and _MARK in header and header.isdisjoint(_FILE_NAMES)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has files of this set; see `MetadataTable.misfit`."""
    return metadata_table("figure1").misfit(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`.

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    names = {path.stem: path.name for path in pictures_below(root / "images")}
    return [_record(row, names) for row in metadata_table("figure1").rows(root)]


def _record(row: Mapping[str, str], names: Mapping[str, str]) -> Record:
    image = row["patientid"].strip()
    record = Record(
        image_id=image,
        path=f"images/{names.get(image, image + '.jpg')}",
        patient_id=re.sub(r"(?<=\d)[a-z]$", "", image),
        raw_finding=row["finding"].strip(),
        site=_SITE,
    )
    return with_columns(record, row, "view", "sex", "age", "modality", "offset")
