"""What a check answers, and the one rule by which a number becomes a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np

from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding, CheckResult, Estimate, rounded
from covid_cxr.results.audit import Better, Detail, Scalar, Verdict

# From harmless to serious.
SEVERITY: tuple[Verdict, ...] = ("info", "pass", "warn", "fail")


class Entry(NamedTuple):
    """A check in the registry: its number, what it asks, whence it is, and its function."""

    number: int
    title: str
    question: str
    reference: str
    function: str


CHECKS: dict[str, Entry] = {
    "leak": Entry(
        1,
        "Leak",
        "Does a patient or a copy of a film stand on both sides of a split?",
        "Roberts et al., Nature Machine Intelligence 2021",
        "covid_cxr.audit.checks.leak:findings",
    ),
    "metadata": Entry(
        2,
        "Facts about the file",
        "Can COVID-19 be told from file, border and patient without looking at the chest?",
        "Garcia Santa Cruz et al., Medical Image Analysis 2021",
        "covid_cxr.audit.checks.metadata:findings",
    ),
    "lungs-removed": Entry(
        3,
        "Lungs removed",
        "Can COVID-19 be told when the lungs are painted over?",
        "Maguolo and Nanni, Information Fusion 2021",
        "covid_cxr.audit.checks.lungs_removed:findings",
    ),
    "lungs-only": Entry(
        4,
        "Lungs only",
        "Does the whole film tell more than the lungs alone?",
        "Tartaglione et al., Int J Environ Res Public Health 2020",
        "covid_cxr.audit.checks.lungs_only:findings",
    ),
    "confounding": Entry(
        5,
        "Confounding",
        "How much of the score is telling the sources apart?",
        "Zech et al., PLOS Medicine 2018; Janes and Pepe, Biometrika 2009",
        "covid_cxr.audit.checks.confounding:findings",
    ),
    "left-out": Entry(
        6,
        "Left-out origin",
        "Does what was learned hold on a source or site that was not trained on?",
        "Zech et al., PLOS Medicine 2018",
        "covid_cxr.audit.checks.left_out:findings",
    ),
    "source-probe": Entry(
        7,
        "Source probe",
        "How well does a simple classifier tell where a film comes from?",
        "Alain and Bengio, ICLR workshop 2017",
        "covid_cxr.audit.checks.source_probe:findings",
    ),
    "perturbation": Entry(
        8,
        "Perturbation",
        "Does the answer change with markers, borders and exposure?",
        "DeGrave et al., Nature Machine Intelligence 2021",
        "covid_cxr.audit.checks.perturbation:findings",
    ),
    "permutation": Entry(
        9,
        "Shuffled labels",
        "Does the recipe score without any true label, and beat a constant forecast with them?",
        "Ojala and Garriga, JMLR 2010",
        "covid_cxr.audit.checks.permutation:findings",
    ),
    "explanations": Entry(
        10,
        "Explanations",
        "Do the maps lie in the lungs, and do they depend on what was learned?",
        "Adebayo et al., NeurIPS 2018",
        "covid_cxr.audit.checks.explanations:findings",
    ),
    "stability": Entry(
        11,
        "Stability",
        "Does another seed give another score?",
        "Bouthillier et al., MLSys 2021",
        "covid_cxr.audit.checks.stability:findings",
    ),
    "size": Entry(
        12,
        "Size",
        "Are there enough patients to say anything?",
        "Collins et al., Statistics in Medicine 2016",
        "covid_cxr.audit.checks.size:findings",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One number that a check found.

    Attributes:
        name: what was measured.
        verdict: see `judge`; "info" is held to no bound.
        sentence: the same for a person.
        value: the number; NaN where it could not be had.
        low, high: ends of its 95 % interval; NaN where there is none.
        bound: what it is held to, None for nothing.
        better: which way is good.
        details: further numbers, JSON-ready.
    """

    name: str
    verdict: Verdict
    sentence: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    bound: float | None = None
    better: Better = "lower"
    details: Mapping[str, object] = field(default_factory=dict)

    def result(self) -> AuditFinding:
        """Return it with NaN as None and numbers rounded."""
        return AuditFinding(
            **dict(Estimate.of(self.value, self.low, self.high)),
            name=self.name,
            bound=None if self.bound is None else rounded(self.bound),
            better=self.better,
            verdict=self.verdict,
            sentence=self.sentence,
            details={name: _detail(value) for name, value in self.details.items()},
        )


