"""The summary of a cohort on disk: one self-contained page, tables, figures, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from covid_cxr.cohort.summary.summary import CohortSummary
from covid_cxr.cohort.summary.tables import text_tables
from covid_cxr.files import atomic_write
from covid_cxr.report import formatting
from covid_cxr.report.figures.cohort import draw


def write_summary(summary: CohortSummary, cohort: pd.DataFrame, out: Path, *, name: str) -> Path:
    """Write `cohort.html`, `summary.json`, `tables/*.csv` and `figures/*.svg`.

    Nothing of it shows a radiograph, so that all of it may be shared where the table may.

    Args:
        summary: of this cohort.
        cohort: as `covid_cxr.cohort.schema.load` returns it.
        out: folder; made where missing, its files replaced.
        name: of the cohort, for the page's head.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder cannot be written.
    """
    figures = draw(summary, cohort)
    for stem, table in summary.tables().items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        atomic_write(out / "tables" / f"{stem}.csv", text)
    for stem, svg in figures.items():
        atomic_write(out / "figures" / f"{stem}.svg", svg)
    record = json.dumps(summary.record(), indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(out / "summary.json", record + "\n")
    page = out / "cohort.html"
    tables = text_tables(summary)
    text = formatting.render(
        "cohort.html.j2", name=name, summary=summary, figures=figures, tables=tables
    )
    atomic_write(page, text)
    return page
