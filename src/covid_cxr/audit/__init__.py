"""The shortcut audit: does a model read the disease, or the data set?

`run_audit` runs twelve checks on a run's training and validation rows, and writes `audit.json`
(`covid_cxr.results.AuditResult`; its schema is `docs/reference/audit.schema.json`). A check's
verdict is its worst finding's, and its sentence that finding's; the audit's is the worst of its
checks.

`CHECKS` maps a name to "module:function", so that listing the checks imports nothing heavy. A check
is a function from a `Material` to its findings.
"""

from __future__ import annotations

from covid_cxr.audit.run import run_audit
from covid_cxr.audit.verdicts import CHECKS, Finding, judge

__all__ = ["CHECKS", "Finding", "judge", "run_audit"]
