"""Hyperparameter search over any field of the configuration, by Optuna.

The test split cannot be reached: a search keeps a cohort without it. Needs the extra `search`.
"""

from covid_cxr.search.folder import SearchFolder
from covid_cxr.search.results import SearchResult
from covid_cxr.search.run import search
from covid_cxr.search.settings import ObjectiveConfig, Sampler, SearchConfig, load

__all__ = [
    "ObjectiveConfig",
    "Sampler",
    "SearchConfig",
    "SearchFolder",
    "SearchResult",
    "load",
    "search",
]
