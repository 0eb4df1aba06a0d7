"""The whole way: cohort -> train -> evaluate -> explain -> report."""

from covid_cxr.pipeline.demo import demo
from covid_cxr.pipeline.folder import RunFolder
from covid_cxr.pipeline.run import evaluate, run, train_folds, train_only

__all__ = ["RunFolder", "demo", "evaluate", "run", "train_folds", "train_only"]
