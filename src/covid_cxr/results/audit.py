"""What `audit.json` of a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from covid_cxr.results.estimates import Estimate, Record, ResultFile

AUDIT = "audit.json"

Verdict = Literal["pass", "warn", "fail", "info", "not made"]
Better = Literal["lower", "higher"]
Scalar = int | float | str | None
Detail = Scalar | Estimate | tuple[Scalar, ...] | Mapping[str, Scalar]
Details = Mapping[str, Detail]


class AuditFinding(Estimate):
    """One number that a check measured, and its verdict.

    Attributes:
        name: what was measured.
        bound: what the number is compared with; None for nothing.
        better: which way is good.
        verdict: "info" where there is no bound, "not made" where these data or this bundle do not
            allow it.
        sentence: the same for a reader.
        details: further numbers.
    """

    name: str
    bound: float | None = None
    better: Better = "lower"
    verdict: Verdict
    sentence: str
    details: dict[str, Detail] = Field(default_factory=dict)


class CheckResult(Record):
    """One check: its verdict is that of its worst finding, its sentence that finding's.

    A check that raised an error has the verdict "not made", and the error as its sentence.
    """

    name: str
    number: int
    title: str
    question: str
    reference: str
    verdict: Verdict
    sentence: str
    seconds: float
    findings: tuple[AuditFinding, ...]


class AuditResult(ResultFile):
    """`audit.json`: the checks of one audit, on training and validation images."""

    format: int
    budget: Literal["quick", "full"]
    bundle: str
    created: str
    images: int
    patients: int
    events: int
    verdict: Verdict
    summary: str
    checks: tuple[CheckResult, ...]
