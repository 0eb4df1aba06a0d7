"""The command that holds runs against each other: compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.evaluation.paired_runs import Split
else:
    from typing import Literal

    Split = Literal["test", "val", "external", "oof"]

_COLUMNS = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(compare)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Run folders.")],
    split: Annotated[Split, typer.Option(help="Whose predictions; oof is out of fold.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Folder for compare.html, .csv, .svg.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the bootstrap; default the first run's.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare runs on the images that all answered, against the first named.

    Differences are paired: the same patients are drawn for both. Reads predictions only.

    Examples:

    `covid-cxr compare runs/default runs/seed-protocol`

    `covid-cxr compare runs/default runs/dcnn --split val --out runs/default-dcnn`
    """
    from covid_cxr.evaluation import compare as comparing

    found = comparing.compare(runs, split, seed=seed)
    page = comparing.write_comparison(found, out) if out else None
    if json:
        output.as_json(found)
        return
    output.out.print(f"Images of split {found['split']} that all answered, 95 % intervals")
    for group, block in found["groups"].items():
        output.out.print(_table(group, block))
    for sentence in comparing.sentences(found):
        output.out.print(sentence, markup=False, highlight=False)
    if page:
        output.out.print(f"Page: {page}", soft_wrap=True, markup=False)
    output.out.print(DISCLAIMER, style="dim")


def _table(group: str, block: Mapping[str, Any]) -> Table:
    title = f"{escape(group)}: {block['n']} images, {block['events']} with COVID-19"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", overflow="fold")
    for column in (*_COLUMNS.values(), "AUROC differs"):
        table.add_column(column, justify="right", no_wrap=True)
    for run, scores in block["runs"].items():
        gap = block["differences"].get(run)
        table.add_row(escape(run), *(_cell(scores[key]) for key in _COLUMNS), _gap(gap))
    return table


def _gap(gap: Mapping[str, Any] | None) -> str:
    if gap is None:
        return ""
    p = gap["auroc_delong"]["p"]
    said = "" if p is None else "\np < 0.001" if p < 0.001 else f"\np = {p:.3f}"
    return _cell(gap["auroc"], "+") + said


def _cell(score: Mapping[str, float | None], sign: str = "") -> str:
    """Return the value, and on a second line its interval."""
    value, low, high = score["value"], score["low"], score["high"]
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f}\n{low:{sign}.2f}{' to ' if sign else '-'}{high:{sign}.2f}"
