"""What a run folder holds for its report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd
from pydantic import JsonValue

from covid_cxr import config as configuration
from covid_cxr.cohort import schema
from covid_cxr.cohort.summary.summary import CohortSummary, summarise
from covid_cxr.config import RunConfig
from covid_cxr.errors import InputError
from covid_cxr.models.manifest import MANIFEST, Manifest, read_manifest
from covid_cxr.results import (
    AUDIT,
    EXPLAIN_EVAL,
    METRICS,
    AuditResult,
    ExplanationBenchmark,
    ResultFile,
    RunMetrics,
)

File = TypeVar("File", bound=ResultFile)


@dataclass(frozen=True)
class RunRecord:
    """The files of a run folder; what it lacks is None or empty.

    Attributes:
        metrics: `metrics.json`, the only file that is needed.
        config: `config.json`.
        environment: `environment.json`.
        manifest: of the bundle.
        audit: `audit.json`.
        benchmark: `explain-eval/explain-eval.json`.
        cohort: `cohort.csv`, as `cohort.schema.load` returns it.
        summary: of that cohort.
    """

    metrics: RunMetrics
    config: RunConfig | None = None
    environment: dict[str, JsonValue] = field(default_factory=dict)
    manifest: Manifest | None = None
    audit: AuditResult | None = None
    benchmark: ExplanationBenchmark | None = None
    cohort: pd.DataFrame | None = None
    summary: CohortSummary | None = None

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read a run folder.

        Raises:
            InputError: no `metrics.json`, or a file that does not hold what it should.
            BundleError: likewise the bundle's manifest.
            LeakError: a patient or a duplicate image of `cohort.csv` is in two splits.
        """
        if not (folder / METRICS).exists():
            raise InputError(f"run folder '{folder}' has no {METRICS}: finish the run, then report")
        resolved = folder / "config.json"
        config = configuration.load(resolved) if resolved.exists() else None
        cohort = schema.load(folder / "cohort.csv") if (folder / "cohort.csv").exists() else None
        bundle, seed = folder / "bundle", config.seed if config else 0
        return cls(
            metrics=RunMetrics.read(folder / METRICS),
            config=config,
            environment=_json(folder / "environment.json"),
            manifest=read_manifest(bundle) if (bundle / MANIFEST).exists() else None,
            audit=_result(AuditResult, folder / AUDIT),
            benchmark=_result(ExplanationBenchmark, folder / "explain-eval" / EXPLAIN_EVAL),
            cohort=cohort,
            summary=None if cohort is None else summarise(cohort, seed=seed),
        )

    @property
    def trained_here(self) -> RunConfig | None:
        """The configuration of the training; None where the bundle was trained elsewhere."""
        return self.config if self.metrics.external_validation is None else None


def _result(kind: type[File], path: Path) -> File | None:
    return kind.read(path) if path.exists() else None


def _json(path: Path) -> dict[str, JsonValue]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds a {type(value).__name__}, expected a JSON object")
    return value
