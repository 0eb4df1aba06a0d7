"""Predictions tables in; numbers, figures, report and model card out. Never sees a model."""

from covid_cxr.evaluation.conformal import conformal_coverage
from covid_cxr.evaluation.measure import evaluate
from covid_cxr.evaluation.predictions import Cases, cases, join, read_predictions
from covid_cxr.evaluation.target_prevalence import Place, check_prevalence

__all__ = [
    "Cases",
    "Place",
    "cases",
    "check_prevalence",
    "conformal_coverage",
    "evaluate",
    "join",
    "read_predictions",
]
