"""The whole way: cohort -> train -> audit -> evaluate -> explain -> report."""

from covid_cxr.pipeline.audit import audit
from covid_cxr.pipeline.demo import demo
from covid_cxr.pipeline.external_validation import Accepted, accept
from covid_cxr.pipeline.run import evaluate, hold_out_validation, run, train_folds, train_only
from covid_cxr.pipeline.run_folder import RunFolder

__all__ = [
    "Accepted",
    "RunFolder",
    "accept",
    "audit",
    "demo",
    "evaluate",
    "hold_out_validation",
    "run",
    "train_folds",
    "train_only",
]
