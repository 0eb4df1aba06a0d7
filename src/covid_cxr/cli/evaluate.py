"""The command evaluate: a run's bundle on its test split."""

from __future__ import annotations

from typing import Annotated

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, RunFolderPath

Prevalence = Annotated[
    float | None,
    typer.Option(
        help="Also report predictive values for this share of COVID-19, such as 0.05, instead of "
        "the share in the images."
    ),
]


def evaluate(
    context: typer.Context,
    run: RunFolderPath,
    prevalence: Prevalence = None,
    json: AsJson = False,
) -> None:
    """Evaluate a run's model on its test split: scores with 95 % intervals, pooled and per source.

    Writes metrics.json, predictions, explained examples and report.html into the run folder. The
    run records each evaluation, because a test split that is read often is no test any more.

    Examples:

    `covid-cxr evaluate runs/default`

    `covid-cxr evaluate runs/default --prevalence 0.05`
    """
    import covid_cxr

    with output.progress(context):
        metrics = covid_cxr.evaluate_run(run, prevalence=prevalence)
    output.summarise(metrics, run, json)
