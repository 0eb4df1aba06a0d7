"""The shortcut audit: does a model read the disease, or the data set?

`run_audit` puts twelve checks to a run, on its train and validation rows, and writes `audit.json`:

    {"format": 1,
     "budget": "quick" | "full",
     "bundle": "<id of the audited bundle>",
     "created": "2026-01-31 12:00 UTC",
     "films": 930, "patients": 640, "events": 260,     looked at: train and val, never test
     "verdict": "fail",                                 the worst of the checks
     "summary": "3 of 12 checks fail: ...",
     "checks": [
       {"name": "lungs-removed", "number": 3, "title": "Lungs removed",
        "question": "Can COVID-19 be told without the lungs?",
        "reference": "Maguolo and Nanni, ...",
        "verdict": "pass" | "warn" | "fail" | "info",
        "sentence": "With the lungs painted over, ...",
        "seconds": 4.2,
        "findings": [
          {"name": "lungs removed", "value": 0.93, "low": 0.91, "high": 0.95, "bound": 0.65,
           "better": "lower" | "higher", "verdict": "fail", "sentence": "...", "details": {...}},
          ...]},
       ...]}

A check's verdict is its worst finding's, and its sentence that finding's. `value`, `low` (the lower
end of the 95 % interval), `high` and `bound` are null where there is none.

`CHECKS` maps a name to "module:function", so that listing the checks imports nothing heavy. A check
is a function from a `Material` to its findings.
"""

from __future__ import annotations

from covid_cxr.audit.run import AUDIT, run_audit
from covid_cxr.audit.verdicts import CHECKS, AuditReport, Check, Finding, judge

__all__ = ["AUDIT", "CHECKS", "AuditReport", "Check", "Finding", "judge", "run_audit"]
