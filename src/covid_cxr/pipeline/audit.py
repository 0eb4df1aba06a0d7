"""The shortcut audit of a run folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from covid_cxr.audit import run_audit
from covid_cxr.config.audit import Budget
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report
from covid_cxr.results import AuditResult

log = logging.getLogger(__name__)


def audit(
    folder: RunFolder,
    *,
    budget: Budget | None = None,
    only: Sequence[str] = (),
) -> AuditResult:
    """Audit a trained run, and write its report anew if it is evaluated.

    Args:
        folder: the run; a leak in its cohort is a finding, not an error.
        budget: None for what the run's configuration says ("quick" if it says none).
        only: names of checks; empty for all.

    Raises:
        InputError: the run holds no finished bundle.
        UnknownName: no such check.
    """
    own = folder.config.audit.budget
    chosen: Budget = budget or (own if own != "none" else "quick")
    result = run_audit(
        folder.path,
        folder.config,
        folder.bundle(),
        budget=chosen,
        only=only,
    )
    if (folder.path / "report.html").exists():
        write_report(folder.path)
    return result


def audit_unless_done(folder: RunFolder) -> None:
    """Audit as the run's configuration says, unless it says none or this bundle is audited."""
    budget = folder.config.audit.budget
    if budget == "none":
        return
    before = folder.audit()
    if before and (before.bundle, before.budget) == (folder.bundle().id, budget):
        log.info("'%s' is audited already", folder.path)
        return
    log.info("audit: %s", audit(folder, budget=budget).summary)
