"""Any manifest: a CSV with `path`, `patient_id` and `finding`, and optionally more columns.

Optional: `image_id` (else the path), `site`, `view`, `sex`, `age`, `license`, `modality`, `offset`
(days since symptoms or admission). A path is relative to the manifest's folder. The configuration's
`columns` says which of the manifest's columns stands for which of these. A row without `patient_id`
is an error: who does not know the patients cannot keep them on one side of a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort import patient_ids
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.cohort.tables import read_table
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
    advice = "rename them, or name yours as columns: {path: YOURS} in a configuration"
    table = read_table(path, chosen, named.values(), advice)
    patient_ids.check(path, table, named["patient_id"])
    rows = table.to_dict("records")
    rows = [{f: row.get(column, "").strip() for f, column in named.items()} for row in rows]
    for line, row in zip(table.index, rows, strict=True):
        if not (row["path"] and patient_ids.stated(row["patient_id"])):
            raise CohortError(
                f"'{path}' line {line} lacks path or patient_id: '{row['path']}', "
                f"'{row['patient_id']}'; fill in both"
            )
    return list(map(_record, rows))


def _record(row: Mapping[str, str]) -> Record:
    image = row["image_id"] or row["path"]
    record = Record(image, row["path"], row["patient_id"], row["finding"])
    return with_columns(record, row, *_OPTIONAL[1:])
