"""One rule makes verdicts of numbers, and `audit.json` holds what the checks found."""

import json
import math
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_cxr import registry
from covid_cxr.audit import checks
from covid_cxr.audit.verdicts import (
    AuditCheck,
    check_bound,
    finding,
    result,
    summary,
    text,
    verdict_of,
    worst,
)
from covid_cxr.metrics import Interval
from covid_cxr.results import CheckResult, Estimate, rounded
from covid_cxr.results.audit import Verdict

SHARPNESS = AuditCheck(
    "Sharpness", "Are images sharp?", "Nobody, 2026", lambda *_: [finding("a", "info", "A.")]
)
NUMBERS = st.floats(-2, 2, allow_nan=False)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Interval(0.80, 0.72, 0.88), "fail"),  # the whole interval is beyond
        (Interval(0.70, 0.60, 0.80), "warn"),  # the number is, its favourable end is not
        (Interval(0.65, 0.60, 0.70), "pass"),  # at the bound
        (Interval(0.50, 0.40, 0.60), "pass"),
        (Interval(0.80, math.nan, math.nan), "warn"),  # no interval: it cannot fail
        (Interval(math.nan, math.nan, math.nan), "info"),
    ],
)
def test_the_rule(found: Interval, verdict: str) -> None:
    assert verdict_of(found, 0.65) == verdict


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), NUMBERS)
def test_the_rule_is_the_same_both_ways(ends: list[float], bound: float) -> None:
    low, value, high = ends
    mirrored = verdict_of(Interval(-value, -high, -low), -bound, "higher")
    assert verdict_of(Interval(value, low, high), bound, "lower") == mirrored


def test_a_check_that_only_warns_never_fails() -> None:
    found = check_bound("width", Interval(0.9, 0.8, 1.0), 0.2, "Wide.", most_severe="warn")
    assert found.verdict == "warn"
    assert (
        check_bound("width", Interval(0.1, 0.0, 0.2), 0.2, "Narrow.", most_severe="warn").verdict
        == "pass"
    )


def check_result(name: str, *verdicts: Verdict) -> CheckResult:
    findings = [
        finding(letter, one, f"{letter}.") for letter, one in zip("ABC", verdicts, strict=False)
    ]
    return result(name, 1, checks.get(name), findings, 0.1)


def test_the_worst_finding_decides() -> None:
    found = check_result("leak", "info", "fail", "fail")
    assert (found.verdict, found.sentence) == ("fail", "B.")
    assert worst([]) == "info"


def test_json_holds_no_nan() -> None:
    area = Interval(0.5, math.nan, 0.6)
    details = {"x": rounded(math.nan), "area": Estimate.of(*area), "n": (1,)}
    one = finding("a", "info", "A.", details=details)
    found = json.loads(one.model_dump_json())
    assert found["value"] is None
    assert found["details"] == {
        "x": None,
        "area": {"value": 0.5, "low": None, "high": 0.6},
        "n": [1],
    }


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "info"], "None of 2 checks fails."),
        (["warn", "pass"], "None of 2 checks fails. 1 warns."),
        (["fail", "warn", "warn"], "1 of 3 checks fails: leak. 2 warn."),
        (["fail", "fail"], "2 of 2 checks fail: leak, acquisition features."),
    ],
)
def test_the_summary_names_what_fails(verdicts: list, expected: str) -> None:
    names = list(checks.CHECKS)
    results = [check_result(name, one) for name, one in zip(names, verdicts, strict=False)]
    assert summary(results) == expected


def test_twelve_checks_can_all_be_resolved() -> None:
    assert len(checks.names()) == 12
    for name in checks.names():
        check = checks.get(name)
        assert isinstance(check, AuditCheck)
        assert callable(check.measure)
        assert check.title and check.question.endswith("?") and check.reference


def test_an_installed_package_can_add_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("sharpness", f"{__name__}:SHARPNESS", checks.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert checks.names() == [*checks.CHECKS, "sharpness"]
    assert checks.get("sharpness") is SHARPNESS


def test_an_interval_that_is_not_there_is_not_text() -> None:
    assert text(Interval(0.5, math.nan, math.nan)) == "0.50"
    assert text(Interval(math.nan, math.nan, math.nan)) == "–"
