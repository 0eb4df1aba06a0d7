"""The shortcut audit of a run folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from covid_cxr.audit import AUDIT, run_audit
from covid_cxr.config.audit import Budget
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.report import write_report

log = logging.getLogger(__name__)


def audit(
    folder: RunFolder,
    *,
    budget: Budget | None = None,
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """Audit a trained run, and write its report anew if it is evaluated.

    Args:
        folder: the run; a leak in its cohort is a finding, not an error.
        budget: None for what the run's configuration says ("quick" if it says none).
        only: names of checks; empty for all.

    Returns:
        What stands in `audit.json`; see `covid_cxr.audit`.

    Raises:
        InputError: the run holds no finished bundle.
        UnknownName: no such check.
    """
    own = folder.config.audit.budget
    chosen: Budget = budget or (own if own != "none" else "quick")
    report = run_audit(
        folder.path,
        folder.config,
        folder.bundle(),
        budget=chosen,
        only=only,
    )
    if (folder.path / "report.html").exists():
        write_report(folder.path)
    return report.as_json()


def audit_unless_done(folder: RunFolder) -> None:
    """Audit as the run's configuration says, unless it says none or this bundle is audited."""
    budget = folder.config.audit.budget
    if budget == "none":
        return
    made = read(folder)
    if made and (made["bundle"], made["budget"]) == (folder.bundle().id, budget):
        log.info("'%s' is audited already", folder.path)
        return
    found = audit(folder, budget=budget)
    log.info("audit: %s", found["summary"])


def read(folder: RunFolder) -> dict[str, Any] | None:
    """Return `audit.json` of a run; None if it was not audited."""
    path = folder.path / AUDIT
    found: dict[str, Any] | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    return found
