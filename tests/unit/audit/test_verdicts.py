"""One rule makes verdicts of numbers, and `audit.json` holds what the checks found."""

import json
import math
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_cxr.audit.verdicts import CHECKS, AuditReport, Check, Finding, held, judge, told, worst
from covid_cxr.metrics import Interval

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
    check = Check("leak", findings, 0.1)
    assert (check.verdict, check.lead.name) == ("fail", "b")
    assert check.as_json()["sentence"] == "B."
    assert worst([]) == "info"


def test_json_holds_no_nan() -> None:
    finding = Finding(
        "a", "info", "A.", details={"x": math.nan, "area": Interval(0.5, math.nan, 0.6), "n": [1]}
    )
    report = AuditReport({"format": 1}, (Check("size", (finding,), 0.0),))
    text = json.dumps(report.as_json(), allow_nan=False)
    found = json.loads(text)["checks"][0]["findings"][0]
    assert found["value"] is None
    assert found["details"] == {
        "x": None,
        "area": {"value": 0.5, "low": None, "high": 0.6},
        "n": [1],
    }


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
    checks = tuple(
        Check(names[place], (Finding("x", verdict, "X."),), 0.0)
        for place, verdict in enumerate(verdicts)
    )
    assert AuditReport({}, checks).summary == summary


def test_twelve_checks_can_all_be_had() -> None:
    assert [entry.number for entry in CHECKS.values()] == list(range(1, 13))
    for entry in CHECKS.values():
        module, _, function = entry.function.partition(":")
        assert callable(getattr(import_module(module), function))


def test_an_interval_that_is_not_there_is_not_told() -> None:
    assert told(Interval(0.5, math.nan, math.nan)) == "0.50"
    assert told(Interval(math.nan, math.nan, math.nan)) == "undefined"
