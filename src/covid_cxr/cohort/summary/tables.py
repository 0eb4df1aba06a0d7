"""A summary as tables of text, the same in the terminal and on the page."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import starmap

from covid_cxr.cohort.summary.confounding import Confounder
from covid_cxr.cohort.summary.summary import CohortSummary, shortened
from covid_cxr.types import FINDINGS

_MOST_SITES, _MOST_REASONS = 15, 15
_NONE = "–"


@dataclass(frozen=True)
class TextTable:
    """One table, every cell as it is read.

    Attributes:
        title: a few words.
        note: what a reader must know to read it, "" where nothing.
        columns: headings.
        rows: cells; the first `texts` of each are text, the others numbers.
        texts: how many columns hold text, from the left.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int


def text_tables(summary: CohortSummary) -> list[TextTable]:
    """Return the tables that hold anything, in reading order; none is wider than 80 columns.

    Names from the data (sources, sites, reasons) stand as they are, unprintable ones escaped, and
    may be longer.
    """
    tables = [_by_source(summary), _by_level(summary), _missing(summary)]
    tables += [_reasons(summary), _flags(summary), _overlap(summary), _confounding(summary)]
    return [table for table in tables if table.rows]


def _by_source(summary: CohortSummary) -> TextTable:
    table = summary.by_source
    rows = [tuple(map(_cell, row)) for row in table.itertuples(index=False)]
    if rows:
        sums = table.drop(columns=["source", "finding"]).sum()
        rows = [*_once(rows), ("all", "", *map(_cell, sums))]
    names = tuple(map(str, table.columns))
    return TextTable("Images by source, finding and split", "", names, tuple(rows), 2)


def _by_level(summary: CohortSummary) -> TextTable:
    rows: list[tuple[str, ...]] = []
    for name, counts in summary.counts.items():
        table = shortened(counts, _MOST_SITES) if name == "site" else counts
        rows += _once((name, *map(_cell, row)) for row in table.itertuples(index=False))
    columns = ("", "", *FINDINGS, "total")
    return TextTable("Images by site, view, sex and age", "", columns, tuple(rows), 2)


def _missing(summary: CohortSummary) -> TextTable:
    table = summary.missing
    rows = [
        (_cell(source), _cell(images), *map(share, shares))
        for source, images, *shares in table.itertuples(index=False)
        if images
    ]
    columns = ("source", "images", *(f"no {name}" for name in table.columns[2:]))
    return TextTable("Not stated", "", columns, tuple(rows), 1)


def _reasons(summary: CohortSummary) -> TextTable:
    table = summary.reasons
    rows = [tuple(map(_cell, row)) for row in table.head(_MOST_REASONS).itertuples(index=False)]
    rest = table["images"].iloc[_MOST_REASONS:]
    if len(rest):
        rows.append((f"{len(rest)} others", "", _cell(rest.sum())))
    return TextTable("Left out", "", ("reason", "source", "images"), tuple(_once(rows)), 2)


def _flags(summary: CohortSummary) -> TextTable:
    rows = [tuple(map(_cell, row)) for row in summary.flags.itertuples(index=False)]
    columns = ("source", "flag", "images", "included")
    return TextTable("What reading the files flagged", "", columns, tuple(_once(rows)), 2)


def _overlap(summary: CohortSummary) -> TextTable:
    note = (
        f"Of {_cell(summary.groups)} groups of copies, excluded ones included; a source beside "
        "itself holds copies of its own."
    )
    rows = [tuple(map(_cell, row)) for row in summary.overlap.itertuples(index=False)]
    columns = ("source", "other", "groups", "images of it", "of the other")
    return TextTable("Images that two sources share", note, columns, tuple(rows), 2)


def _confounding(summary: CohortSummary) -> TextTable:
    note = (
        "Cramer's V with the finding, bias-corrected (Bergsma 2013), 0 is none and 1 is all, with "
        "its 95 % interval over patients. AUROC: for COVID-19 from this column alone, "
        "fitted on other patients; 0.5 is chance."
    )
    rows = [
        (
            row.column,
            row.strength or _NONE,
            _cell(row.n_levels),
            _with_interval(row.cramers_v, row.low, row.high),
            _decimal(row.auroc),
        )
        for row in starmap(Confounder, summary.confounding.itertuples(index=False, name=None))
    ]
    columns = ("column", "association", "levels", "Cramer's V (95 %)", "AUROC")
    return TextTable("What predicts the finding without a picture", note, columns, tuple(rows), 2)


def _once(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with a first cell left empty where it repeats the one above."""
    kept: list[tuple[str, ...]] = []
    above = None
    for first, *rest in rows:
        kept.append(("" if first == above else first, *rest))
        above = first
    return kept


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, numbers.Integral) else str(value)
    return text if text.isprintable() else ascii(text)[1:-1]


def share(part: float) -> str:
    """Return a percentage that is 0 or 100 only where it is exactly that.

    >>> share(0.0), share(0.001), share(0.9999), share(1.0)
    ('0 %', '<1 %', '>99 %', '100 %')
    """
    if 0 < part < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < part < 1 else f"{part:.0%}".replace("%", " %")


def _decimal(value: float) -> str:
    return _NONE if math.isnan(value) else f"{value:.2f}"


def _with_interval(value: float, low: float, high: float) -> str:
    if math.isnan(low):
        return _decimal(value)
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
