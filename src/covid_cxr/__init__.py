"""Explained, honestly measured COVID-19 prediction from frontal chest X-rays.

>>> import covid_cxr
>>> from covid_cxr.phantoms import draw
>>> model = covid_cxr.load(threads=1)
>>> reading = model.predict(draw("covid-19", seed=1).pixels)  # or a path, bytes, image, Dataset
>>> sorted(reading.prediction.probabilities)
['covid-19', 'non-covid-19']

Names are imported when they are first used, so that `import covid_cxr` is fast; none of them needs
PyTorch but `train_run`, and `audit_run` where it retrains. `docs/versioning.md` says what may
change from version to version. Research software, not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from covid_cxr.api import (
        architectures,
        audit_checks,
        audit_run,
        build_cohort,
        datasets,
        default_bundle,
        evaluate_run,
        explainers,
        load,
        train_run,
    )
    from covid_cxr.config import RunConfig
    from covid_cxr.errors import (
        AlteredImage,
        BundleError,
        CohortError,
        ConfigError,
        CovidCxrError,
        InputError,
        LeakError,
        MissingDependency,
        UnknownName,
        UnreadableImage,
    )
    from covid_cxr.imaging.in_memory import read_image
    from covid_cxr.inference.model import InputCheckResult, Model
    from covid_cxr.inference.predictor import Reading
    from covid_cxr.inference.similar_cases import SimilarCase
    from covid_cxr.models.bundle import Bundle
    from covid_cxr.results import AuditResult, Estimate, RunMetrics
    from covid_cxr.types import Explanation, Lungs, LungZones, Prediction, Radiograph

_API = "covid_cxr.api"
_ERRORS = "covid_cxr.errors"
_TYPES = "covid_cxr.types"
_PUBLIC = {  # name -> module that defines it
    "AlteredImage": _ERRORS,
    "AuditResult": "covid_cxr.results",
    "Bundle": "covid_cxr.models.bundle",
    "BundleError": _ERRORS,
    "CohortError": _ERRORS,
    "ConfigError": _ERRORS,
    "CovidCxrError": _ERRORS,
    "Estimate": "covid_cxr.results",
    "Explanation": _TYPES,
    "InputCheckResult": "covid_cxr.inference.model",
    "InputError": _ERRORS,
    "LeakError": _ERRORS,
    "LungZones": _TYPES,
    "Lungs": _TYPES,
    "MissingDependency": _ERRORS,
    "Model": "covid_cxr.inference.model",
    "Prediction": _TYPES,
    "Radiograph": _TYPES,
    "Reading": "covid_cxr.inference.predictor",
    "RunConfig": "covid_cxr.config",
    "RunMetrics": "covid_cxr.results",
    "SimilarCase": "covid_cxr.inference.similar_cases",
    "UnknownName": _ERRORS,
    "UnreadableImage": _ERRORS,
    "architectures": _API,
    "audit_checks": _API,
    "audit_run": _API,
    "build_cohort": _API,
    "datasets": _API,
    "default_bundle": _API,
    "evaluate_run": _API,
    "explainers": _API,
    "load": _API,
    "read_image": "covid_cxr.imaging.in_memory",
    "train_run": _API,
}

__all__ = [
    "AlteredImage",
    "AuditResult",
    "Bundle",
    "BundleError",
    "CohortError",
    "ConfigError",
    "CovidCxrError",
    "Estimate",
    "Explanation",
    "InputCheckResult",
    "InputError",
    "LeakError",
    "LungZones",
    "Lungs",
    "MissingDependency",
    "Model",
    "Prediction",
    "Radiograph",
    "Reading",
    "RunConfig",
    "RunMetrics",
    "SimilarCase",
    "UnknownName",
    "UnreadableImage",
    "__version__",
    "architectures",
    "audit_checks",
    "audit_run",
    "build_cohort",
    "datasets",
    "default_bundle",
    "evaluate_run",
    "explainers",
    "load",
    "read_image",
    "train_run",
]

__version__ = version("covid-cxr")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_PUBLIC[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
