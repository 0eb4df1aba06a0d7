"""Predictions tables in; numbers, figures, report and model card out. Never sees a model."""

from covid_cxr.evaluation.card import model_card
from covid_cxr.evaluation.measure import evaluate
from covid_cxr.evaluation.place import Place, check_prevalence
from covid_cxr.evaluation.report import write_report
from covid_cxr.evaluation.sets import conformal
from covid_cxr.evaluation.tables import Cases, cases, join, read_predictions
from covid_cxr.evaluation.verdict import Verdict, verdict

__all__ = [
    "Cases",
    "Place",
    "Verdict",
    "cases",
    "check_prevalence",
    "conformal",
    "evaluate",
    "join",
    "model_card",
    "read_predictions",
    "verdict",
    "write_report",
]
