"""Any manifest: a CSV with `path`, `patient_id` and `finding`, and optionally more columns.

Optional: `image_id` (else the path), `site`, `view`, `sex`, `age`, `license`, `modality`, `offset`
(days since symptoms or admission). A path is relative to the manifest's folder. The configuration's
`columns` says which of the manifest's columns stands for which of these. A row without `patient_id`
is an error: who does not know the patients cannot keep them on one side of a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.records import Record, read_table, with_columns
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
    unknown = sorted(set(options.columns) - {*_REQUIRED, *_OPTIONAL})
    if unknown:
        raise CohortError(
            f"'columns' names {', '.join(unknown)}; known are {', '.join(_REQUIRED + _OPTIONAL)}"
        )
    path = root / NAME if root.is_dir() else root
    named = {field: options.columns.get(field, field) for field in _REQUIRED + _OPTIONAL}
    chosen = [named[field] for field in _REQUIRED] + list(options.columns.values())
    rows = read_table(path, chosen).to_dict("records")
    records = [_record({f: row.get(c, "").strip() for f, c in named.items()}) for row in rows]
    for number, record in enumerate(records, start=2):
        if not (record.path and record.patient_id):
            raise CohortError(f"'{path}' line {number} lacks path or patient_id; fill in both")
    return records


def _record(row: Mapping[str, str]) -> Record:
    image = row["image_id"] or row["path"]
    record = Record(image, row["path"], row["patient_id"], row["finding"])
    return with_columns(record, row, *_OPTIONAL[1:])
