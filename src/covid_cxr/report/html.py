"""`report.html`: one calm, self-contained page about one run."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path

import pandas as pd

from covid_cxr.cohort.summary.tables import TextTable, text_tables
from covid_cxr.errors import InputError
from covid_cxr.evaluation import confident_errors
from covid_cxr.evaluation.predictions import cases, join, read_predictions
from covid_cxr.files import atomic_write
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import checklists, explanations, formatting
from covid_cxr.report.figures import cohort
from covid_cxr.report.figures.performance import draw
from covid_cxr.report.record import RunRecord
from covid_cxr.report.verdict import verdict

# A table longer than this says how many rows it leaves to its file.
_MOST_ROWS = 20
_MOST_ERRORS = 12
_BAND_RESAMPLES = 1000
MONTAGES = "montages"
_ATTRITION = ("source", "rule", "removed", "remaining")
_RULES = "Rows of each source, rule by rule; rules that took none out are not shown."
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')


def write_report(run: Path) -> Path:
    """Write `report.html`, `CLAIM.md`, `TRIPOD-AI.md` and `figures/*.svg` into a run folder.

    All of it is made from what stands there: `metrics.json` is needed; every other file of the run
    folder is used if it is there.

    Returns:
        The path of the page.

    Raises:
        InputError: no `metrics.json`, or a file of the run that is not what it should be.
        LeakError: a patient or a duplicate image of `cohort.csv` stands in two splits.
    """
    folder = Path(run)
    record = RunRecord.read(folder)
    table = _predicted(folder, record)
    figures = {} if table is None else _figures(record, table)
    for name, svg in figures.items():
        atomic_write(folder / "figures" / f"{name}.svg", svg)
    filled = checklists.fill(record)
    for checklist in filled:
        atomic_write(folder / checklist.file, checklists.markdown(checklist))
    page = folder / "report.html"
    atomic_write(page, _page(folder, record, table, figures, filled))
    return page


def _page(
    folder: Path,
    run: RunRecord,
    table: pd.DataFrame | None,
    figures: dict[str, str],
    filled: tuple[checklists.Checklist, ...],
) -> str:
    cards = explanations.examples(folder / "explanations")
    body = formatting.render(
        "report.html.j2",
        run=run,
        metrics=run.metrics,
        primary=run.metrics.primary,
        verdict=verdict(run.metrics, run.audit),
        figures=figures,
        example_cards=[card for card in cards if not card.is_error],
        error_cards=[card for card in cards if card.is_error],
        errors=_errors(run, table),
        cohort_tables=[] if run.summary is None else text_tables(run.summary),
        attrition=_attrition(folder / "attrition.csv"),
        duplicates=_table(folder / "duplicates.csv"),
        montages=explanations.montages(folder / MONTAGES),
        most_rows=_MOST_ROWS,
        checklists=filled,
        environment=formatting.flat(run.environment),
    )
    return formatting.render(
        "shell.html.j2",
        name=run.config.name if run.config else folder.name,
        metrics=run.metrics,
        contents=_HEADING.findall(body),
        body=body,
    )


def _predicted(folder: Path, run: RunRecord) -> pd.DataFrame | None:
    """Return the headline split's predictions beside their truth; None where they are not there."""
    split = run.metrics.primary
    path = folder / f"predictions-{split}.csv"
    if split is None or run.cohort is None or not path.exists():
        return None
    return join(read_predictions(path), run.cohort[run.cohort["split"] == split])


def _figures(run: RunRecord, table: pd.DataFrame) -> dict[str, str]:
    if run.metrics.headline is None:
        return {}
    bootstrap = Bootstrap(_BAND_RESAMPLES, run.config.seed if run.config else 0)
    figures = draw(cases(table, run.metrics.task), run.metrics.headline, bootstrap)
    if run.summary is not None and run.cohort is not None:
        figures |= cohort.draw(run.summary, run.cohort)
    return figures


def _errors(run: RunRecord, table: pd.DataFrame | None) -> list[dict[Hashable, object]]:
    if table is None or run.metrics.headline is None:
        return []
    threshold = run.metrics.headline.threshold
    errors = confident_errors.most_confident(table, run.metrics.task, threshold, _MOST_ERRORS)
    rows: list[dict[Hashable, object]] = errors.to_dict("records")
    return rows


def _attrition(path: Path) -> TextTable | None:
    """Return how many rows of each source each rule left, where it took any out."""
    table = _table(path)
    if table is None:
        return None
    missing = [name for name in _ATTRITION if name not in table.columns]
    if missing:
        raise InputError(f"'{path}' has no column '{missing[0]}', expected {', '.join(_ATTRITION)}")
    removed = table["removed"] != "0"
    cells = table["remaining"].where(~removed, table["remaining"] + " (−" + table["removed"] + ")")
    wide = table.assign(cell=cells).pivot_table("cell", "rule", "source", "last", "", sort=False)
    kept = wide[wide.index.isin(table.loc[removed, "rule"]) | (wide.index == table["rule"].iat[0])]
    rows = tuple((rule, *row) for rule, row in zip(kept.index, kept.to_numpy(), strict=True))
    return TextTable("What each rule left", _RULES, ("rule", *wide.columns), rows, 1)


def _table(path: Path) -> pd.DataFrame | None:
    """Return a CSV as text cells; None if there is none or it has no header."""
    if not path.exists():
        return None
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        return None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is no CSV table: {error}") from error
