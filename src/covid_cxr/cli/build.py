"""Commands that make models: demo, run, train, export, models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covid_cxr.cli import audit, output
from covid_cxr.cli.options import (
    AsJson,
    CohortFile,
    Config,
    Data,
    RunFolderPath,
    Runs,
    Seed,
    Settings,
    data_root,
    repeat_command,
    with_runs,
)

if TYPE_CHECKING:
    from covid_cxr.pipeline import RunFolder

Out = Annotated[
    Path | None, typer.Option(help="Run folder; default runs/NAME, by the `name` in CONFIG.")
]


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for images, model and report.")] = Path(
        "runs/demo"
    ),
    rigged: Annotated[
        bool,
        typer.Option(
            "--rigged",
            help="Take all COVID-19 from one hospital, a shortcut the audit should find.",
        ),
    ] = False,
    seed: Seed = 2020,
    json: AsJson = False,
) -> None:
    """Show everything on synthetic radiographs: train, audit, evaluate, explain and report.

    Takes some minutes and no data. The page to open afterwards is report.html in the run folder.

    Examples:

    `covid-cxr demo`

    `covid-cxr demo --rigged --out runs/shortcut`
    """
    from covid_cxr import pipeline

    with output.progress(context):
        folder = pipeline.demo(out, command=repeat_command(context), rigged=rigged, seed=seed)
    _finish(folder, json)


def run(
    context: typer.Context,
    config: Config,
    data: Data = None,
    out: Out = None,
    settings: Settings = None,
    runs: Runs = None,
    json: AsJson = False,
) -> None:
    """Do everything on real data: build a cohort, train, audit, evaluate, explain and report.

    Stopped and started again, the same command continues where it was. The page to open afterwards
    is report.html in the run folder.

    Example: `covid-cxr run seed-protocol --data DATA -s model=dcnn-resnet`
    """
    from covid_cxr import config as configuration
    from covid_cxr import pipeline

    settings = with_runs(settings, runs)
    chosen = configuration.load(config, settings)
    out = out or Path("runs") / chosen.name
    with output.progress(context):
        folder = pipeline.run(
            chosen,
            data_root(data, chosen.data_root),
            out,
            command=repeat_command(context),
            processes=os.cpu_count() or 1,
        )
    _finish(folder, json)


def _finish(folder: RunFolder, json: bool) -> None:
    """Print scores and what the audit says of them."""
    metrics, result = folder.metrics(), folder.audit()
    if json:
        verdict = result.model_dump(include={"verdict", "summary"}) if result else None
        output.as_json(metrics.model_dump(mode="json") | {"audit": verdict})
        return
    output.summarise(metrics, folder.path, json)
    if result:
        output.out.print(f"Shortcut audit: {result.summary}", style=audit.STYLES[result.verdict])
        output.out.print(f"Each check: covid-cxr audit {folder.path}", soft_wrap=True)


def train(
    context: typer.Context,
    config: Config,
    cohort: CohortFile,
    data: Data = None,
    out: Out = None,
    settings: Settings = None,
    runs: Runs = None,
) -> None:
    """Train a model on a cohort and calibrate it; the test split is not read.

    The run folder then holds the bundle, which `covid-cxr evaluate` scores on the test split.

    Example: `covid-cxr train default --cohort cohort/cohort.csv --data DATA --runs 3`
    """
    import covid_cxr
    from covid_cxr import config as configuration

    chosen = configuration.load(config, with_runs(settings, runs))
    root, folder = data_root(data, chosen.data_root), out or Path("runs") / chosen.name
    command = repeat_command(context)
    with output.progress(context):
        made = covid_cxr.train_run(chosen, cohort, folder, data=root, command=command)
    output.out.print(f"Bundle {made.id}: {made.folder}", soft_wrap=True)
    output.out.print(f"Next: covid-cxr evaluate {folder}", soft_wrap=True)


def export(
    run: RunFolderPath,
    out: Annotated[
        Path, typer.Option(help="Where to write it: a folder, or a zip if it ends in .zip.")
    ],
    weights: Annotated[
        bool, typer.Option(help="Include the weights, which Grad-CAM and further training need.")
    ] = True,
) -> None:
    """Copy the model of a run, as a bundle that `predict` takes, to a folder or a zip.

    A bundle holds all that a prediction needs, and is verified by its hashes.

    Example: `covid-cxr export runs/default --out default.zip --no-weights`
    """
    from covid_cxr import pipeline
    from covid_cxr.inference.runtime import require_finite
    from covid_cxr.models import bundle

    made = pipeline.RunFolder.open(run).bundle()
    require_finite(made)
    copied = bundle.copy(made, out, weights=weights)
    output.out.print(f"Bundle {copied.id}: {out}", soft_wrap=True)


def models(json: AsJson = False) -> None:
    """List the networks that can be trained and the model that ships in the package.

    Example: `covid-cxr models --json`
    """
    import covid_cxr

    shipped = covid_cxr.default_bundle()
    architectures = sorted(covid_cxr.architectures())
    if json:
        manifest = shipped.manifest.model_dump(mode="json")
        output.as_json({"architectures": architectures, "default_bundle": manifest})
        return
    output.out.print("Architectures: " + ", ".join(architectures))
    made = shipped.manifest
    what = f"{made.name} {made.id} ({made.architecture}, {made.task})"
    output.out.print(f"Default bundle: {what}, card in {shipped.folder}", soft_wrap=True)
