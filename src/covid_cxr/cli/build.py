"""Commands that make models: demo, run, train, export, models."""

from __future__ import annotations

import os
from collections.abc import Sequence
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

Out = Annotated[Path | None, typer.Option(help="Run folder; default runs/ and the config's name.")]


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/demo"),
    rigged: Annotated[bool, typer.Option(help="Shortcut: all COVID-19 from one hospital.")] = False,
    seed: Seed = 2020,
    json: AsJson = False,
) -> None:
    """Run the whole pipeline on synthetic radiographs, in minutes.

    Example: `covid-cxr demo --out runs/demo`
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
    """Build a cohort, train, audit, evaluate, explain and report, on real data.

    The same command on the same folder continues where it was stopped.

    Example: `covid-cxr run configs/seed-protocol.yaml --data DATA -s model=dcnn-resnet`
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

    Example: `covid-cxr train configs/default.yaml --cohort cohort/cohort.csv --data DATA --runs 3`
    """
    from covid_cxr import pipeline

    folder = begin_run(context, config, cohort, data, out, with_runs(settings, runs))
    with output.progress(context):
        made = pipeline.train(folder)
    output.out.print(f"Bundle {made.id}: {made.folder}", soft_wrap=True)
    output.out.print(f"Next: covid-cxr evaluate {folder.path}", soft_wrap=True)


def begin_run(
    context: typer.Context,
    config: Path,
    cohort: Path,
    data: Path | None,
    out: Path | None,
    settings: Sequence[str] | None,
) -> RunFolder:
    """Start the run folder of a recipe on a cohort, or continue it.

    Raises:
        InputError: the configuration, the cohort or the data root cannot be used.
        LeakError: a patient of the cohort is in two splits.
    """
    from covid_cxr import config as configuration
    from covid_cxr import pipeline
    from covid_cxr.cohort import schema

    chosen = configuration.load(config, settings or ())
    root = data_root(data, chosen.data_root)
    table = schema.load(cohort)
    path = out or Path("runs") / chosen.name
    folder = pipeline.RunFolder.create(path, chosen, root, repeat_command(context))
    folder.put_cohort(table)
    return folder


def export(
    run: RunFolderPath,
    out: Annotated[Path, typer.Option(help="Folder, or zip if it ends in .zip.")],
    weights: Annotated[bool, typer.Option(help="Include weights to train on.")] = True,
) -> None:
    """Copy a run's bundle, verified, to a folder or a zip.

    Example: `covid-cxr export runs/default --out default.zip --no-weights`
    """
    from covid_cxr import pipeline
    from covid_cxr.models import bundle

    made = pipeline.RunFolder.open(run).bundle()
    copied = bundle.copy(made, out, weights=weights)
    output.out.print(f"Bundle {copied.id}: {out}", soft_wrap=True)


def models(json: AsJson = False) -> None:
    """List the architectures that can be trained and the bundle that ships.

    Example: `covid-cxr models --json`
    """
    from covid_cxr import default_bundle, registry
    from covid_cxr.models import zoo

    shipped = default_bundle()
    architectures = sorted(registry.names(zoo.ARCHITECTURES, zoo.GROUP))
    if json:
        manifest = shipped.manifest.model_dump(mode="json")
        output.as_json({"architectures": architectures, "default_bundle": manifest})
        return
    output.out.print("Architectures: " + ", ".join(architectures))
    made = shipped.manifest
    what = f"{made.name} {made.id} ({made.architecture}, {made.task})"
    output.out.print(f"Default bundle: {what}, card in {shipped.folder}", soft_wrap=True)