def check_result(name: str, findings: Sequence[Finding], seconds: float) -> CheckResult:
    """Return a check, whose verdict and sentence are those of the first of its worst findings."""
    entry, verdict = CHECKS[name], worst(finding.verdict for finding in findings)
    return CheckResult(
        name=name,
        number=entry.number,
        title=entry.title,
        question=entry.question,
        reference=entry.reference,
        verdict=verdict,
        sentence=next(finding.sentence for finding in findings if finding.verdict == verdict),
        seconds=round(seconds, 2),
        findings=tuple(finding.result() for finding in findings),
    )


def summarise(checks: Sequence[CheckResult]) -> str:
    """Return one sentence that names the checks that fail."""
    failed = [check.title.lower() for check in checks if check.verdict == "fail"]
    warnings = sum(check.verdict == "warn" for check in checks)
    warned = f" {warnings} warn{'s' if warnings == 1 else ''}." if warnings else ""
    if not failed:
        many = f"{len(checks)} checks" if len(checks) > 1 else "1 check"
        return f"None of {many} fails.{warned}"
    fails = "checks fail" if len(failed) > 1 else "checks fails"
    if len(checks) == 1:
        fails = "check fails"
    return f"{len(failed)} of {len(checks)} {fails}: {', '.join(failed)}.{warned}"


def judge(found: Interval, bound: float, better: Better = "lower") -> Verdict:
    """Return the verdict on a number with its 95 % interval.

    It fails where even the favourable end of the interval is beyond the bound, so that chance does
    not explain it; it warns where the number alone is; else it passes. A number that could not be
    had is "info"; one without an interval can warn, never fail.

    >>> judge(Interval(0.80, 0.72, 0.88), 0.65), judge(Interval(0.70, 0.60, 0.80), 0.65)
    ('fail', 'warn')
    >>> judge(Interval(0.90, 0.70, 1.10), 1.0, "higher")
    'warn'
    """
    sign = 1.0 if better == "lower" else -1.0
    favourable = found.low if better == "lower" else found.high
    if math.isnan(found.value):
        return "info"
    if sign * favourable > sign * bound:  # False for NaN
        return "fail"
    return "warn" if sign * found.value > sign * bound else "pass"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the most serious of some verdicts; "info" of none."""
    return max(verdicts, key=SEVERITY.index, default="info")


def held(
    name: str,
    found: Interval,
    bound: float,
    sentence: str,
    *,
    better: Better = "lower",
    details: Mapping[str, object] | None = None,
    most: Verdict = "fail",
) -> Finding:
    """Return a finding judged by the rule.

    Args:
        name, sentence, details: as in `Finding`.
        found: the number and its interval.
        bound: what it is held to.
        better: which way is good.
        most: a check that only warns never gives a worse verdict.
    """
    verdict = min(judge(found, bound, better), most, key=SEVERITY.index)
    return Finding(name, verdict, sentence, *found, bound, better, details or {})


def told(found: Interval, digits: int = 2) -> str:
    """Return "0.93 (0.91-0.95)".

    >>> told(Interval(0.934, 0.911, 0.951))
    '0.93 (0.91-0.95)'
    """
    if math.isnan(found.value):
        return "undefined"
    if math.isnan(found.low):
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ({found.low:.{digits}f}-{found.high:.{digits}f})"


def _detail(value: object) -> Detail:
    """Return what a finding's details may hold: NaN as None, NumPy numbers as numbers."""
    if isinstance(value, Interval):
        return Estimate.of(*value)
    if isinstance(value, Mapping):
        return {str(key): _scalar(number) for key, number in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_scalar(item) for item in value)
    return _scalar(value)


def _scalar(value: object) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    return rounded(value) if isinstance(value, float) else cast(Scalar, value)
