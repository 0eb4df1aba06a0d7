"""COVID-CXNet: `chest_xray_images/covid19/`, and `metadata.csv` for about half of its files.

Haghanifar et al. 2020, github.com/armiro/COVID-CXNet: radiographs gathered from publications and
web pages. Other collections hold many of them too; only the search for near-duplicates keeps such
copies on one side of a split. A patient is `patient_id`; a file that the table does not name is its
own patient and has COVID-19, as its folder says. The site is the publisher: the host of `url`.
`offset` is `admission_offset`, or `symptom_offset` for a patient of whom no image has the former,
so that the images of one patient are counted from one day. Ages below 1 are years too: 0.03 is
eleven days.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.cells import host_of
from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.records import Record, pictures_below, with_columns
from covid_cxr.config import DatasetConfig

_FOLDER = "chest_xray_images/covid19"
_FINDING = "COVID-19"


def recognise(root: Path) -> bool:
    """Whether `metadata.csv` has this collection's columns, beside its folder of images."""
    return metadata_table("covid-cxnet").lies_in(root)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has files of this set; see `MetadataTable.misfit`."""
    return metadata_table("covid-cxnet").misfit(root)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row of `metadata.csv`, then one a file that it does not name.

    Raises:
        CohortError: no metadata, a column missing or no rows.
    """
    rows = metadata_table("covid-cxnet").rows(root)
    admitted = {row["patient_id"] for row in rows if row["admission_offset"].strip()}
    described = [_described(row, row["patient_id"] in admitted) for row in rows]
    listed = {record.path for record in described}
    paths = (path.relative_to(root).as_posix() for path in pictures_below(root / _FOLDER))
    return described + [_undescribed(path) for path in paths if path not in listed]


def _described(row: Mapping[str, str], admitted: bool) -> Record:
    name = row["filename"].strip()
    record = Record(
        image_id=name,
        path=f"{_FOLDER}/{name}",
        patient_id=row["patient_id"] or f"file-{name}",
        raw_finding=row["label"].strip(),
        site=host_of(row["url"]),
    )
    offset = "admission_offset" if admitted else "symptom_offset"
    return with_columns(record, row, "view", "sex", "age", offset=offset)


def _undescribed(path: str) -> Record:
    name = path.removeprefix(f"{_FOLDER}/")
    return Record(image_id=name, path=path, patient_id=f"file-{name}", raw_finding=_FINDING)
