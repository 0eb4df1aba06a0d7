"""`report.html`: one calm, self-contained page about one run."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from covid_cxr.errors import InputError
from covid_cxr.evaluation import wording
from covid_cxr.evaluation.figures import draw
from covid_cxr.evaluation.tables import cases, join, read_predictions
from covid_cxr.evaluation.verdict import primary, verdict
from covid_cxr.files import atomic_write
from covid_cxr.types import DISCLAIMER, FINDINGS

# A table longer than this says how many rows it leaves to its file.
_MOST_ROWS = 20


def write_report(run: Path) -> Path:
    """Write `report.html` and `figures/*.svg` into a run folder, from what stands in it.

    `metrics.json` is needed; every other file of the run folder is shown if it is there.

    Returns:
        The path of the page.

    Raises:
        InputError: no `metrics.json`, or a file of the run that is not what it should be.
    """
    run = Path(run)
    metrics = _json(run / "metrics.json")
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
            name=(_json(run / "config.json") or {}).get("name", run.name),
            disclaimer=DISCLAIMER,
            metrics=metrics,
            primary=primary(metrics),
            split_names=wording.SPLITS,
            verdict=verdict(metrics),
            figures={name: Markup(svg) for name, svg in figures.items()},
            explained=_explained(run / "explanations"),
            explanations=metrics.get("explanations") or {},
            counts=_cohort_counts(_table(run / "cohort.csv")),
            findings=FINDINGS,
            attrition=_table(run / "attrition.csv"),
            duplicates=_table(run / "duplicates.csv"),
            most_rows=_MOST_ROWS,
            environment=wording.flat(_json(run / "environment.json") or {}),
            config=_json(run / "config.json"),
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
    seed = int((_json(run / "config.json") or {}).get("seed", 0))
    answered = cases(table, metrics["task"])
    confusion = measured["pooled"]["confusion"]
    return draw(answered, confusion, measured["threshold"], draws=1000, seed=seed)


def _explained(folder: Path) -> list[dict[str, Any]]:
    """Return one card an image: its file, truth and, for each method, picture and facts."""
    cards: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        facts, picture = _json(path), path.with_suffix(".png")
        if facts is None or not picture.exists():
            continue
        file = str(facts.get("file", path.stem))
        card = cards.setdefault(file, {"file": file, "truth": facts.get("truth"), "methods": []})
        card["methods"].append(facts | {"picture": _data_url(picture)})
    return list(cards.values())


def _data_url(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


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


def _json(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds a {type(value).__name__}, expected a JSON object")
    return value
