"""The command that audits a run for shortcuts: audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, RunFolderPath
from covid_cxr.config.audit import Budget
from covid_cxr.types import DISCLAIMER

if TYPE_CHECKING:
    from covid_cxr.results import AuditResult

_FAILED = 3
STYLES = {"fail": "bold red", "warn": "yellow", "pass": "green", "info": "dim", "not made": "dim"}


def audit(
    context: typer.Context,
    run: RunFolderPath,
    budget: Annotated[
        Budget | None,
        typer.Option(
            help="quick fits linear models, in minutes; full also retrains, in hours. Default: as "
            "the run's configuration says."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Run this check only; may be repeated. One of: {checks}.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Check a run for shortcuts: does its model read the disease, or the data set?

    Each check measures one way in which a score can come from the source, the view or the image
    format instead of the lungs. Reads training and validation images, never the test split; writes
    RUN/audit.json and, if the run is evaluated, its report. A full audit that is killed continues
    where it was. The exit status is 3 if a check fails.

    Examples:

    `covid-cxr audit runs/default`

    `covid-cxr audit runs/default --budget full --only lungs-removed --only lungs-only`
    """
    import covid_cxr

    with output.progress(context):
        result = covid_cxr.audit_run(run, budget=budget, only=only or ())
    if json:
        output.as_json(result.model_dump(mode="json"))
    else:
        summarise(result)
        output.out.print(f"Audit: {run / 'audit.json'}", soft_wrap=True)
        output.out.print(DISCLAIMER, style="dim")
    if result.verdict == "fail":
        raise typer.Exit(_FAILED)


def summarise(audit: AuditResult) -> None:
    """Print one line a check: its verdict and its sentence."""
    title = (
        f"Shortcut audit ({audit.budget}): {audit.images} images of {audit.patients} "
        "patients, test left out"
    )
    table = output.table(title)
    for column in ("", "check", "finding"):
        table.add_column(column, no_wrap=column != "finding")
    for check in audit.checks:
        table.add_row(f"[{STYLES[check.verdict]}]{check.verdict}", check.title, check.sentence)
    output.out.print(table)
    output.out.print(audit.summary, style=STYLES[audit.verdict])
