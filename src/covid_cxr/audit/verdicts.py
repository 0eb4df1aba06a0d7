"""What an audit check is, and the one rule by which a number becomes a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pydantic import TypeAdapter

from covid_cxr.config.audit import Budget
from covid_cxr.errors import CovidCxrError
from covid_cxr.files import packaged
from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding, CheckResult, Estimate
from covid_cxr.results.audit import Better, Details, Verdict

if TYPE_CHECKING:
    from covid_cxr.audit.context import AuditContext

# In order of severity.
SEVERITY: tuple[Verdict, ...] = ("not made", "info", "pass", "warn", "fail")
UNDEFINED = Interval()


Measure = Callable[["AuditContext", Budget], Sequence[AuditFinding]]


class AuditCheck(NamedTuple):
    """One check of the audit.

    Attributes:
        title: as tables show it.
        question: what the check asks.
        reference: the publication behind it.
        measure: from the context and the budget to the findings, at least one.
    """

    title: str
    question: str
    reference: str
    measure: Measure

    @classmethod
    def built_in(cls, name: str, measure: Measure) -> AuditCheck:
        """Return a check that `checks.yaml` describes."""
        return cls(**descriptions()[name], measure=measure)


@cache
def descriptions() -> dict[str, dict[str, str]]:
    """Return title, question and reference of each built-in check, by name."""
    listed = packaged(__package__, "checks.yaml")
    return TypeAdapter(dict[str, dict[str, str]]).validate_python(listed)


def verdict_of(interval: Interval, bound: float, better: Better = "lower") -> Verdict:
    """Return the verdict on a number with its 95 % interval.

    "fail" if even the favourable end of the interval is beyond the bound, so that sampling error
    does not explain it; "warn" if the number alone is; else "pass". An undefined number is "info";
    one without an interval never fails.

    >>> verdict_of(Interval(0.80, 0.72, 0.88), 0.65), verdict_of(Interval(0.70, 0.60, 0.80), 0.65)
    ('fail', 'warn')
    >>> verdict_of(Interval(0.90, 0.70, 1.10), 1.0, "higher")
    'warn'
    """
    direction = 1.0 if better == "lower" else -1.0
    favourable = interval.low if better == "lower" else interval.high
    if math.isnan(interval.value):
        return "info"
    if direction * favourable > direction * bound:  # False for NaN
        return "fail"
    return "warn" if direction * interval.value > direction * bound else "pass"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most severe of some verdicts; "info" of none."""
    return max(verdicts, key=SEVERITY.index, default="info")


def check_bound(
    name: str,
    interval: Interval,
    bound: float,
    sentence: str,
    *,
    better: Better = "lower",
    details: Details | None = None,
    most_severe: Verdict = "fail",
) -> AuditFinding:
    """Return a finding whose verdict follows from its bound.

    Args:
        name, sentence, better, details: as in `AuditFinding`.
        interval: the number with its interval.
        bound: the number is compared with.
        most_severe: "warn" for a check that never fails.
    """
    verdict = min(verdict_of(interval, bound, better), most_severe, key=SEVERITY.index)
    return finding(name, verdict, sentence, interval, bound=bound, better=better, details=details)


def finding(
    name: str,
    verdict: Verdict,
    sentence: str,
    interval: Interval = UNDEFINED,
    *,
    bound: float | None = None,
    better: Better = "lower",
    details: Details | None = None,
) -> AuditFinding:
    """Return a finding whose verdict the check has decided itself; details may be intervals."""
    estimates = {
        key: Estimate.of(*detail) if isinstance(detail, Interval) else detail
        for key, detail in (details or {}).items()
    }
    return AuditFinding(
        **dict(Estimate.of(*interval)),
        name=name,
        bound=bound,
        better=better,
        verdict=verdict,
        sentence=sentence,
        details=estimates,
    )


def not_made(name: str, reason: str) -> AuditFinding:
    """Return the finding of what these data or this bundle do not allow to measure.

    >>> not_made("one origin", "all images come from one source").sentence
    'Not made: all images come from one source.'
    """
    return finding(name, "not made", f"Not made: {' '.join(reason.split()).rstrip('.')}.")


def or_not_made(name: str, measure: Callable[[], AuditFinding]) -> AuditFinding:
    """Return a finding, or that it is not made where measuring it raises an error of ours."""
    try:
        return measure()
    except CovidCxrError as error:
        return not_made(name, str(error))


def text(interval: Interval, digits: int = 2) -> str:
    """Return the interval as the sentences of an audit write it.

    >>> text(Interval(0.934, 0.911, 0.951))
    '0.93 (0.91-0.95)'
    """
    return Estimate.of(*interval).format(digits)


def result(
    name: str, number: int, check: AuditCheck, findings: Sequence[AuditFinding], seconds: float
) -> CheckResult:
    """Return the result of a check: the verdict and the sentence of its first worst finding."""
    findings = findings or [not_made(name, "there is nothing to measure on these images")]
    verdict = worst(one.verdict for one in findings)
    return CheckResult(
        name=name,
        number=number,
        title=check.title,
        question=check.question,
        reference=check.reference,
        verdict=verdict,
        sentence=next(one.sentence for one in findings if one.verdict == verdict),
        seconds=round(seconds, 2),
        findings=tuple(findings),
    )


def summary(checks: Sequence[CheckResult]) -> str:
    """Return one sentence that names the failing checks, and those that were not made."""
    unmade = [check.title.lower() for check in checks if check.verdict == "not made"]
    checks = [check for check in checks if check.verdict != "not made"]
    missing = f" Not made: {', '.join(unmade)}." if unmade else ""
    failed = [check.title.lower() for check in checks if check.verdict == "fail"]
    warned = sum(check.verdict == "warn" for check in checks)
    warnings = f" {warned} warn{'s' if warned == 1 else ''}." if warned else ""
    if not failed:
        count = f"{len(checks)} checks" if len(checks) > 1 else "1 check"
        return f"None of {count} fails.{warnings}{missing}" if checks else missing.strip()
    fails = "checks fail" if len(failed) > 1 else "checks fails"
    if len(checks) == 1:
        fails = "check fails"
    return f"{len(failed)} of {len(checks)} {fails}: {', '.join(failed)}.{warnings}{missing}"
