"""Explanations against masks, faithfulness, stability and sanity: `covid-cxr explain-eval`."""

from covid_cxr.explanation_benchmark.methods import default_methods, parse, variants
from covid_cxr.explanation_benchmark.run import explain_eval
from covid_cxr.explanation_benchmark.settings import Budget, Settings, settings

__all__ = [
    "Budget",
    "Settings",
    "default_methods",
    "explain_eval",
    "parse",
    "settings",
    "variants",
]
