"""Typed results: what the JSON files of a run folder hold, read and written in one place.

    metrics = RunMetrics.read(run / METRICS)
    metrics.splits["test"].pooled.auroc.format(2)      # "0.72 (0.60-0.81)"

`FILES` names each file's record; `docs/reference/` holds their JSON schemas.
"""

from covid_cxr.results.audit import AUDIT, AuditFinding, AuditResult, CheckResult
from covid_cxr.results.comparison import COMPARISON, RunComparison
from covid_cxr.results.estimates import Estimate, ResultFile, rounded
from covid_cxr.results.explanation_benchmark import EXPLAIN_EVAL, ExplanationBenchmark
from covid_cxr.results.hold_out import HOLD_OUT, HoldOutValidation
from covid_cxr.results.metrics import (
    METRICS,
    HeadlineMetrics,
    OutOfFoldMetrics,
    RunMetrics,
    SplitMetrics,
)
from covid_cxr.results.scores import FEW, SubgroupMetrics

FILES: dict[str, type[ResultFile]] = {
    METRICS: RunMetrics,
    AUDIT: AuditResult,
    COMPARISON: RunComparison,
    HOLD_OUT: HoldOutValidation,
    EXPLAIN_EVAL: ExplanationBenchmark,
}

__all__ = [
    "AUDIT",
    "COMPARISON",
    "EXPLAIN_EVAL",
    "FEW",
    "FILES",
    "HOLD_OUT",
    "METRICS",
    "AuditFinding",
    "AuditResult",
    "CheckResult",
    "Estimate",
    "ExplanationBenchmark",
    "HeadlineMetrics",
    "HoldOutValidation",
    "OutOfFoldMetrics",
    "ResultFile",
    "RunComparison",
    "RunMetrics",
    "SplitMetrics",
    "SubgroupMetrics",
    "rounded",
]
