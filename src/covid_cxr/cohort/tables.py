"""CSV tables as people and spreadsheets save them; every adapter reads its tables here.

Understood are UTF-8 with and without a mark, UTF-16, Windows-1252 and Latin-1; commas, semicolons,
tabs and bars between cells, and a first line such as `sep=;`; blanks around headers, and headers in
another case. Nothing else is guessed: what remains unclear is an error.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pandas as pd

from covid_cxr.errors import CohortError

_SEPARATORS = (",", ";", "\t", "|")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_Row = tuple[int, list[str]]  # the number of its first line, and its cells


def read_table(
    path: Path, required: Iterable[str], optional: Iterable[str] = (), advice: str = ""
) -> pd.DataFrame:
    """Read a CSV with every cell as text ("" where empty), blank rows left out.

    Args:
        path: of the file.
        required: columns that must be there.
        optional: further columns that are read; any other keeps the name that it has.
        advice: what to do where a column is missing, for the error.

    Returns:
        The rows, each under the number of its line in the file.

    Raises:
        CohortError: no such file, not a CSV, a column missing or named twice, a row with more
            cells than there are columns, or no rows.
    """
    required, optional = list(required), list(optional)
    header, parsed = _read(path, [*required, *optional])
    rows = list(parsed)
    _check_cells(path, header, rows)
    missing = [column for column in required if column not in header]
    if missing:
        raise CohortError(
            f"table '{path}' lacks column {', '.join(missing)}; it has {', '.join(header)}"
            + (f"; {advice}" if advice else "")
        )
    if not rows:
        raise CohortError(f"table '{path}' has no rows, expected one an image")
    width = len(header)
    cells = [(row + [""] * width)[:width] for _, row in rows]
    table = pd.DataFrame(cells, columns=header, index=[line for line, _ in rows], dtype="str")
    return table.loc[:, [name != "" for name in header]]


def header_of(path: Path, names: Iterable[str] = ()) -> set[str]:
    """Return a CSV's column names; empty where there is no such file or it is no CSV.

    Args:
        path: of the file.
        names: columns that are looked for; one in another case counts.
    """
    try:
        return set(_read(path, list(names))[0]) - {""}
    except CohortError:
        return set()


def plain(text: str) -> str:
    """Return text for comparison: case, accents, invisible characters and outer blanks dropped.

    >>> plain(" Postéro-Antérieure\u200b ")
    'postero-anterieure'
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = (char for char in decomposed if unicodedata.category(char) not in ("Mn", "Cf"))
    return " ".join("".join(kept).split())


def _read(path: Path, names: Collection[str]) -> tuple[list[str], Iterator[_Row]]:
    """Return header and rows; a column of `names` in another case is renamed."""
    text = _decoded(path)
    separator = text[4] if text[:4].casefold() == "sep=" and text[5:6] in ("\r", "\n") else ""
    if separator:
        text = text.partition("\n")[2]
    choices = _SEPARATORS if not separator else (separator,)
    headers = {choice: _names(next(_parsed(path, text, choice), (0, []))[1]) for choice in choices}
    best = max(headers, key=lambda choice: _fit(headers[choice], names))
    rows = _parsed(path, text, best, first=2 if separator else 1)
    next(rows, None)
    return _renamed(headers[best], names), rows


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CohortError(f"table '{path}' cannot be read: {error.strerror or error}") from error
    mark = next((name for start, name in _MARKS.items() if data.startswith(start)), None)
    # Text of Western languages in UTF-16 has a zero in every second byte, and no other text has.
    wide = {1: "utf-16-le", 0: "utf-16-be"}
    zeros = next((wide[at] for at in wide if data[at:64:2].count(0) > 16), None)
    for encoding in filter(None, (mark or zeros or "utf-8", "cp1252", "latin-1")):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" in text:
            break
        return text.removeprefix("\ufeff")
    raise CohortError(f"table '{path}' is no text; save it as CSV in UTF-8")


def _parsed(path: Path, text: str, separator: str, first: int = 1) -> Iterator[_Row]:
    """Yield the rows that are not blank; `first` is the number of the first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = first
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = first + reader.line_num
    except csv.Error as error:
        raise CohortError(
            f"table '{path}' is no CSV file: {error} in the row that begins in line {line}; put "
            "cells with quotes or line breaks in quotes, doubled inside"
        ) from error


def _names(cells: Iterable[str]) -> list[str]:
    return [" ".join(cell.replace("\ufeff", "").split()) for cell in cells]


def _fit(header: list[str], names: Collection[str]) -> tuple[int, int]:
    """Rank separators: by how many of `names` are there, then by how many columns there are."""
    return len({plain(name) for name in header} & set(map(plain, names))), len(header)


def _renamed(header: list[str], names: Collection[str]) -> list[str]:
    """Rename the one column that has one of `names` in another case."""
    renamed = list(header)
    for name in names:
        same = [at for at, other in enumerate(header) if plain(other) == plain(name)]
        if name not in header and len(same) == 1 and header[same[0]] not in names:
            renamed[same[0]] = name
    return renamed


def _check_cells(path: Path, header: list[str], rows: Iterable[_Row]) -> None:
    """Raise where cells stand under no column or under two."""
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise CohortError(f"table '{path}' has the column '{twice}' twice; rename or remove one")
    surplus = next((row for _, row in rows if any(row[len(header) :])), None)
    if surplus is not None:
        raise CohortError(
            f"table '{path}' has a row of {len(surplus)} cells under {len(header)} columns, "
            f"'{','.join(surplus[:3])},...'; put cells that hold a comma in quotes"
        )
