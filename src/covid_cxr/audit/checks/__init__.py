"""The checks of the audit, one module each, by the name that the command line takes.

A check is an `AuditCheck` under "module:attribute"; installed packages add checks through entry
points of the group `covid_cxr.audit_checks`.
"""

from __future__ import annotations

from covid_cxr import registry
from covid_cxr.audit.verdicts import AuditCheck

GROUP = "covid_cxr.audit_checks"

CHECKS: dict[str, str] = {
    "leak": "covid_cxr.audit.checks.leak:CHECK",
    "metadata": "covid_cxr.audit.checks.metadata:CHECK",
    "lungs-removed": "covid_cxr.audit.checks.lungs_removed:CHECK",
    "lungs-only": "covid_cxr.audit.checks.lungs_only:CHECK",
    "confounding": "covid_cxr.audit.checks.confounding:CHECK",
    "left-out": "covid_cxr.audit.checks.left_out:CHECK",
    "source-probe": "covid_cxr.audit.checks.source_probe:CHECK",
    "perturbation": "covid_cxr.audit.checks.perturbation:CHECK",
    "permutation": "covid_cxr.audit.checks.permutation:CHECK",
    "explanations": "covid_cxr.audit.checks.explanations:CHECK",
    "stability": "covid_cxr.audit.checks.stability:CHECK",
    "size": "covid_cxr.audit.checks.size:CHECK",
}


def names() -> list[str]:
    """Return the names of all checks: the built-in ones in their order, then those of plugins."""
    return [*CHECKS, *sorted(registry.names(CHECKS, GROUP).keys() - CHECKS.keys())]


def get(name: str) -> AuditCheck:
    """Return a check.

    Raises:
        UnknownName: no such check; the message suggests the closest.
    """
    check: AuditCheck = registry.resolve("check", name, CHECKS, GROUP)
    return check
