"""Any manifest: a CSV with `path`, `patient_id` and `finding`, and optionally more columns.

Optional: `image_id` (else the path), `site`, `view`, `sex`, `age`, `license`, `modality`, `offset`
(days since symptoms or admission). A path is relative to the manifest's folder. The configuration's
`columns` says which of the manifest's columns stands for which of these. A row without `patient_id`
is an error: who does not know the patients cannot keep them on one side of a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.records import Record, age_of, offset_of, read_table, sex_of, view_of
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

_REQUIRED = ("path", "patient_id", "finding")
_OPTIONAL = ("image_id", "site", "view", "sex", "age", "license", "modality", "offset")
NAME = "manifest.csv"


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a row; `root` is the CSV file or the folder that holds `manifest.csv`.

    Raises:
        CohortError: no manifest, a column missing, no rows, a row without path or patient, or
            `columns` names a field that does not exist.
    """
    strange = sorted(set(options.columns) - {*_REQUIRED, *_OPTIONAL})
    if strange:
        raise CohortError(
            f"'columns' names {', '.join(strange)}; known are {', '.join(_REQUIRED + _OPTIONAL)}"
        )
    path = root / NAME if root.is_dir() else root
    named = {field: options.columns.get(field, field) for field in _REQUIRED + _OPTIONAL}
    chosen = [named[field] for field in _REQUIRED] + list(options.columns.values())
    rows = read_table(path, chosen).to_dict("records")
    found = [_record({f: row.get(c, "").strip() for f, c in named.items()}) for row in rows]
    for number, record in enumerate(found, start=2):
        if not (record.path and record.patient_id):
            raise CohortError(f"'{path}' line {number} lacks path or patient_id; fill in both")
    return found


def _record(row: Mapping[str, str]) -> Record:
    return Record(
        image_id=row["image_id"] or row["path"],
        path=row["path"],
        patient_id=row["patient_id"],
        raw_finding=row["finding"],
        site=row["site"],
        view=view_of(row["view"]),
        sex=sex_of(row["sex"]),
        age=age_of(row["age"]),
        license=row["license"],
        modality=row["modality"],
        offset=offset_of(row["offset"]),
    )
