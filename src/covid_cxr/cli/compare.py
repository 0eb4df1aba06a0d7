"""The command `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.evaluation.paired_runs import PredictedSplit
    from covid_cxr.results import Estimate
    from covid_cxr.results.comparison import ComparedGroup, ScoreDifferences
else:
    from typing import Literal

    PredictedSplit = Literal["test", "val", "external", "oof"]

_COLUMNS = {
    "auroc": "AUROC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier",
}


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="Two run folders or more; the others are compared with the first.",
        ),
    ],
    split: Annotated[
        PredictedSplit, typer.Option(help="Images to compare on; oof: those of cross-validation.")
    ] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page, table and figure of the comparison.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Random seed of the resamples; default: the first run's."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare runs with the first one, on the images that all of them predicted.

    Differences have 95 % intervals and are paired: a resample takes the same patients for both.
    Stored predictions are read, and no image.

    Examples:

    `covid-cxr compare runs/default runs/seed-protocol`

    `covid-cxr compare runs/default runs/dcnn --split val --out runs/default-dcnn`
    """
    from covid_cxr.evaluation.compare import compare as compare_runs
    from covid_cxr.report.comparison_page import sentences, write_comparison

    comparison = compare_runs(runs, split, seed=seed)
    page = write_comparison(comparison, out) if out else None
    if json:
        output.as_json(comparison.model_dump(mode="json"))
        return
    output.out.print(f"Images of split {comparison.split} that all answered, 95 % intervals")
    for name, group in comparison.groups.items():
        output.out.print(_table(name, group))
    for sentence in sentences(comparison):
        output.out.print(sentence, markup=False, highlight=False)
    if page:
        output.out.print(f"Page: {page}", soft_wrap=True, markup=False)
    output.out.print(DISCLAIMER, style="dim")


def _table(name: str, group: ComparedGroup) -> Table:
    title = f"{escape(name)}: {group.n} images, {group.events} with COVID-19"
    table = output.table(title, (*_COLUMNS.values(), "AUROC differs"))
    for run, scores in group.runs.items():
        cells = (_cell(getattr(scores, key)) for key in _COLUMNS)
        table.add_row(escape(run), *cells, _difference(group.differences.get(run)))
    return table


def _difference(scores: ScoreDifferences | None) -> str:
    if scores is None:
        return ""
    p = scores.auroc_delong.p
    p_value = "" if p is None else "\np < 0.001" if p < 0.001 else f"\np = {p:.3f}"
    return _cell(scores.auroc, signed=True) + p_value


def _cell(score: Estimate, *, signed: bool = False) -> str:
    """Return the value, and on a second line its interval."""
    value = type(score)(value=score.value).format(2, signed=signed)
    return "\n".join(filter(None, (value, score.format_interval(2, signed=signed))))
