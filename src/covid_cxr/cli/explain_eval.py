"""The command that measures explanations: explain-eval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, command, data_root
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.explanation_benchmark import Budget
else:
    from typing import Literal

    Budget = Literal["quick", "full"]

_COLUMNS = {
    "peak_hit": "peak hits",
    "mass_opacities": "mass",
    "iou": "IoU",
    "auprc": "AUPRC",
    "auprc_lungs": "in lungs",
    "gain": "faithful",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("explain-eval")(explain_eval)


def explain_eval(
    context: typer.Context,
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of train --folds, demo or run.")
    ],
    data: Data = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Such as cam,lime,lime:lungs,blur; default: all, and some of LIME's."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=10, help="Of LIME; default 300 when quick, 1000 when full.")
    ] = None,
    films: Annotated[int | None, typer.Option(min=1, help="At most so many, drawn.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/explain-eval.")] = None,
    budget: Annotated[Budget, typer.Option(help="A quick look, or numbers to report.")] = "quick",
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default all.")] = None,
    json: AsJson = False,
) -> None:
    """Measure explanations: against radiologists' masks, the model itself, noise, seeds, chance.

    Every film with drawn opacities is explained by a model that has not seen its patient. A
    method may carry options behind a colon: what regions follow (quickshift, slic, lungs, grid),
    what hides them (mean, dark, blur, dataset), and numbers such as samples=300.

    The same command goes on where it was stopped, and measures only methods that are new.

    Examples:

    `covid-cxr explain-eval runs/oof --data DATA --budget full`

    `covid-cxr explain-eval runs/demo --methods cam,lime,lime:lungs,dark,occlusion`
    """
    from covid_cxr import explanation_benchmark as evaluation
    from covid_cxr.pipeline import RunFolder
    from covid_cxr.report.html import write_report

    chosen = (
        evaluation.parse(methods)
        if methods is not None
        else evaluation.variants(evaluation.default_methods())
    )
    settings = evaluation.settings(budget, tuple(chosen), samples=samples, seed=seed, films=films)
    folder = RunFolder.open(run)
    words = ["explain-eval", "RUN", "--data", "DATA", "--budget", budget, "--seed", str(seed)]
    words += ["--methods", ",".join(each.name for each in chosen)]
    words += ["--samples", str(settings.samples), *(["--films", str(films)] if films else [])]
    target = out or run / "explain-eval"
    with output.progress(context):
        found = evaluation.explain_eval(
            folder,
            data_root(data, folder.config.data_root),
            target,
            settings,
            command=command(*words),
            threads=threads,
        )
    if (run / "report.html").exists():
        write_report(run)
    if json:
        output.as_json(found)
        return
    _tell(found, target)


def _tell(found: Mapping[str, Any], out: Path) -> None:
    subset = found["subsets"]["all"]
    title = f"{subset['films']} films of {subset['patients']} patients, {found['left_out']}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    table.add_column("")
    for column in (*_COLUMNS.values(), "s/film"):
        table.add_column(column, justify="right", no_wrap=True)
    baselines = [name for name in subset["methods"] if name not in found["seconds"]]
    for name in (*found["seconds"], *baselines):
        cells = [_value(subset["methods"][name].get(column)) for column in _COLUMNS]
        seconds = found["seconds"].get(name)
        time = "" if seconds is None else f"{seconds:.2f}"
        table.add_row(name, *cells, time, style="dim" if name in baselines else None)
    output.out.print(table)
    for name, why in found["refused"].items():
        output.out.print(f"{name} left out: {why}", soft_wrap=True, markup=False)
    output.out.print(f"Intervals and all else: {out / 'explain-eval.md'}", soft_wrap=True)
    output.out.print(DISCLAIMER, style="dim")


def _value(score: Mapping[str, Any] | None) -> str:
    return "-" if score is None or score["value"] is None else f"{score['value']:.2f}"
