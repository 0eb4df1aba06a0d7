"""All checks on one run, one after another; what they found goes into `audit.json`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from covid_cxr import progress
from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import CHECKS, Finding, check_result, summarise, worst
from covid_cxr.cohort import schema
from covid_cxr.config import RunConfig
from covid_cxr.config.audit import Budget
from covid_cxr.errors import UnknownName
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
    """Put the checks to a run and write `audit.json` into its folder.

    Args:
        run: folder with `cohort.csv`; where it holds `predictions-val.csv` or
            `predictions-oof.csv` the model's own scores are looked at too.
        config: the run's, with its data root.
        bundle: the run's.
        budget: "quick" asks linear models over frozen features; "full" also trains the run's
            network anew, small, on what is left of the films.
        only: names of checks; empty for all that are not switched off.
        network: for frozen features, where several audits share one.

    Raises:
        UnknownName: no such check.
        UnreadableImage: a film of the cohort that can no longer be read.
    """
    names = chosen(config, only)
    material = Material(run, config, schema.read(run / "cohort.csv"), bundle, network=network)
    checks = []
    for done, name in enumerate(names):
        progress.report("audit", done, len(names))
        checks.append(_put(name, material, budget))
    progress.report("audit", len(names), len(names))
    result = AuditResult(
        format=FORMAT,
        budget=budget,
        bundle=bundle.id,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        images=len(material.rows),
        patients=int(material.clusters.max(initial=-1)) + 1,
        events=int(material.events.sum()),
        verdict=worst(check.verdict for check in checks),
        summary=summarise(checks),
        checks=tuple(checks),
    )
    result.write(run / AUDIT)
    return result


def chosen(config: RunConfig, only: Sequence[str] = ()) -> list[str]:
    """Return the names of the checks to put, in their order.

    Raises:
        UnknownName: one that does not exist; the message suggests the closest.
    """
    for name in (*only, *config.audit.off):
        if name not in CHECKS:
            raise UnknownName("check", name, CHECKS)
    wanted = only or [name for name in CHECKS if name not in config.audit.off]
    return [name for name in CHECKS if name in wanted]


def _put(name: str, material: Material, budget: Budget) -> CheckResult:
    started = time.perf_counter()
    module, _, function = CHECKS[name].function.partition(":")
    findings: list[Finding] = getattr(import_module(module), function)(material, budget)
    check = check_result(name, findings, time.perf_counter() - started)
    log.debug("%s: %s in %.1f s", name, check.verdict, check.seconds)
    return check
