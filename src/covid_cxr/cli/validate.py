"""Commands that validate: a recipe by cross-validation, a bundle on a hospital's own images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from covid_cxr.cli import output
from covid_cxr.cli.build import Out as RunOut
from covid_cxr.cli.evaluate import Prevalence
from covid_cxr.cli.options import (
    AsJson,
    CohortFile,
    Config,
    Data,
    Settings,
    data_root,
    repeat_command,
)
from covid_cxr.errors import ConfigError, InputError

if TYPE_CHECKING:
    from covid_cxr.pipeline import ExternalValidation, RunFolder
    from covid_cxr.results.external_validation import RecalibrationMetrics

MOST_FOLDS, MOST_SEEDS = 50, 50
_FOLDS = 5

Folds = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=MOST_FOLDS,
        help=f"Train and score the recipe once per fold; default {_FOLDS}. Patients stay whole.",
    ),
]
LeaveOut = Annotated[
    Literal["sources", "sites", "both"] | None,
    typer.Option(
        "--leave-out",
        help="Instead of folds, leave out whole data sets (sources), hospitals (sites) or both in "
        "turn.",
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        min=1, max=MOST_SEEDS, help="With --leave-out: trainings of each, with other random seeds."
    ),
]
Bundle = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="Model to evaluate: a bundle folder or zip.")
]
Out = Annotated[Path, typer.Option(help="New folder for scores, report and bundle.")]
Recalibrate = Annotated[
    bool,
    typer.Option(
        "--recalibrate",
        help="Also fit calibration and threshold to a part of the patients, and score the new "
        "bundle on the rest.",
    ),
]
Share = Annotated[
    float,
    typer.Option(min=0.1, max=0.9, help="With --recalibrate: share of the patients to fit to."),
]


def cross_validate(
    context: typer.Context,
    config: Config,
    cohort: CohortFile,
    data: Data = None,
    out: RunOut = None,
    settings: Settings = None,
    folds: Folds = None,
    hold_out: LeaveOut = None,
    seeds: Seeds = 3,
    json: AsJson = False,
) -> None:
    """Score a recipe by cross-validation on training and validation images; test is not read.

    Every image is scored by a model that was trained without its patient. With `--leave-out`
    also without its data set or hospital, which estimates the score at a hospital the model has
    never seen. Killed and started again, it continues with the trainings that are missing.

    Examples:

    `covid-cxr cross-validate default --cohort cohort/cohort.csv --data DATA`

    `covid-cxr cross-validate default --cohort cohort.csv --data DATA
    --leave-out both --out runs/left-out`
    """
    from covid_cxr import pipeline

    if folds and hold_out:
        raise ConfigError("--folds and --leave-out exclude each other; give one of them")
    folder = _begin_run(context, config, cohort, data, out, settings)
    with output.progress(context):
        if hold_out:
            result = pipeline.hold_out_validation(folder, seeds, hold_out)
        else:
            pipeline.cross_validate(folder, folds or _FOLDS)
    if hold_out:
        output.hold_out_scores(result, json)
    else:
        output.summarise(folder.metrics(), folder.path, json)


def _begin_run(
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


def validate(
    context: typer.Context,
    bundle: Bundle,
    cohort: CohortFile,
    out: Out,
    data: Data = None,
    recalibrate: Recalibrate = False,
    share: Share = 0.5,
    prevalence: Prevalence = None,
    settings: Settings = None,
    json: AsJson = False,
) -> None:
    """Evaluate a bundle on a hospital's own images (external validation); nothing is trained.

    Every usable image of the cohort is predicted, whatever its split; images that the bundle was
    trained on are left out. With `--recalibrate` a new bundle is written, its calibration and
    threshold fitted to a part of the patients and scored on the others.

    Examples:

    `covid-cxr validate BUNDLE --cohort cohort/cohort.csv --data DATA --out runs/here`

    `covid-cxr validate BUNDLE --cohort cohort/cohort.csv --data DATA --out runs/here --recalibrate`
    """
    from covid_cxr import config as configuration
    from covid_cxr import pipeline
    from covid_cxr.models import bundle as bundles

    with output.progress(context):
        validation = pipeline.validate(
            bundles.load(bundle),
            cohort,
            data_root(data, None),
            out,
            settings=configuration.load(None, settings or ()),
            command=repeat_command(context, out=out),
            recalibrate=recalibrate,
            share=share,
            prevalence=prevalence,
        )
    if json:
        output.as_json(validation.folder.metrics().model_dump(mode="json"))
    else:
        _print(validation, out)
    if validation.rejection:
        raise InputError(validation.rejection)


def _print(validation: ExternalValidation, out: Path) -> None:
    metrics = validation.folder.metrics()
    output.summarise(metrics, out, machine=False)
    external = metrics.external_validation
    if external is None:
        return
    if external.training_overlap:
        output.out.print(
            f"Left out: {external.training_overlap} images that the bundle was trained on, or "
            "whose patients it was trained on."
        )
    if external.recalibration:
        _print_recalibration(external.recalibration)
        line = f"New bundle {metrics.bundle}: {out / 'bundle'}"
        output.out.print(line, soft_wrap=True, highlight=False)


def _print_recalibration(change: RecalibrationMetrics) -> None:
    fit, before, after = change.fit, change.before, change.after
    output.out.print(
        f"Recalibrated on {fit.n} images of {fit.patients} patients, measured on the other "
        f"{after.n} of {after.patients}; before -> after:"
    )
    labels = {"ece": "calibration error", "brier": "Brier score"}
    for name in ("slope", "intercept", "ece", "brier", "sensitivity", "specificity"):
        label, was, is_now = labels.get(name, name), getattr(before, name), getattr(after, name)
        if was and is_now:
            output.out.print(f"  {label}: {was} -> {is_now}", highlight=False)
