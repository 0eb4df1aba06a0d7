"""One rule makes verdicts of numbers, and `audit.json` holds what the checks found."""

import math
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_cxr.audit.verdicts import (
    CHECKS,
    Finding,
    check_result,
    held,
    judge,
    summarise,
    told,
    worst,
)
from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding, Estimate

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
    assert judge(found, 0.65) == verdict


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS).map(sorted), NUMBERS)
def test_the_rule_is_the_same_both_ways(ends: list[float], bound: float) -> None:
    low, value, high = ends
    mirrored = judge(Interval(-value, -high, -low), -bound, "higher")
    assert judge(Interval(value, low, high), bound, "lower") == mirrored


def test_a_check_that_only_warns_never_fails() -> None:
    found = held("width", Interval(0.9, 0.8, 1.0), 0.2, "Wide.", most="warn")
    assert found.verdict == "warn"
    assert held("width", Interval(0.1, 0.0, 0.2), 0.2, "Narrow.", most="warn").verdict == "pass"


def test_the_worst_finding_decides() -> None:
    findings = (Finding("a", "info", "A."), Finding("b", "fail", "B."), Finding("c", "fail", "C."))
    check = check_result("leak", findings, 0.1)
    assert (check.verdict, check.sentence) == ("fail", "B.")
    assert worst([]) == "info"


def test_a_result_holds_no_nan() -> None:
    finding = Finding(
        "a", "info", "A.", details={"x": math.nan, "area": Interval(0.5, math.nan, 0.6), "n": [1]}
    ).result()
    assert finding.value is None
    area = Estimate(value=0.5, low=None, high=0.6)
    assert finding.details == {"x": None, "area": area, "n": (1,)}
    assert AuditFinding.model_validate_json(finding.model_dump_json()) == finding


@pytest.mark.parametrize(
    ("verdicts", "summary"),
    [
        (["pass", "info"], "None of 2 checks fails."),
        (["warn", "pass"], "None of 2 checks fails. 1 warns."),
        (["fail", "warn", "warn"], "1 of 3 checks fails: leak. 2 warn."),
        (["fail", "fail"], "2 of 2 checks fail: leak, facts about the file."),
    ],
)
def test_the_summary_names_what_fails(verdicts: list, summary: str) -> None:
    names = list(CHECKS)
    checks = [
        check_result(name, [Finding("x", verdict, "X.")], 0.0)
        for name, verdict in zip(names, verdicts, strict=False)
    ]
    assert summarise(checks) == summary


def test_twelve_checks_can_all_be_had() -> None:
    assert [entry.number for entry in CHECKS.values()] == list(range(1, 13))
    for entry in CHECKS.values():
        module, _, function = entry.function.partition(":")
        assert callable(getattr(import_module(module), function))


def test_an_interval_that_is_not_there_is_not_told() -> None:
    assert told(Interval(0.5, math.nan, math.nan)) == "0.50"
    assert told(Interval(math.nan, math.nan, math.nan)) == "undefined"
