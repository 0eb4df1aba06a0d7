"""One sub-folder a class, named by the configuration: `labels: {Covid: covid-19, ...}`.

Such a layout states no patients, so each file is its own patient. If a patient has several images,
a split cannot keep them together: use a manifest (`csv`) where patients are known. Never recognised
by itself, because any folder of folders looks like it.
"""

from __future__ import annotations

from pathlib import Path

from covid_cxr.cohort.records import Record, pictures_below
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a file below each sub-folder of `root`; the label is the sub-folder's name.

    Raises:
        CohortError: no such folder, nothing in it, or a sub-folder that `labels` does not name.
    """
    if not root.is_dir():
        raise CohortError(f"'{root}' is no folder; expected one sub-folder a class")
    classes = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    unnamed = [path.name for path in classes if path.name not in options.labels]
    if unnamed:
        raise CohortError(
            f"'{root}' has sub-folders that 'labels' does not name: {', '.join(unnamed)}; map each "
            "to normal, pneumonia, covid-19 or 'excluded: why'"
        )
    files = [(path, folder.name) for folder in classes for path in pictures_below(folder)]
    if not files:
        raise CohortError(
            f"'{root}' holds no files in sub-folders; expected one sub-folder a class"
        )
    names = [(path.relative_to(root).as_posix(), label) for path, label in files]
    return [Record(name, name, f"file-{name}", label) for name, label in names]
