"""Every built-in audit check passes the contract."""

from __future__ import annotations

import pytest

from covid_cxr.audit import checks
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, finding
from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding
from covid_cxr.testing.audit_checks import AuditCheckContract, tiny_context


@pytest.mark.parametrize("name", checks.CHECKS)
class TestBuiltIn(AuditCheckContract):
    @pytest.fixture(autouse=True)
    def _check(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TestBuiltIn, "check", checks.get(name), raising=False)


def measure_nothing(context: AuditContext, budget: str) -> list[AuditFinding]:
    return []


def measure_harshly(context: AuditContext, budget: str) -> list[AuditFinding]:
    interval = Interval(0.5, 0.4, 0.6)
    return [finding("half", "fail", "Half.", interval, bound=0.9)] * 2


def test_violations_are_detected() -> None:
    class Empty(AuditCheckContract):
        check = AuditCheck("Empty", "Nothing?", "", measure_nothing)

    class Harsh(AuditCheckContract):
        check = AuditCheck("Harsh", "Half", "Me 2026", measure_harshly)

    with pytest.raises(AssertionError, match="names no publication"):
        Empty().test_states_what_it_asks()
    with pytest.raises(AssertionError, match="question 'Half' does not end"):
        Harsh().test_states_what_it_asks()
    with pytest.raises(AssertionError, match="0 findings, expected at least 1"):
        Empty().test_findings_are_named_once(tiny_context())
    with pytest.raises(AssertionError, match=r"2 findings have the names .'half', 'half'"):
        Harsh().test_findings_are_named_once(tiny_context())
    with pytest.raises(
        AssertionError, match=r"0\.5 \(0\.4 to 0\.6\) with bound 0\.9: verdict 'fail'"
    ):
        Harsh().test_verdicts_follow_from_the_bounds(tiny_context())
