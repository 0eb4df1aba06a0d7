"""What an adapter returns: one `Record` an image, and the helpers that fill its fields."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from covid_cxr.cohort.cells import is_understood, parsed
from covid_cxr.config import DatasetConfig

logger = logging.getLogger(__name__)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Record:
    """One image as its source describes it; `build` puts the source's name before both ids.

    Attributes:
        image_id: unique in the source.
        path: POSIX path relative to the adapter's root; the file may be missing.
        patient_id: never empty.
        raw_finding: the label as the source writes it; "" where it states none.
        site: hospital or publisher, "" where unknown.
        view: PA | AP | AP Supine | L | ..., "" where unknown; see `cells.view_of`.
        sex: M | F | "".
        age: years, NaN where unknown.
        license: as the source writes it, "" where unknown.
        modality: what the source says ("X-ray", "CT", "DX"); "" where it says nothing.
        offset: days since first symptoms or admission, as the source counts them; NaN if unknown.
        taken: date and time as digits, YYYYMMDDHHMMSS or a part of it from the left, "" if unknown.
        boxes: marked opacities as (x, y, width, height) in pixels of the file; mostly none.
        unread: (field, cell) of cells that state something that is not understood.
        paediatric: the source is known or suspected to hold children and states no ages.
    """

    image_id: str
    path: str
    patient_id: str
    raw_finding: str
    site: str = ""
    view: str = ""
    sex: str = ""
    age: float = math.nan
    license: str = ""
    modality: str = ""
    offset: float = math.nan
    boxes: tuple[Box, ...] = ()
    paediatric: bool = False
    taken: str = ""
    unread: tuple[tuple[str, str], ...] = ()


Adapter = Callable[[Path, DatasetConfig], list[Record]]
Recogniser = Callable[[Path], bool]
# How much of a set a folder holds, in [0, 1], and what is wrong with it; None where nothing is.
Misfit = Callable[[Path], tuple[float, str] | None]


def with_columns(record: Record, row: Mapping[str, str], *same: str, **columns: str) -> Record:
    """Return the record with fields taken from the row's columns.

    View, sex, age and offset are parsed as `covid_cxr.cohort.cells` does; what a cell states and
    is not understood is added to `unread`.

    Args:
        record: to fill in.
        row: column -> cell.
        same: fields whose columns have the same name.
        columns: field = name of its column.
    """
    cells = {field: row[field] for field in same}
    cells |= {field: row[column] for field, column in columns.items()}
    unread = [
        (field, cell.strip()) for field, cell in cells.items() if not is_understood(field, cell)
    ]
    values = {field: parsed(field, cell) for field, cell in cells.items()}
    return replace(record, **values, unread=(*record.unread, *unread))


def pictures_below(folder: Path) -> list[Path]:
    """Return every file below `folder` that is not hidden, sorted; names do not tell the format.

    A folder that cannot be listed is a warning; a file that cannot be examined is kept, so that it
    gets a row that says so.
    """
    files = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_not_listed)
        for name in names
        if not name.startswith(".")
    ]
    return sorted(filter(_may_be_regular, files))


def _not_listed(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        logger.warning(
            "folder '%s' cannot be listed (%s) and what it holds is left out; allow reading it",
            *(error.filename, error.strerror),
        )


def _may_be_regular(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a folder that may be listed and not entered
        return True
