"""A much used Kaggle set: `train`, `val` or `test`, each with `Covid`, `Normal`, `Viral Pneumonia`.

pranavraikokte/covid19-image-dataset. Its normal and viral radiographs look paediatric, its COVID-19
radiographs are of adults: a network that estimates age would look like one that knows the disease.
So every record is marked as paediatric, COVID-19 included, and is excluded unless the filters admit
such sources. It states no patients: each file is its own patient. The same file name occurs in
several folders, so an image is named by its path. The given split is not kept, because copies of
one radiograph cross it.
"""

from __future__ import annotations

from pathlib import Path

from covid_cxr.cohort.records import Record, pictures_below
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

_PARTS = ("train", "val", "test")
_CLASSES = ("Covid", "Normal", "Viral Pneumonia")


def recognise(root: Path) -> bool:
    """Whether `train`, `val` or `test` holds the three class folders."""
    return any(all((root / part / name).is_dir() for name in _CLASSES) for part in _PARTS)


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a file below each class folder; the label is the folder's name.

    Raises:
        CohortError: none of the folders is there, or they are empty.
    """
    records = [
        Record(path, path, f"file-{path}", label, paediatric=True)
        for part in _PARTS
        for label in _CLASSES
        for path in (p.relative_to(root).as_posix() for p in pictures_below(root / part / label))
    ]
    if not records:
        raise CohortError(
            f"'{root}' holds no files in {', '.join(_PARTS)} with {', '.join(_CLASSES)}; give the "
            "folder that holds these"
        )
    return records
