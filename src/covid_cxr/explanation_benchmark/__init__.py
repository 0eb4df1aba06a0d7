"""Explanations against masks, faithfulness, stability and sanity: `covid-cxr explain-eval`."""

from covid_cxr.explanation_benchmark.run import explain_eval
from covid_cxr.explanation_benchmark.settings import (
    Budget,
    MethodSpec,
    Settings,
    default_methods,
    read_methods,
)

__all__ = [
    "Budget",
    "MethodSpec",
    "Settings",
    "default_methods",
    "explain_eval",
    "read_methods",
]
