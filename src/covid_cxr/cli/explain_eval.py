"""The command that measures explanations: explain-eval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, Seed, Threads, data_root, repeat_command
from covid_cxr.config.audit import Budget
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.results import Estimate, ExplanationBenchmark

Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Run folder, made by `cross-validate`, `demo` or `run`."),
]
Images = Annotated[
    int | None, typer.Option(min=1, help="Explain so many images at most; default: all.")
]
Effort = Annotated[
    Budget, typer.Option(help="quick for a first look, with fewer samples; full for publication.")
]

_COLUMNS = {
    "peak_hit": "peak hits",
    "mass_opacities": "mass",
    "iou": "IoU",
    "auprc": "AUPRC",
    "auprc_lungs": "in lungs",
    "gain": "faithful",
}


def explain_eval(
    context: typer.Context,
    run: Run,
    data: Data = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="YAML",
            help="Methods and their settings, as a YAML list or a file with one; default: all. "
            "Methods: {explainers}.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=10,
            max=100_000,
            help="Changed images shown to the model for LIME; default: 300 if quick, 1000 if full.",
        ),
    ] = None,
    images: Images = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and page; default: RUN/explain-eval.")
    ] = None,
    budget: Effort = "quick",
    seed: Seed = 0,
    threads: Threads = None,
    json: AsJson = False,
) -> None:
    """Compare explanation methods: do they point at the opacities, and at what the model uses?

    Images with opacities drawn by radiologists (or by phantoms) are explained by a model that was
    trained without their patients. Measured are the overlap with the opacities, how much the score
    falls where the explanation points, and how much the explanation changes with noise, with the
    random seed and with random labels; beside simple baselines.

    A method is a name, or a mapping with its settings, as in the example. Stopped and started
    again, the same command continues, and it measures only methods that are new.

    Examples:

    `covid-cxr explain-eval runs/oof --data DATA --budget full`

    `covid-cxr explain-eval runs/demo --methods '[cam, {method: lime, superpixels: lungs}]'`
    """
    import yaml

    from covid_cxr import explanation_benchmark as benchmark
    from covid_cxr.pipeline import RunFolder
    from covid_cxr.report.html import write_report

    chosen = benchmark.default_methods() if methods is None else benchmark.read_methods(methods)
    settings = benchmark.Settings.of(budget, chosen, samples=samples, seed=seed, images=images)
    folder = RunFolder.open(run)
    listed = [method.model_dump() for method in chosen]
    flow = yaml.safe_dump(listed, default_flow_style=True, sort_keys=False, width=1_000_000)
    repeated = {"run": "RUN", "methods": flow.strip(), "samples": settings.samples}
    target = out or run / "explain-eval"
    with output.progress(context):
        result = benchmark.explain_eval(
            folder,
            data_root(data, folder.config.data_root),
            target,
            settings,
            command=repeat_command(context, budget=budget, **repeated),
            threads=threads,
        )
    if (run / "report.html").exists():
        write_report(run)
    if json:
        output.as_json(result.model_dump(mode="json"))
        return
    _print(result, target)


def _print(result: ExplanationBenchmark, out: Path) -> None:
    subset = result.subsets["all"]
    title = f"{subset.images} images of {subset.patients} patients, {result.held_out}"
    table = output.table(title, (*_COLUMNS.values(), "s/image"))
    baselines = [name for name in subset.methods if name not in result.seconds]
    for name in (*result.seconds, *baselines):
        cells = [_value(subset.methods[name].get(column)) for column in _COLUMNS]
        seconds = result.seconds.get(name)
        time = "" if seconds is None else f"{seconds:.2f}"
        table.add_row(name, *cells, time, style="dim" if name in baselines else None)
    output.out.print(table)
    for name, reason in result.rejected.items():
        output.out.print(f"{name} left out: {reason}", soft_wrap=True, markup=False)
    output.out.print(f"Intervals and all else: {out / 'explain-eval.md'}", soft_wrap=True)
    output.out.print(DISCLAIMER, style="dim")


def _value(score: Estimate | None) -> str:
    return "-" if score is None or score.value is None else f"{score.value:.2f}"
