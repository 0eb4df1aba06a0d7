"""NIH ChestX-ray8/14 in its official layout or sorted into class folders.

Official: `Data_Entry_2017*.csv` and `images/` or `images_001/images` .. `images_012/images`.
Sorted: the folders `No_findings` and `Pneumonia` with `<patient>_<study>.png`; beside the official
table, the table says what each image is. Wang et al., CVPR 2017. The patient is the eight digits
before the underscore of the file name, in both layouts, so that the same patient has the same id
whichever way the set was downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort import patient_ids
from covid_cxr.cohort.records import Record, pictures_below, with_columns
from covid_cxr.cohort.tables import read_table
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

_CLASSES = ("No_findings", "Pneumonia")
_COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)
_SITE = "NIH Clinical Center"
_LICENSE = "unrestricted, cite the NIH Clinical Center"


def recognise(root: Path) -> bool:
    """Whether `root` has the official table or both class folders."""
    return bool(_tables(root)) or all((root / name).is_dir() for name in _CLASSES)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record an image: of the official table if it is there, else of the folders.

    Raises:
        CohortError: neither layout, two official tables, a column missing or no rows.
    """
    tables = _tables(root)
    if len(tables) > 1:
        several = ", ".join(path.name for path in tables)
        raise CohortError(f"'{root}' holds {several}; keep one, they describe the same images")
    return _official(root, tables[0]) if tables else _sorted(root)


def _tables(root: Path) -> list[Path]:
    return sorted(root.glob("Data_Entry_2017*.csv"))


def _official(root: Path, table: Path) -> list[Record]:
    folders = [*root.glob("images*"), *root.glob("images*/images"), *map(root.joinpath, _CLASSES)]
    paths = {
        path.name: path.relative_to(root).as_posix()
        for folder in sorted(folders)
        if folder.is_dir()
        for path in folder.iterdir()
    }
    rows = read_table(table, _COLUMNS)
    patient_ids.check(table, rows, "Patient ID")
    instead = "the patient that its file name states"
    patient_ids.warn_of_nobody(table, rows["Patient ID"], "Patient ID", instead)
    return [_row(row, paths) for row in rows.to_dict("records")]


def _row(row: Mapping[str, str], paths: Mapping[str, str]) -> Record:
    name = row["Image Index"].strip()
    patient = patient_ids.stated(row["Patient ID"]) or name.partition("_")[0]
    record = Record(
        image_id=Path(name).stem,
        path=paths.get(name, f"images/{name}"),
        patient_id=patient.zfill(8),
        raw_finding=row["Finding Labels"].strip(),
        site=_SITE,
        license=_LICENSE,
    )
    return with_columns(record, row, view="View Position", sex="Patient Gender", age="Patient Age")


def _sorted(root: Path) -> list[Record]:
    records = [
        Record(
            image_id=path.stem,
            path=path.relative_to(root).as_posix(),
            patient_id=path.stem.partition("_")[0],
            raw_finding=folder,
            site=_SITE,
            license=_LICENSE,
        )
        for folder in _CLASSES
        for path in pictures_below(root / folder)
    ]
    if not records:
        raise CohortError(
            f"'{root}' is no NIH ChestX-ray set: expected Data_Entry_2017*.csv with images/, "
            f"or pictures in the folders {' and '.join(_CLASSES)}"
        )
    return records
