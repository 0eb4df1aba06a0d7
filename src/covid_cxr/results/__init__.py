"""Typed results: what the JSON files of a run folder hold, read and written in one place.

    metrics = RunMetrics.read(run / METRICS)
    metrics.splits["test"].pooled.auroc.format(2)      # "0.72 (0.60-0.81)"

`FILES` names each file's record; `docs/reference/` holds their JSON schemas.
"""

from covid_cxr.results.audit import AUDIT as AUDIT
from covid_cxr.results.audit import AuditFinding as AuditFinding
from covid_cxr.results.audit import AuditResult as AuditResult
from covid_cxr.results.audit import CheckResult as CheckResult
from covid_cxr.results.comparison import COMPARISON as COMPARISON
from covid_cxr.results.comparison import RunComparison as RunComparison
from covid_cxr.results.estimates import Estimate as Estimate
from covid_cxr.results.estimates import ResultFile as ResultFile
from covid_cxr.results.estimates import rounded as rounded
from covid_cxr.results.explanation_benchmark import EXPLAIN_EVAL as EXPLAIN_EVAL
from covid_cxr.results.explanation_benchmark import ExplanationBenchmark as ExplanationBenchmark
from covid_cxr.results.hold_out import HOLD_OUT as HOLD_OUT
from covid_cxr.results.hold_out import HoldOutValidation as HoldOutValidation
from covid_cxr.results.metrics import METRICS as METRICS
from covid_cxr.results.metrics import HeadlineMetrics as HeadlineMetrics
from covid_cxr.results.metrics import OutOfFoldMetrics as OutOfFoldMetrics
from covid_cxr.results.metrics import RunMetrics as RunMetrics
from covid_cxr.results.metrics import SplitMetrics as SplitMetrics
from covid_cxr.results.scores import FEW as FEW
from covid_cxr.results.scores import SubgroupMetrics as SubgroupMetrics

FILES: dict[str, type[ResultFile]] = {
    METRICS: RunMetrics,
    AUDIT: AuditResult,
    COMPARISON: RunComparison,
    HOLD_OUT: HoldOutValidation,
    EXPLAIN_EVAL: ExplanationBenchmark,
}
