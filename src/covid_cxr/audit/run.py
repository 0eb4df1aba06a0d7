"""Run the checks on a run, and write `audit.json`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from covid_cxr import progress
from covid_cxr.audit import checks
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import not_made, result, summary, worst
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.config.audit import Budget
from covid_cxr.errors import CovidCxrError, UnknownName
from covid_cxr.models.bundle import Bundle
from covid_cxr.results import AUDIT, AuditResult, CheckResult

if TYPE_CHECKING:
    from covid_cxr.training.feature_extractor import FeatureExtractor

log = logging.getLogger(__name__)

FORMAT = 1


def run_audit(
    run: Path,
    config: RunConfig,
    bundle: Bundle,
    *,
    budget: Budget = "quick",
    only: Sequence[str] = (),
    network: FeatureExtractor | None = None,
) -> AuditResult:
    """Run the checks on a run and write `audit.json` into its folder.

    A check that raises an error of this package (an image that can no longer be read, too few
    patients, ...) is "not made", with the error as the reason; the others are.

    Args:
        run: folder with `cohort.csv`; where it holds `predictions-val.csv` or
            `predictions-oof.csv`, the scores of the run's own model are checked too.
        config: the run's, with its data root.
        bundle: the run's.
        budget: "quick" fits linear models to image features; "full" also retrains the run's
            network on smaller inputs.
        only: names of checks; empty for all that are not switched off.
        network: extracts the image features; several audits may share one.

    Raises:
        UnknownName: no such check.
    """
    names = select_checks(config, only)
    context = AuditContext(run, config, schema.read(run / "cohort.csv"), bundle, network=network)
    results = [_run_check(name, context, budget) for name in progress.track(names, "audit")]
    audit = AuditResult(
        format=FORMAT,
        budget=budget,
        bundle=bundle.id,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        images=len(context.rows),
        patients=int(context.clusters.max(initial=-1)) + 1,
        events=int(context.events.sum()),
        verdict=worst(check.verdict for check in results),
        summary=summary(results),
        checks=tuple(results),
    )
    audit.write(run / AUDIT)
    return audit


def select_checks(config: RunConfig, only: Sequence[str] = ()) -> list[str]:
    """Return the names of the checks to run, in their order.

    Raises:
        UnknownName: one that does not exist; the message suggests the closest.
    """
    all_names = checks.names()
    for name in (*only, *config.audit.off):
        if name not in all_names:
            raise UnknownName("check", name, all_names)
    wanted = only or [name for name in all_names if name not in config.audit.off]
    return [name for name in all_names if name in wanted]


def _run_check(name: str, context: AuditContext, budget: Budget) -> CheckResult:
    started = time.perf_counter()
    check, number = checks.get(name), checks.names().index(name) + 1
    try:
        findings = check.measure(context, budget)
    except CovidCxrError as error:
        log.warning("audit: %s is not made: %s", name, error)
        findings = [not_made(name, str(error))]
    outcome = result(name, number, check, findings, time.perf_counter() - started)
    log.debug("%s: %s in %.1f s", name, outcome.verdict, outcome.seconds)
    return outcome
