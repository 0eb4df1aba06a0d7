"""Pages, model cards, figures and checklists from the numbers of a run. Never sees a model."""

from covid_cxr.report.html import write_report
from covid_cxr.report.model_card import model_card
from covid_cxr.report.verdict import Verdict, verdict

__all__ = ["Verdict", "model_card", "verdict", "write_report"]
