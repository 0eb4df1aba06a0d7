"""Which values a trial is given, and when it is stopped early."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.storage import quiet


class SeededSampler(BaseSampler):
    """A sampler that is seeded anew by the number of every trial.

    Processes that share a study draw different numbers, and a search that continues draws what it
    would have drawn.
    """

    def __init__(self, search: SearchConfig) -> None:
        self._search = search
        self._own: BaseSampler = RandomSampler()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        seed = random.Random(f"{self._search.seed} {trial.number}").randrange(2**31)
        if self._search.sampler == "tpe":
            with quiet():
                self._own = TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        else:
            self._own = RandomSampler(seed)
        self._own.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> Any:
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._own.after_trial(study, trial, state, values)


def pruner(search: SearchConfig) -> optuna.pruners.BasePruner:
    """Return Hyperband where trials report steps; a closed form has one step only."""
    space = search.space
    by_gradient = search.recipe.training.method == "gradient" or "training.method" in space
    if not search.prune or search.objective.also or not by_gradient:
        return optuna.pruners.NopPruner()
    steps = search.objective.folds
    if search.objective.kind == "validation":
        epochs = space.get("training.max_epochs")
        largest = [int(float(str(value))) for value in epochs.samples()] if epochs else []
        steps = max([search.recipe.training.max_epochs, *largest])
    elif search.objective.kind == "leave-out":
        return optuna.pruners.HyperbandPruner(reduction_factor=3)
    return optuna.pruners.HyperbandPruner(1, steps, 3)
