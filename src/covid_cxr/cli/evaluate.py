"""The command evaluate: a run on its test split, or a bundle on a hospital's own images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, Settings, data_root, repeat_command
from covid_cxr.errors import ConfigError, InputError

if TYPE_CHECKING:
    from covid_cxr.pipeline import ExternalValidation
    from covid_cxr.results.external_validation import RecalibrationMetrics


Run = Annotated[
    Path | None, typer.Argument(metavar="[RUN]", help="Run folder, for its test split.")
]
Model = Annotated[Path | None, typer.Option(help="Bundle, for your own images.")]
Cohort = Annotated[
    Path | None, typer.Option(help="With --model: cohort.csv made by `cohort build`.")
]
Out = Annotated[Path | None, typer.Option(help="With --model: folder for the report.")]
Recalibrate = Annotated[
    bool, typer.Option("--recalibrate", help="Fit to half of the patients, test on the rest.")
]
Share = Annotated[
    float, typer.Option(min=0.1, max=0.9, help="With --recalibrate: share to fit to.")
]
Prevalence = Annotated[
    float | None,
    typer.Option(help="Share of patients with COVID-19 to report for as well, such as 0.05."),
]


def evaluate(
    context: typer.Context,
    run: Run = None,
    model: Model = None,
    cohort: Cohort = None,
    data: Data = None,
    out: Out = None,
    recalibrate: Recalibrate = False,
    share: Share = 0.5,
    prevalence: Prevalence = None,
    settings: Settings = None,
    json: AsJson = False,
) -> None:
    """Evaluate a run on its test split, or a bundle on your own images, with intervals, per source.

    With `--model` nothing is trained: every usable image of the cohort is predicted, and the same
    report is written. With `--recalibrate` a new bundle is written, with its calibration and
    threshold fitted to your images, and evaluated on patients that it was not fitted to. With
    `--prevalence` the report also says what the threshold and the probabilities mean where
    COVID-19 has that share; nothing but the report and `metrics.json` depends on it.

    Examples:

    `covid-cxr evaluate runs/default`

    `covid-cxr evaluate runs/default --prevalence 0.05`

    `covid-cxr evaluate --model BUNDLE --cohort cohort.csv --data DATA --out here --recalibrate`
    """
    from covid_cxr import config as configuration
    from covid_cxr import pipeline
    from covid_cxr.models import bundle

    external = {"--model": model, "--cohort": cohort, "--out": out}
    if run is not None:
        others = {"--data": data, "--recalibrate": recalibrate or None, "-s": settings or None}
        given = [name for name, value in (external | others).items() if value is not None]
        if given:
            raise ConfigError(
                f"{given[0]} is for a bundle on your own images, RUN for a run on its test split; "
                "give one of them"
            )
        with output.progress(context):
            folder = pipeline.evaluate(pipeline.RunFolder.open(run), prevalence=prevalence)
        output.summarise(folder.metrics(), run, json)
        return
    if model is None or cohort is None or out is None:
        missing = next(name for name, value in external.items() if value is None)
        raise ConfigError(
            f"{missing} is missing: give a RUN folder, or --model, --cohort, --data and --out"
        )
    with output.progress(context):
        validation = pipeline.validate(
            bundle.load(model),
            cohort,
            data_root(data, None),
            out,
            settings=configuration.load(None, settings or []),
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
