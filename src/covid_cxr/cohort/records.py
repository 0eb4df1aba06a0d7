"""What an adapter returns: one `Record` an image, and the helpers that fill its fields."""

from __future__ import annotations

import csv
import logging
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import packaged

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
        view: PA | AP | AP Supine | L | ..., "" where unknown; see `view_of`.
        sex: M | F | "".
        age: years, NaN where unknown.
        license: as the source writes it, "" where unknown.
        modality: what the source says ("X-ray", "CT", "DX"); "" where it says nothing.
        offset: days since first symptoms or admission, as the source counts them; NaN if unknown.
        taken: date and time as digits, YYYYMMDDHHMMSS or a part of it from the left, "" if unknown.
        boxes: marked opacities as (x, y, width, height) in pixels of the file; mostly none.
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


Adapter = Callable[[Path, DatasetConfig], list[Record]]
Recogniser = Callable[[Path], bool]

_VIEWS: dict[str, str] = packaged(__package__, "views.yaml")
_AGE = re.compile(r"(\d+(?:\.\d+)?)([+YMWD]?)", re.IGNORECASE)
_YEARS = {"": 1.0, "+": 1.0, "Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST = 120.0
_DAYS = re.compile(r"[+-]?\d+(\.\d+)?")


def view_of(raw: str) -> str:
    """Return the view position in DICOM's words; an unknown word is kept as it stands.

    >>> view_of("AP erect"), view_of("Lateral"), view_of("?")
    ('AP', 'L', '')
    """
    text = " ".join(raw.split())
    return _VIEWS.get(text.casefold(), text)


def sex_of(raw: str) -> str:
    """Return M, F or "" from M, male, f, Female, ..."""
    initial = raw.strip()[:1].upper()
    return initial if initial in ("M", "F") else ""


def age_of(raw: str) -> float:
    """Return years: "50+" is 50, "058Y" is 58, "006M" half a year; no number or over 120 is NaN."""
    match = _AGE.fullmatch(raw.strip())
    if not match:
        return math.nan
    years = float(match[1]) * _YEARS[match[2].upper()]
    return years if years <= _OLDEST else math.nan


def offset_of(raw: str) -> float:
    """Return days, before the first symptom or admission negative; anything but a number is NaN."""
    text = raw.strip()
    return float(text) if _DAYS.fullmatch(text) else math.nan


def host_of(url: str) -> str:
    """Return the publisher's host without "www.", "" where there is none.

    >>> host_of("https://www.NEJM.org/doi/1"), host_of("n/a")
    ('nejm.org', '')
    """
    try:
        return (urlsplit(url.strip()).hostname or "").removeprefix("www.")
    except ValueError:  # a bracket that opens no IPv6 address
        return ""


_PARSERS: dict[str, Callable[[str], Any]] = {
    "view": view_of,
    "sex": sex_of,
    "age": age_of,
    "offset": offset_of,
}


def with_columns(record: Record, row: Mapping[str, str], *fields: str) -> Record:
    """Return the record with `fields` taken from the row's columns of the same names.

    View, sex, age and offset are parsed as `view_of`, `sex_of`, `age_of` and `offset_of` do.
    """
    parsed = {field: _PARSERS.get(field, str.strip)(row[field]) for field in fields}
    return replace(record, **parsed)


def read_table(path: Path, required: Iterable[str], encoding: str = "utf-8-sig") -> pd.DataFrame:
    """Read a CSV with every cell as text ("" where empty).

    Raises:
        CohortError: no such file, not a CSV in this encoding, a column missing or named twice, a
            row with more cells than there are columns, or no rows.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.ParserWarning)  # see `_check_cells`
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, encoding=encoding, index_col=False
            )
        with path.open(encoding=encoding, newline="") as file:
            _check_cells(path, csv.reader(file))
    except OSError as error:
        raise CohortError(f"table '{path}' cannot be read: {error.strerror or error}") from error
    except (ValueError, pd.errors.ParserError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise CohortError(f"table '{path}' is no CSV file in {encoding}: {reason}") from error
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise CohortError(
            f"table '{path}' lacks column {', '.join(missing)}; it has {', '.join(table.columns)}"
        )
    if table.empty:
        raise CohortError(f"table '{path}' has no rows, expected one an image")
    return table


def _check_cells(path: Path, rows: Iterable[list[str]]) -> None:
    """Raise where pandas would silently drop surplus cells or rename repeated columns."""
    filled = (row for row in rows if row)
    header = next(filled, [])
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise CohortError(f"table '{path}' has the column '{twice}' twice; rename or remove one")
    surplus = next((row for row in filled if any(row[len(header) :])), None)
    if surplus is not None:
        raise CohortError(
            f"table '{path}' has a row of {len(surplus)} cells under {len(header)} columns, "
            f"'{','.join(surplus[:3])},...'; put cells that hold a comma in quotes"
        )


def header_of(path: Path, encoding: str = "utf-8-sig") -> set[str]:
    """Return a CSV's column names; empty where there is no such file or it is no CSV."""
    try:
        return set(pd.read_csv(path, nrows=0, encoding=encoding).columns)
    except (OSError, ValueError, pd.errors.ParserError):
        return set()


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
