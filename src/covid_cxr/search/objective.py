"""The score of a recipe, on training and validation images alone."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import logsumexp

from covid_cxr.cohort.splits.grouped import grouped_folds
from covid_cxr.cohort.splits.hold_out import hold_outs
from covid_cxr.config import ModelSettings, RunConfig
from covid_cxr.errors import CohortError
from covid_cxr.metrics import auroc, average_precision
from covid_cxr.models import zoo
from covid_cxr.search.cache import TrainingCache
from covid_cxr.search.settings import Measure, ObjectiveConfig
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.experiment import require_all_classes
from covid_cxr.training.hold_out_validation import score_hold_out, stopping_split, summarise
from covid_cxr.training.linear_probe import out_of_fold_logits
from covid_cxr.training.run import fit_recipe, log_odds
from covid_cxr.types import CLASSES, COVID

Rows = NDArray[np.int64]
# Called with the score so far and how many epochs, folds or hold-outs it rests on.
Report = Callable[[float, int], None]
_PASSES = 20
_LABEL = "training"


@dataclass(frozen=True)
class Score:
    """What a recipe reached.

    Attributes:
        value: mean over the repeats.
        repeats: of each.
    """

    value: float
    repeats: tuple[float, ...]

    @property
    def spread(self) -> float:
        """Standard deviation over the repeats; 0 of one."""
        return statistics.stdev(self.repeats) if len(self.repeats) > 1 else 0.0


class Scorer:
    """Scores recipes on some rows; every other row is out of its reach.

    Args:
        objective: how.
        cache: of the training data of all train and val rows.
        chosen: numbers of the rows that may be used; None for all.
    """

    def __init__(
        self, objective: ObjectiveConfig, cache: TrainingCache, chosen: Rows | None = None
    ) -> None:
        self.objective, self.cache = objective, cache
        self.chosen = np.arange(len(cache.rows)) if chosen is None else chosen
        self.rows = cache.rows.iloc[self.chosen].reset_index(drop=True)

    @property
    def constant_prior(self) -> float:
        """Score of a recipe that gives every image the same score."""
        if self.objective.metric == "auroc":
            return 0.5
        rows = self.rows
        if self.objective.kind == "validation":
            rows = rows[rows["split"] == "val"]
        return float((rows["finding"] == COVID).mean())

    def score(self, config: RunConfig, out: Path, report: Report) -> Score:
        """Train and score a recipe.

        Args:
            config: the recipe.
            out: folder of the trainings; one that was killed continues in it.
            report: told the scores of epochs, folds or hold-outs of the first repeat.

        Raises:
            CohortError: the rows lack a class or patients.
        """
        data = self.cache.data(config)
        repeats = self.objective.repeats
        if config.training.method == "linear-probe" and self.objective.kind != "out-of-fold":
            repeats = 1  # a fit in closed form has one answer
        values = []
        for number in range(repeats):
            seeded = config.model_copy(update={"seed": config.seed + number})
            folder, listener = out / f"repeat-{number + 1}", report if number == 0 else _nobody
            values.append(self._score_once(seeded, data, folder, listener))
        return Score(float(np.mean(values)), tuple(values))

    def refit(self, config: RunConfig, scored: Rows, out: Path) -> float:
        """Train a recipe on the scorer's rows and return its score on other rows.

        Args:
            config: the recipe.
            scored: numbers of rows of the cache, none of the scorer's.
            out: folder of the training.
        """
        data = self.cache.data(config)
        train, stop = stopping_split(self.cache.rows, self.chosen, config.seed)
        if config.training.method == "linear-probe":
            train = self.chosen
        own = replace(data, train=train, val=stop)
        odds = log_odds(fit_recipe(config, own, out, _LABEL), own, scored)
        shutil.rmtree(out, ignore_errors=True)
        return self._metric(data, scored, odds)

    def _score_once(
        self, config: RunConfig, data: TrainingData, out: Path, report: Report
    ) -> float:
        if self.objective.kind == "validation":
            return self._validation(config, data, out, report)
        if self.objective.kind == "leave-out":
            return self._hold_outs(config, data, out, report)
        values = []
        for value in self._folds(config, data, out):
            values.append(value)
            report(float(np.mean(values)), len(values))
        return float(np.mean(values))

    def _validation(
        self, config: RunConfig, data: TrainingData, out: Path, report: Report
    ) -> float:
        is_train = (self.rows["split"] == "train").to_numpy()
        own = replace(data, train=self.chosen[is_train], val=self.chosen[~is_train])
        callbacks = [_Epochs(report)] if config.training.runs == 1 else []
        trained = fit_recipe(config, own, out, _LABEL, callbacks)
        return self._metric(data, own.val, log_odds(trained, own, own.val))

    def _folds(self, config: RunConfig, data: TrainingData, out: Path) -> Iterator[float]:
        """Yield the score of each fold by a training without its patients."""
        folds = self.objective.folds
        if config.training.method == "linear-probe":
            part = grouped_folds(self.rows, folds, config.seed).to_numpy()
            own = replace(data, train=self.chosen, val=self.chosen)
            require_all_classes(config.task, data.labels, own.train, own.val)
            logits = out_of_fold_logits(config, own, part)
            odds = logits[:, -1] - logsumexp(logits[:, :-1], axis=1)
            for fold in range(folds):
                left_out = part == fold
                yield self._metric(data, self.chosen[left_out], odds[left_out])
            return
        part = grouped_folds(self.rows, 2 * folds, config.seed).to_numpy()
        for fold in range(folds):
            left_out = np.isin(part, (2 * fold, 2 * fold + 1))
            stopping = part == (2 * fold + 2) % (2 * folds)
            train = self.chosen[~left_out & ~stopping]
            own = replace(data, train=train, val=self.chosen[stopping])
            trained = fit_recipe(config, own, out / f"fold-{fold + 1}", _LABEL)
            rows = self.chosen[left_out]
            yield self._metric(data, rows, log_odds(trained, own, rows))

    def _hold_outs(self, config: RunConfig, data: TrainingData, out: Path, report: Report) -> float:
        own, tables = _only(data, self.chosen), []
        for number, hold_out in enumerate(hold_outs(self.rows), start=1):
            tables.append(score_hold_out(config, self.rows, own, hold_out, out))
            result = summarise(pd.concat(tables, ignore_index=True), self.rows)
            report(result.objective, number)
        return float(result.objective)

    def _metric(self, data: TrainingData, rows: Rows, odds: NDArray[np.float64]) -> float:
        """Return the score of log-odds (n,) of COVID-19 against the rest for some rows."""
        events = data.labels[rows] == data.labels.max()
        value = (auroc if self.objective.metric == "auroc" else average_precision)(events, odds)
        if np.isnan(value):
            raise CohortError(
                f"{len(rows)} images to score a training on, {int(events.sum())} of them with "
                "COVID-19: expected both kinds; take fewer folds or a larger cohort"
            )
        return value


def measure(name: Measure, config: RunConfig) -> float:
    """Return what a recipe's network costs.

    Returns:
        latency: milliseconds a forward pass of one image on this machine's CPU, the median of
        several; size: megabytes of float32 weights.
    """
    network = (config.model, config.task, config.model_settings, config.preprocess.size)
    return _costs(*network)[name]


@lru_cache(maxsize=32)
def _costs(model: str, task: Any, settings: ModelSettings, size: int) -> dict[str, float]:
    network = zoo.build(model, len(CLASSES[task]), settings, size).eval()
    image, seconds = torch.zeros(1, 1, size, size), []
    with torch.inference_mode():
        for _ in range(_PASSES):
            start = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - start)
    weights = sum(parameter.numel() for parameter in network.parameters())
    return {"latency": 1000 * statistics.median(seconds), "size": 4 * weights / 1e6}


class _Epochs(lightning.Callback):
    """Reports the validation AUROC of every epoch."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_validation_end(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        value = float(trainer.callback_metrics["val_auroc"])
        self._report(value, trainer.current_epoch + 1)


def _only(data: TrainingData, rows: Rows) -> TrainingData:
    """Return the data of some rows."""
    return replace(
        data,
        inputs=data.inputs[rows],
        labels=data.labels[rows],
        sources=None if data.sources is None else data.sources[rows],
        label_weights=None if data.label_weights is None else data.label_weights[rows],
        features=None if data.features is None else data.features[:, rows],
    )


def _nobody(_: float, __: int) -> None:
    """Ignore a report."""
