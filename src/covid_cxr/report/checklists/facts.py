"""What a run knows about itself, for the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from covid_cxr.cohort.summary.summary import CohortSummary
from covid_cxr.report.verdict import primary

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

    metrics: Block
    config: Block = field(default_factory=dict)
    environment: Block = field(default_factory=dict)
    manifest: Block = field(default_factory=dict)
    audit: Block | None = None
    cohort: pd.DataFrame | None = None
    account: CohortSummary | None = None

    @property
    def splits(self) -> Block:
        found: Block = self.metrics.get("splits", {})
        return found

    @property
    def headline(self) -> Block | None:
        """The numbers that the run stands on; None where nothing was measured."""
        name = primary(self.metrics)
        return None if name is None else self.splits[name]

    @property
    def accepted(self) -> Block | None:
        """Where a finished bundle was measured on a hospital's own films: how; else None."""
        found: Block | None = self.metrics.get("acceptance")
        return found

    def setting(self, *path: str) -> Any:
        """Return a value of the configuration by its path; None where there is none.

        In local acceptance the bundle was made elsewhere, with settings that this run knows
        nothing of: there only those of the evaluation, and the seed, are its own.
        """
        if self.accepted is not None and path[0] not in ("evaluation", "seed"):
            return None
        value: Any = self.config
        for key in path:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        return value
