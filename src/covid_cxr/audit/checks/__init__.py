"""The checks of the audit, one module each, by the name that the command line takes.

A check is an `AuditCheck` under "module:attribute"; installed packages add checks through entry
points of the group `covid_cxr.audit_checks`. `checks.yaml` lists the built-in ones in their order.
"""

from __future__ import annotations

from covid_cxr import registry
from covid_cxr.audit.verdicts import AuditCheck, descriptions
from covid_cxr.errors import InputError

GROUP = "covid_cxr.audit_checks"

CHECKS: dict[str, str] = {
    name: f"{__name__}.{name.replace('-', '_')}:CHECK" for name in descriptions()
}


def names() -> list[str]:
    """Return the names of all checks: the built-in ones in their order, then those of plugins."""
    return [*CHECKS, *sorted(registry.names(CHECKS, GROUP).keys() - CHECKS.keys())]


def get(name: str) -> AuditCheck:
    """Return a check.

    Raises:
        UnknownName: no such check; the message suggests the closest.
        InputError: a plugin's cannot be imported, or is no `AuditCheck`.
    """
    entry = ("check", name, CHECKS, GROUP)
    check, owner = registry.resolve(*entry), registry.described(*entry)
    if not isinstance(check, AuditCheck):
        raise InputError(f"{owner} is a {type(check).__name__}, expected an AuditCheck")
    expected = "measure(context, budget) -> list[AuditFinding]"
    registry.check_parameters(check.measure, 2, f"measure of {owner}", expected)
    return check
