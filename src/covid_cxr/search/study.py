"""Studies that several processes share, and their trials one by one."""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from covid_cxr.config import RunConfig, with_settings
from covid_cxr.errors import ConfigError, CovidCxrError, InputError
from covid_cxr.search.objective import Report, Scorer, measure
from covid_cxr.search.sampling import SeededSampler, pruner
from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.space import Value, combinations, default_values, suggest
from covid_cxr.search.storage import MAX_RETRIES, quiet

log = logging.getLogger(__name__)
_CREATION = 20  # seconds in which another process creates a study
# What a trial can die of without the search: a recipe that cannot be trained, or too large a one
_FAILURES = (CovidCxrError, RuntimeError, MemoryError)
# names of the trials' attributes
IMPOSSIBLE, FAILURE, INTERRUPTED = "impossible", "failure", "interrupted"
REPEATS, SPREAD = "repeats", "spread"


def prepare(storage: RDBStorage, name: str, search: SearchConfig, identity: str) -> optuna.Study:
    """Create a study with its default recipe enqueued, or open the one that was created.

    Raises:
        ConfigError: the storage holds a study of this name with other settings or images.
    """
    directions: list[StudyDirection] = [StudyDirection.MAXIMIZE]
    directions += [StudyDirection.MINIMIZE] * len(search.objective.also)
    with quiet():
        try:
            study = optuna.create_study(storage=storage, study_name=name, directions=directions)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(study_name=name, storage=storage)
            _await_queue(study)
        study.set_user_attr("identity", study.user_attrs.get("identity", identity))
        if study.user_attrs["identity"] != identity:
            raise ConfigError(
                f"study '{name}' was begun with other settings or images; give the search another "
                "name, or another --out or --storage"
            )
        if not study.get_trials(deepcopy=False):
            for values in _queue(search):
                study.enqueue_trial(values)
        return study


def _await_queue(study: optuna.Study) -> None:
    """Wait until the process that created a study has put its first trial into the queue."""
    for _ in range(_CREATION):
        if study.get_trials(deepcopy=False):
            return
        time.sleep(1)


def _queue(search: SearchConfig) -> list[dict[str, Value]]:
    """Return the trials that are known from the start: the default recipe, and a grid's."""
    first = default_values(search.space, search.recipe)
    if search.sampler not in ("grid", "exhaustive"):
        return [first]
    every = [
        values
        for values in combinations(search.space, search.recipe)
        if values != first and _can_be_trained(search.recipe, values)
    ]
    if search.sampler == "grid":
        random.Random(search.seed).shuffle(every)
        every = every[: search.trials - 1]
    return [first, *every]


def _can_be_trained(recipe: RunConfig, values: dict[str, Value]) -> bool:
    try:
        with_settings(recipe, values)
    except ConfigError:
        return False
    return True


@dataclass(frozen=True)
class Counts:
    """How far a study has come.

    Attributes:
        settled: trials that count: finished, stopped early, or failed for good.
        running: trials that a worker runs, or did when it last gave a sign of life.
        wanted: trials in all.
    """

    settled: int
    running: int
    wanted: int

    @property
    def is_done(self) -> bool:
        return self.settled >= self.wanted

    @classmethod
    def of(cls, study: optuna.Study, search: SearchConfig) -> Counts:
        trials = study.get_trials(deepcopy=False)
        running = sum(trial.state == TrialState.RUNNING for trial in trials)
        settled = sum(map(is_settled, trials))
        if search.sampler in ("grid", "exhaustive"):
            waiting = sum(trial.state == TrialState.WAITING for trial in trials)
            wanted = settled + running + waiting
        else:
            wanted = search.trials
        return cls(settled, running, wanted)


def is_settled(trial: FrozenTrial) -> bool:
    """Return whether a trial counts towards the number of trials and will not be repeated."""
    if trial.state == TrialState.PRUNED:
        return IMPOSSIBLE not in trial.user_attrs
    if trial.state == TrialState.FAIL and INTERRUPTED not in trial.user_attrs:
        given_up = len(trial.system_attrs.get("retry_history", ())) >= MAX_RETRIES
        return FAILURE in trial.user_attrs or given_up
    return trial.state == TrialState.COMPLETE


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that have a score, in order."""
    return [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]


def default_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the trial of the default recipe: trial 0, or its repetition; None without a score."""
    return next((trial for trial in complete(study) if _first_number(trial) == 0), None)


def best(study: optuna.Study) -> FrozenTrial:
    """Return the trial of the best score, the earliest of several."""
    return max(complete(study), key=lambda trial: (trial.values[0], -trial.number))


