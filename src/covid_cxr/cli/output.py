"""What commands print: progress on a terminal, tables, a run's one-screen summary."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from covid_cxr.progress import reporting
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:  # to build the records takes as long as all other imports together
    from covid_cxr.results import RunMetrics
    from covid_cxr.results.hold_out import HoldOutValidation
    from covid_cxr.results.metrics import PointingMetrics
    from covid_cxr.results.scores import Scores

out = Console()
_SPLITS = {"test": "test split", "val": "validation split", "external": "external images"}


class _Rate(ProgressColumn):
    """Steps a second, or a minute where they take longer."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{60 * speed:.1f}/min")


@contextmanager
def progress(context: typer.Context) -> Iterator[None]:
    """Draw progress bars with the time left while the block runs, on a terminal only."""
    if not sys.stderr.isatty() or context.obj["quiet"]:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Bars(*columns, _Rate(), TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        with reporting(update):
            yield


def table(title: str, columns: Sequence[str] = ()) -> Table:
    """Return a table without lines: a first column of names, and `columns` of numbers."""
    empty = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    if columns:
        empty.add_column("", overflow="fold")
    for column in columns:
        empty.add_column(column, justify="right", no_wrap=True)
    return empty


def as_json(value: Any) -> None:
    """Print JSON."""
    sys.stdout.write(_json(value) + "\n")


def as_json_list(values: Iterable[Any]) -> None:
    """Print a JSON list, one of its values in memory at a time."""
    sys.stdout.write("[")
    for number, value in enumerate(values):
        sys.stdout.write((",\n" if number else "\n") + indent(_json(value), "  "))
    sys.stdout.write("\n]\n")


def _json(value: Any) -> str:
    """Return JSON, with letters escaped that the output's encoding may lack."""
    is_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(value, indent=2, ensure_ascii=not is_unicode)


def summarise(metrics: RunMetrics, run: Path, machine: bool) -> None:
    """Print a run's scores with intervals on one screen, and where its report lies."""
    if machine:
        as_json(metrics.model_dump(mode="json"))
        return
    split = metrics.headline or metrics.out_of_fold
    if split is None:
        return
    name = _SPLITS[metrics.primary] if metrics.primary else "out of fold"
    title = f"{metrics.model}, {metrics.task}: {name} (95 % intervals)"
    scores = table(title, ("COVID/n", "AUROC", "sensitivity", "specificity"))
    scores.add_row(*_row("pooled", split.pooled))
    for source, group in split.per_source.items():
        if len(split.per_source) > 1:
            scores.add_row(*_row(f"  {source}", group))
    scores.add_row(*_row("constant prior", split.constant_prior), style="dim")
    out.print(scores)
    for method, pointing in metrics.explanations.items():
        out.print(_pointing(method, pointing))
    if len(split.per_source) > 1:
        out.print("A pooled score may only mean that the model tells the sources apart.")
    page = run / "report.html"
    out.print(f"Report: {page if page.exists() else run / 'metrics.json'}", soft_wrap=True)
    out.print(DISCLAIMER, style="dim")


def hold_out_scores(result: HoldOutValidation, machine: bool) -> None:
    """Print the scores of hold-out validation, a line per comparison."""
    if machine:
        as_json(result.model_dump(mode="json"))
        return
    title = f"left-out sources and sites: objective {result.objective:.3f}"
    lines = table(title, ("COVID/n", "AUROC", "AP images", "PA images", "view alone"))
    for name, own in result.comparisons.items():
        scores = (own.auroc, own.within_ap, own.within_pa, own.view_alone)
        cells = (score.format(2) for score in scores)
        lines.add_row(name, f"{own.events}/{own.n}", *cells)
    out.print(lines)


def _row(name: str, scores: Scores) -> list[str]:
    estimates = (scores.auroc, scores.sensitivity, scores.specificity)
    return [name, f"{scores.events}/{scores.n}", *(score.format(2) for score in estimates)]


def _pointing(method: str, pointing: PointingMetrics) -> str:
    if pointing.hit_rate is None or pointing.inside_lungs is None:
        return f"{method}: no COVID-19 phantom was called right"
    return (
        f"{method}: the highest region falls on a true opacity in {pointing.hits} of "
        f"{pointing.images} COVID-19 phantoms called right ({pointing.hit_rate.format(2)}); "
        f"{pointing.inside_lungs:.0%} of the attribution lies inside the lungs"
    )
