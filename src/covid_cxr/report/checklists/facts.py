"""What a run knows about itself, for the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from covid_cxr.cohort.summary.summary import CohortSummary
from covid_cxr.results import AuditResult, RunMetrics, SplitMetrics
from covid_cxr.results.external_validation import ExternalValidationMetrics

Block = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What stands in a run folder; empty or None where it does not.

    Attributes:
        metrics, config, environment: content of the JSON files of those names.
        manifest: of the bundle.
        audit: content of `audit.json`.
        cohort: as `cohort.schema.load` returns it.
        account: of that cohort.
    """

    metrics: RunMetrics
    config: Block = field(default_factory=dict)
    environment: Block = field(default_factory=dict)
    manifest: Block = field(default_factory=dict)
    audit: AuditResult | None = None
    cohort: pd.DataFrame | None = None
    account: CohortSummary | None = None

    @property
    def headline(self) -> SplitMetrics | None:
        """The metrics of the primary split; None where nothing was measured."""
        return self.metrics.headline

    @property
    def external_validation(self) -> ExternalValidationMetrics | None:
        """How a finished bundle was measured on other images; None for a run of its own."""
        return self.metrics.external_validation

    def audit_sentences(self, *checks: str) -> list[str]:
        """Return the sentences of some checks of the audit, as far as they were made."""
        all_checks = self.audit.checks if self.audit else ()
        return [check.sentence for check in all_checks if check.name in checks]

    def setting(self, *path: str) -> Any:
        """Return a value of the configuration by its path; None where there is none.

        In external validation the bundle was made elsewhere, with settings that this run knows
        nothing of: there only those of the evaluation, and the seed, are its own.
        """
        if self.external_validation is not None and path[0] not in ("evaluation", "seed"):
            return None
        value: Any = self.config
        for key in path:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value
