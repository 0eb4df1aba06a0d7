"""Every setting of a run: YAML in, validated, resolved JSON out beside the weights."""

from covid_cxr.config.architectures import DcnnResnetSettings, ModelSettings
from covid_cxr.config.audit import AuditConfig, Bounds
from covid_cxr.config.base import Strict
from covid_cxr.config.loading import (
    dump,
    first_problem,
    load,
    recipe_file,
    recipes,
    with_settings,
)
from covid_cxr.config.settings import (
    AugmentConfig,
    CohortConfig,
    DatasetConfig,
    EvaluationConfig,
    ExplainConfig,
    FilterConfig,
    PreprocessSpec,
    RunConfig,
    TrainingConfig,
)

__all__ = [
    "AuditConfig",
    "AugmentConfig",
    "Bounds",
    "CohortConfig",
    "DatasetConfig",
    "DcnnResnetSettings",
    "EvaluationConfig",
    "ExplainConfig",
    "FilterConfig",
    "ModelSettings",
    "PreprocessSpec",
    "RunConfig",
    "Strict",
    "TrainingConfig",
    "dump",
    "first_problem",
    "load",
    "recipe_file",
    "recipes",
    "with_settings",
]
