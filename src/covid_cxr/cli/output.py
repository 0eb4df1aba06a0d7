"""What commands print: progress on a terminal, tables, a run's one-screen summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from covid_cxr.progress import reporting
from covid_cxr.types import DISCLAIMER

out = Console()
# The first that a run has measured is shown.
_SPLITS = {"test": "test split", "val": "validation split", "external": "external films"}


@contextmanager
def progress(context: typer.Context) -> Iterator[None]:
    """Draw progress bars with the time left while the block runs, on a terminal only."""
    if not sys.stderr.isatty() or context.obj["quiet"]:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        with reporting(update):
            yield


def as_json(value: Any) -> None:
    """Print for a machine."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def summarise(metrics: Mapping[str, Any], run: Path, machine: bool) -> None:
    """Print a run's scores with intervals on one screen, and where its report lies."""
    if machine:
        as_json(metrics)
        return
    split = next((name for name in _SPLITS if name in metrics["splits"]), None)
    measured = metrics["splits"][split] if split else metrics["out_of_fold"]
    name = _SPLITS[split] if split else "out of fold"
    title = f"{metrics['model']}, {metrics['task']}: {name} (95 % intervals)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "COVID/n", "AUROC", "sensitivity", "specificity"):
        table.add_column(column, justify="left" if column == "" else "right", no_wrap=True)
    table.add_row(*_row("pooled", measured["pooled"]))
    for source, block in measured["per_source"].items():
        if len(measured["per_source"]) > 1:
            table.add_row(*_row(f"  {source}", block))
    table.add_row(*_row("constant prior", measured["constant_prior"]), style="dim")
    out.print(table)
    for method, found in metrics.get("explanations", {}).items():
        out.print(_pointing(method, found))
    if len(measured["per_source"]) > 1:
        out.print("A pooled score may only mean that the model tells the sources apart.")
    page = run / "report.html"
    out.print(f"Report: {page if page.exists() else run / 'metrics.json'}", soft_wrap=True)
    out.print(DISCLAIMER, style="dim")


def hold_out_scores(result: Mapping[str, Any], machine: bool) -> None:
    """Print the scores of hold-out validation, a line per comparison."""
    if machine:
        as_json(result)
        return
    title = f"left-out sources and sites: objective {result['objective']:.3f}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for column in ("", "COVID/n", "AUROC", "AP images", "PA images", "view alone"):
        table.add_column(column, justify="left" if column == "" else "right", no_wrap=True)
    for name, found in result["comparisons"].items():
        scores = [found[key] for key in ("auroc", "within_ap", "within_pa", "view_alone")]
        table.add_row(name, f"{found['events']}/{found['n']}", *(interval(each) for each in scores))
    out.print(table)


def _row(name: str, block: Mapping[str, Any]) -> list[str]:
    scores = [interval(block[score]) for score in ("auroc", "sensitivity", "specificity")]
    return [name, f"{block['events']}/{block['n']}", *scores]


def _pointing(method: str, found: Mapping[str, Any]) -> str:
    if not found["images"]:
        return f"{method}: no COVID-19 phantom was called right"
    return (
        f"{method}: the highest region falls on a true opacity in {found['hits']} of "
        f"{found['images']} COVID-19 phantoms called right ({interval(found['hit_rate'])}); "
        f"{found['inside_lungs']:.0%} of the attribution lies inside the lungs"
    )


def interval(score: Mapping[str, float | None]) -> str:
    """Return "0.93 (0.90-0.96)", or a dash where the score is not defined.

    >>> interval({"value": 0.931, "low": 0.9, "high": 0.957})
    '0.93 (0.90-0.96)'
    """
    value, low, high = score["value"], score["low"], score["high"]
    if value is None:
        return "-"
    if low is None or high is None or low == high:
        return f"{value:.2f}"
    return f"{value:.2f} ({low:.2f}-{high:.2f})"
