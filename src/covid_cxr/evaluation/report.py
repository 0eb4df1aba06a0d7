"""`report.html`: one calm, self-contained page about one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from covid_cxr.errors import InputError
from covid_cxr.evaluation import explanations, wording
from covid_cxr.evaluation.explanations import read_json
from covid_cxr.evaluation.figures import draw
from covid_cxr.evaluation.tables import cases, join, read_predictions
from covid_cxr.evaluation.verdict import primary, verdict
from covid_cxr.files import atomic_write
from covid_cxr.types import DISCLAIMER, FINDINGS

# A table longer than this says how many rows it leaves to its file.
_MOST_ROWS = 20
# Where the command of that name leaves its findings in a run folder.
EXPLAIN_EVAL = "explain-eval/explain-eval.json"


def write_report(run: Path) -> Path:
    """Write `report.html` and `figures/*.svg` into a run folder, from what stands in it.

    `metrics.json` is needed; every other file of the run folder is shown if it is there.

    Returns:
        The path of the page.

    Raises:
        InputError: no `metrics.json`, or a file of the run that is not what it should be.
    """
    run = Path(run)
    metrics = read_json(run / "metrics.json")
    if metrics is None:
        raise InputError(f"run folder '{run}' has no metrics.json: finish the run, then report")
    figures = _figures(run, metrics)
    for name, svg in figures.items():
        atomic_write(run / "figures" / f"{name}.svg", svg)
    page = run / "report.html"
    atomic_write(page, _page(run, metrics, figures))
    return page


def _page(run: Path, metrics: dict[str, Any], figures: dict[str, str]) -> str:
    return (
        wording.templates()
        .get_template("report.html.j2")
        .render(
            name=(read_json(run / "config.json") or {}).get("name", run.name),
            disclaimer=DISCLAIMER,
            metrics=metrics,
            primary=primary(metrics),
            split_names=wording.SPLITS,
            verdict=verdict(metrics),
            figures={name: Markup(svg) for name, svg in figures.items()},
            explained=explanations.examples(run / "explanations"),
            methods=explanations.measured(run / EXPLAIN_EVAL),
            measures=list(explanations.MEASURES.values()),
            explanations=metrics.get("explanations") or {},
            counts=_cohort_counts(_table(run / "cohort.csv")),
            findings=FINDINGS,
            attrition=_table(run / "attrition.csv"),
            duplicates=_table(run / "duplicates.csv"),
            most_rows=_MOST_ROWS,
            environment=wording.flat(read_json(run / "environment.json") or {}),
            config=read_json(run / "config.json"),
        )
    )


def _figures(run: Path, metrics: dict[str, Any]) -> dict[str, str]:
    split = primary(metrics)
    cohort = _table(run / "cohort.csv")
    predictions = run / f"predictions-{split}.csv"
    if split is None or cohort is None or not predictions.exists():
        return {}
    table = join(read_predictions(predictions), cohort[cohort["split"] == split])
    measured = metrics["splits"][split]
    seed = int((read_json(run / "config.json") or {}).get("seed", 0))
    answered = cases(table, metrics["task"])
    confusion = measured["pooled"]["confusion"]
    return draw(answered, confusion, measured["threshold"], draws=1000, seed=seed)


def _cohort_counts(cohort: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return one row a source and split: images, patients and images of each finding."""
    if cohort is None:
        return []
    order = {name: place for place, name in enumerate(("train", "val", "test", "external"))}
    rows = [
        {
            "source": source,
            "split": split,
            "images": len(group),
            "patients": group["patient_id"].nunique(),
            **{finding: int((group["finding"] == finding).sum()) for finding in FINDINGS},
        }
        for (source, split), group in cohort.groupby(["source", "split"])
    ]
    return sorted(rows, key=lambda row: (row["source"], order.get(row["split"], len(order))))


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
