"""From predictions tables to metrics. Neither a model nor an image is read here."""

from covid_cxr.evaluation.conformal import conformal_coverage
from covid_cxr.evaluation.measure import evaluate
from covid_cxr.evaluation.predictions import Cases, cases, join, read_predictions
from covid_cxr.evaluation.target_prevalence import TargetPrevalence, check_prevalence

__all__ = [
    "Cases",
    "TargetPrevalence",
    "cases",
    "check_prevalence",
    "conformal_coverage",
    "evaluate",
    "join",
    "read_predictions",
]
