"""The whole way: cohort -> train -> audit -> evaluate -> explain -> report."""

from covid_cxr.pipeline.demo import demo
from covid_cxr.pipeline.evaluate import cross_validate, evaluate
from covid_cxr.pipeline.external_validation import ExternalValidation, validate
from covid_cxr.pipeline.run import audit, hold_out_validation, run, train
from covid_cxr.pipeline.run_folder import RunFolder

__all__ = [
    "ExternalValidation",
    "RunFolder",
    "audit",
    "cross_validate",
    "demo",
    "evaluate",
    "hold_out_validation",
    "run",
    "train",
    "validate",
]
