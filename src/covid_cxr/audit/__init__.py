"""The shortcut audit: does a model read the disease, or the data set?

`run_audit` runs twelve checks on a run's training and validation images, never on its test images,
and writes `audit.json` (`covid_cxr.results.AuditResult`). The verdict of a check is that of its
worst finding: "pass", "warn", "fail", "info" where there is no bound, or "not made" where these
data do not allow it; the other checks go on.

`CHECKS` maps a name to "module:attribute" of an `AuditCheck`, whose function takes an
`AuditContext` and a budget and returns findings; `check_bound` makes a finding of a number, its
interval and a bound.
"""

from __future__ import annotations

from covid_cxr.audit.checks import CHECKS
from covid_cxr.audit.run import run_audit
from covid_cxr.audit.verdicts import AuditCheck, check_bound, finding

__all__ = ["CHECKS", "AuditCheck", "check_bound", "finding", "run_audit"]
