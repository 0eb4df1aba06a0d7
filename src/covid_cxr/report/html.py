"""`report.html`: one calm, self-contained page about one run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from covid_cxr.cohort import schema
from covid_cxr.cohort.summary.summary import CohortSummary, summarise
from covid_cxr.cohort.summary.tables import TextTable, text_tables
from covid_cxr.errors import InputError
from covid_cxr.evaluation import confident_errors
from covid_cxr.evaluation.predictions import cases, join, read_predictions
from covid_cxr.evaluation.subgroups import GROUPS
from covid_cxr.files import atomic_write
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import checklists, explanations, formatting
from covid_cxr.report.figures import cohort
from covid_cxr.report.figures.performance import draw
from covid_cxr.report.verdict import verdict
from covid_cxr.results import (
    AUDIT,
    EXPLAIN_EVAL,
    FEW,
    METRICS,
    AuditResult,
    ExplanationBenchmark,
    RunMetrics,
)
from covid_cxr.types import DISCLAIMER

# A table longer than this says how many rows it leaves to its file.
_MOST_ROWS = 20
_MOST_ERRORS = 12
_BAND_RESAMPLES = 1000
MONTAGES = "montages"
_ATTRITION = ("source", "rule", "removed", "remaining")
_RULES = "Rows of each source, rule by rule; rules that took none out are not shown."
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')


@dataclass(frozen=True)
class _Run:
    """What stands in a run folder; what it lacks is None."""

    folder: Path
    metrics: RunMetrics
    config: dict[str, Any] | None
    environment: dict[str, Any] | None
    manifest: dict[str, Any] | None
    audit: AuditResult | None
    benchmark: ExplanationBenchmark | None
    cohort: pd.DataFrame | None
    account: CohortSummary | None

    @property
    def seed(self) -> int:
        return int((self.config or {}).get("seed", 0))


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
    found = _read(Path(run))
    table = _predicted(found)
    figures = {} if table is None else _figures(found, table)
    for name, svg in figures.items():
        atomic_write(found.folder / "figures" / f"{name}.svg", svg)
    filled = checklists.fill(
        checklists.Facts(
            metrics=found.metrics,
            config=found.config or {},
            environment=found.environment or {},
            manifest=found.manifest or {},
            audit=found.audit,
            cohort=found.cohort,
            account=found.account,
        )
    )
    for checklist in filled:
        atomic_write(found.folder / checklist.file, checklists.markdown(checklist))
    page = found.folder / "report.html"
    atomic_write(page, _page(found, table, figures, filled))
    return page


def _read(folder: Path) -> _Run:
    if not (folder / METRICS).exists():
        raise InputError(f"run folder '{folder}' has no {METRICS}: finish the run, then report")
    config = read_json(folder / "config.json")
    path = folder / "cohort.csv"
    cohort = schema.load(path) if path.exists() else None
    seed = int((config or {}).get("seed", 0))
    benchmark = folder / "explain-eval" / EXPLAIN_EVAL
    return _Run(
        folder=folder,
        metrics=RunMetrics.read(folder / METRICS),
        config=config,
        environment=read_json(folder / "environment.json"),
        manifest=read_json(folder / "bundle" / "manifest.json"),
        audit=AuditResult.read(folder / AUDIT) if (folder / AUDIT).exists() else None,
        benchmark=ExplanationBenchmark.read(benchmark) if benchmark.exists() else None,
        cohort=cohort,
        account=None if cohort is None else summarise(cohort, seed=seed),
    )


def _page(
    run: _Run,
    table: pd.DataFrame | None,
    figures: dict[str, str],
    filled: tuple[checklists.Filled, ...],
) -> str:
    templates = formatting.templates()
    cards = explanations.examples(run.folder / "explanations")
    body = templates.get_template("report.html.j2").render(
        disclaimer=DISCLAIMER,
        metrics=run.metrics,
        primary=run.metrics.primary,
        split_names=formatting.SPLITS,
        group_names=GROUPS,
        few=FEW,
        verdict=verdict(run.metrics, run.audit),
        audit=run.audit,
        figures={name: Markup(svg) for name, svg in figures.items()},
        example_cards=[card for card in cards if not card.is_error],
        error_cards=[card for card in cards if card.is_error],
        errors=_errors(run, table),
        benchmark=run.benchmark,
        measures=explanations.MEASURES,
        explanations=run.metrics.explanations,
        account=run.account,
        cohort_tables=[] if run.account is None else text_tables(run.account),
        attrition=_attrition(run.folder / "attrition.csv"),
        duplicates=_table(run.folder / "duplicates.csv"),
        montages=explanations.montages(run.folder / MONTAGES),
        most_rows=_MOST_ROWS,
        checklists=filled,
        environment=formatting.flat(run.environment or {}),
        manifest=run.manifest,
        config=run.config,
    )
    return templates.get_template("shell.html.j2").render(
        name=(run.config or {}).get("name", run.folder.name),
        metrics=run.metrics,
        disclaimer=DISCLAIMER,
        contents=[(name, Markup(title)) for name, title in _HEADING.findall(body)],
        body=Markup(body),
    )


def _predicted(run: _Run) -> pd.DataFrame | None:
    """Return the headline split's predictions beside their truth; None where they are not there."""
    split = run.metrics.primary
    path = run.folder / f"predictions-{split}.csv"
    if split is None or run.cohort is None or not path.exists():
        return None
    return join(read_predictions(path), run.cohort[run.cohort["split"] == split])


def _figures(run: _Run, table: pd.DataFrame) -> dict[str, str]:
    if run.metrics.headline is None:
        return {}
    answered, bootstrap = cases(table, run.metrics.task), Bootstrap(_BAND_RESAMPLES, run.seed)
    drawn = draw(answered, run.metrics.headline, bootstrap)
    if run.account is not None and run.cohort is not None:
        drawn |= cohort.draw(run.account, run.cohort)
    return drawn


def _errors(run: _Run, table: pd.DataFrame | None) -> list[dict[str, Any]]:
    if table is None or run.metrics.headline is None:
        return []
    threshold = run.metrics.headline.threshold
    errors = confident_errors.most_confident(table, run.metrics.task, threshold, _MOST_ERRORS)
    rows: list[dict[str, Any]] = errors.to_dict("records")
    return rows


def _attrition(path: Path) -> TextTable | None:
    """Return how many rows of each source each rule left, where it took any out."""
    table = _table(path)
    if table is None:
        return None
    missing = [name for name in _ATTRITION if name not in table.columns]
    if missing:
        raise InputError(f"'{path}' has no column '{missing[0]}', expected {', '.join(_ATTRITION)}")
    sources = list(dict.fromkeys(table["source"]))
    left = {
        (row.rule, row.source): row.remaining + (f" (−{row.removed})" if row.removed != "0" else "")
        for row in table.itertuples()
    }
    kept = [*table["rule"].iloc[:1], *table.loc[table["removed"] != "0", "rule"]]
    rows = tuple(
        (rule, *(left.get((rule, source), "") for source in sources))
        for rule in dict.fromkeys(table["rule"])
        if rule in set(kept)
    )
    return TextTable("What each rule left", _RULES, ("rule", *sources), rows, 1)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object from a file; None where there is no such file.

    Raises:
        InputError: it is no JSON, or no object.
    """
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds a {type(value).__name__}, expected a JSON object")
    return value


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
