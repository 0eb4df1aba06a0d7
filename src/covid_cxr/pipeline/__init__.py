"""The whole way: cohort -> train -> audit -> evaluate -> explain -> report."""

from covid_cxr.pipeline.acceptance import Accepted, accept
from covid_cxr.pipeline.audit import audit
from covid_cxr.pipeline.demo import demo
from covid_cxr.pipeline.folder import RunFolder
from covid_cxr.pipeline.run import evaluate, generalise, run, train_folds, train_only

__all__ = [
    "Accepted",
    "RunFolder",
    "accept",
    "audit",
    "demo",
    "evaluate",
    "generalise",
    "run",
    "train_folds",
    "train_only",
]
