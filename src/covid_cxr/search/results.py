"""What a search came to, free of the library that ran it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from covid_cxr.config import RunConfig
from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.space import Value
from covid_cxr.search.storage import quiet
from covid_cxr.search.study import (
    FAILURE,
    IMPOSSIBLE,
    REPEATS,
    SPREAD,
    best,
    complete,
    default_trial,
    is_settled,
    recipe_of,
)

State = Literal["complete", "stopped early", "failed"]
_LEAST = 4  # trials whose importances say anything


@dataclass(frozen=True)
class TrialRecord:
    """One trial.

    Attributes:
        values: the score, then the measures that are minimised; empty unless complete.
        parameters: field -> value; a field whose conditions did not hold is not in it.
        steps: epoch, fold or hold-out -> score so far.
        reason: why it failed.
        pareto: no other trial is better in one respect and as good in all others.
    """

    number: int
    state: State
    values: tuple[float, ...]
    repeats: tuple[float, ...]
    spread: float
    parameters: Mapping[str, Value]
    steps: Mapping[int, float]
    seconds: float
    reason: str
    pareto: bool


@dataclass(frozen=True)
class OuterFold:
    """One outer fold of a nested search.

    Attributes:
        inner_best, inner_default: scores inside the search.
        outer_best, outer_default: scores on the patients of the fold, which no trial saw.
        parameters: what was chosen.
    """

    inner_best: float
    inner_default: float
    outer_best: float
    outer_default: float
    parameters: Mapping[str, Value]


@dataclass(frozen=True)
class Nested:
    """What choosing gains on patients that no trial saw, against what the search promised."""

    folds: tuple[OuterFold, ...]

    @property
    def promised(self) -> float:
        """Mean gain of the best over the default recipe inside the searches."""
        return statistics.mean(fold.inner_best - fold.inner_default for fold in self.folds)

    @property
    def gain(self) -> float:
        """Mean gain of the best over the default recipe on the outer folds."""
        return statistics.mean(self.gains)

    @property
    def gains(self) -> tuple[float, ...]:
        return tuple(fold.outer_best - fold.outer_default for fold in self.folds)

    @property
    def flattery(self) -> float:
        """By how much choosing among so many flatters the best."""
        return self.promised - self.gain


@dataclass(frozen=True)
class SearchResult:
    """A search's trials and its choice.

    Attributes:
        default: of the default recipe.
        best: the highest score, the earliest of several.
        recipe: that of the best trial.
        constant_prior: score of a recipe that gives every image the same score.
        impossible: combinations that were proposed and cannot be trained.
        importance: parameter -> share of the variation of the score that goes with it.
        nested: None where not asked for or not finished.
    """

    search: SearchConfig
    trials: tuple[TrialRecord, ...]
    default: TrialRecord
    best: TrialRecord
    recipe: RunConfig
    constant_prior: float
    impossible: int
    importance: Mapping[str, float]
    nested: Nested | None

    @classmethod
    def of(
        cls,
        search: SearchConfig,
        study: optuna.Study,
        constant_prior: float,
        nested: Nested | None,
    ) -> SearchResult:
        """Read a study whose default recipe has a score."""
        trials, leader = study.get_trials(deepcopy=False), best(study)
        default = default_trial(study)
        assert default is not None
        front = {trial.number for trial in study.best_trials} if search.objective.also else set()
        records = tuple(_record(trial, front) for trial in trials if is_settled(trial))
        by_number = {record.number: record for record in records}
        return cls(
            search=search,
            trials=records,
            default=by_number[default.number],
            best=by_number[leader.number],
            recipe=recipe_of(search, leader),
            constant_prior=constant_prior,
            impossible=sum(IMPOSSIBLE in trial.user_attrs for trial in trials),
            importance=_importance(study),
            nested=nested,
        )

    @property
    def metric(self) -> str:
        """What is maximised, in words."""
        kinds = {
            "validation": "on validation",
            "out-of-fold": "out of fold",
            "leave-out": "on sources and sites left out",
        }
        name = {"auroc": "AUROC", "average-precision": "average precision"}
        return f"{name[self.search.objective.metric]} {kinds[self.search.objective.kind]}"

    @property
    def value_names(self) -> tuple[str, ...]:
        """Names of a trial's values: the metric, then the measures that are minimised."""
        objective = self.search.objective
        units = {"latency": "latency_ms", "size": "size_mb"}
        return (objective.metric, *(units[name] for name in objective.also))

    @property
    def complete(self) -> tuple[TrialRecord, ...]:
        """The trials that have a score."""
        return tuple(trial for trial in self.trials if trial.values)


def _record(trial: FrozenTrial, front: set[int]) -> TrialRecord:
    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "stopped early",
    }
    return TrialRecord(
        number=trial.number,
        state=states.get(trial.state, "failed"),
        values=tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
        repeats=tuple(trial.user_attrs.get(REPEATS, ())),
        spread=trial.user_attrs.get(SPREAD, 0.0),
        parameters=trial.params,
        steps=trial.intermediate_values,
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        reason=trial.user_attrs.get(FAILURE, ""),
        pareto=trial.number in front,
    )


def _importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter, largest first; empty where too few trials differ."""
    trials = complete(study)
    if len(trials) < _LEAST or len({trial.values[0] for trial in trials}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with quiet():
        return optuna.importance.get_param_importances(
            study, evaluator=evaluator, target=lambda trial: trial.values[0]
        )