def recipe_of(search: SearchConfig, trial: FrozenTrial) -> RunConfig:
    """Return the recipe of a trial."""
    ordered = {field: trial.params[field] for field in search.space if field in trial.params}
    return with_settings(search.recipe, ordered)


def run_one(study: optuna.Study, search: SearchConfig, scorer: Scorer, folder: Path) -> None:
    """Run the next trial of a study; trials of dead workers are put into the queue before.

    Args:
        study: shared with other processes.
        search: its settings.
        scorer: scores the trial's recipe.
        folder: of the trials' trainings; one whose worker died continues where it was.

    Raises:
        CovidCxrError: the default recipe, trial 0, cannot be trained.
    """
    with quiet():
        study.sampler = SeededSampler(search)
        study.pruner = pruner(search)
        current: list[optuna.Trial] = []

        def objective(trial: optuna.Trial) -> float | Sequence[float]:
            current.append(trial)
            return _objective(study, trial, search, scorer, folder)

        try:
            study.optimize(objective, n_trials=1, catch=_FAILURES)
        except KeyboardInterrupt:
            if current:
                _again(study, current[0].number)
            raise
    trial = study.get_trials(deepcopy=False)[current[0].number]
    _log(study, trial)
    if trial.number == 0 and trial.state == TrialState.FAIL:
        raise InputError(f"the recipe itself, trial 0, fails: {trial.user_attrs[FAILURE]}")


def _objective(
    study: optuna.Study,
    trial: optuna.Trial,
    search: SearchConfig,
    scorer: Scorer,
    folder: Path,
) -> float | Sequence[float]:
    values = suggest(trial, search.space, search.recipe)
    try:
        config = with_settings(search.recipe, values)
    except ConfigError as error:
        trial.set_user_attr(IMPOSSIBLE, str(error))
        raise optuna.TrialPruned(str(error)) from error
    number = _first_number(study.get_trials(deepcopy=False)[trial.number])
    out = folder / str(number)
    try:
        score = scorer.score(config, out, _reporter(trial, search, config))
    except KeyboardInterrupt:
        trial.set_user_attr(INTERRUPTED, True)
        raise
    except (*_FAILURES, optuna.TrialPruned) as error:
        if not isinstance(error, optuna.TrialPruned):
            trial.set_user_attr(FAILURE, " ".join(f"{error}".split())[:300])
        shutil.rmtree(out, ignore_errors=True)
        raise
    shutil.rmtree(out, ignore_errors=True)
    trial.set_user_attr(REPEATS, list(score.repeats))
    trial.set_user_attr(SPREAD, score.spread)
    return [score.value, *(measure(name, config) for name in search.objective.also)]


def _reporter(trial: optuna.Trial, search: SearchConfig, config: RunConfig) -> Report:
    """Return what reports a trial's steps, and stops it where it falls behind with steps to go."""
    epochs, folds = config.training.max_epochs, search.objective.folds
    last = {"validation": epochs, "out-of-fold": folds}.get(search.objective.kind)

    def report(value: float, step: int) -> None:
        if search.objective.also:  # Optuna prunes by one objective only
            return
        trial.report(value, step)
        if trial.number and step != last and trial.should_prune():
            raise optuna.TrialPruned

    return report


def _first_number(trial: FrozenTrial) -> int:
    """Return the number of the trial that a trial repeats because its worker died."""
    return int(trial.system_attrs.get("failed_trial", trial.number))


def _again(study: optuna.Study, number: int) -> None:
    """Put a trial that was interrupted into the queue again."""
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state == TrialState.FAIL:
        RetryHeartbeatStaleTrialCallback()(study, trial)


def _log(study: optuna.Study, trial: FrozenTrial) -> None:
    if trial.state == TrialState.COMPLETE:
        leader = best(study)
        log.info(
            "trial %d: %.4f (spread %.4f); best %.4f, trial %d",
            *(trial.number, trial.values[0], trial.user_attrs.get(SPREAD, 0.0)),
            *(leader.values[0], leader.number),
        )
    elif trial.state == TrialState.FAIL:
        log.warning("trial %d failed: %s", trial.number, trial.user_attrs.get(FAILURE, "unknown"))
    elif IMPOSSIBLE in trial.user_attrs:
        log.debug("trial %d: %s", trial.number, trial.user_attrs[IMPOSSIBLE])
    else:
        log.info("trial %d: stopped early, it fell behind", trial.number)
