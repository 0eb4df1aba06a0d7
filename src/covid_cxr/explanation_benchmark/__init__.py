"""Explanations against masks, faithfulness, stability and sanity: `covid-cxr explain-eval`."""

from covid_cxr.explanation_benchmark.run import explain_eval as explain_eval
from covid_cxr.explanation_benchmark.settings import Budget as Budget
from covid_cxr.explanation_benchmark.settings import MethodSpec as MethodSpec
from covid_cxr.explanation_benchmark.settings import Settings as Settings
from covid_cxr.explanation_benchmark.settings import default_methods as default_methods
from covid_cxr.explanation_benchmark.settings import read_methods as read_methods
