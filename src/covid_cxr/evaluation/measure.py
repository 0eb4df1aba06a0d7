"""From a joined predictions table to numbers: pooled, per source and per view."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.config import EvaluationConfig
from covid_cxr.evaluation.tables import Cases, cases
from covid_cxr.metrics import (
    Interval,
    binary_scores,
    binary_support,
    bootstrap,
    confusion_matrix,
    multiclass_scores,
)
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.types import CLASSES, COVID, Task

Block = dict[str, Any]


def evaluate(
    table: pd.DataFrame,
    *,
    task: Task,
    threshold: float,
    prevalence: Mapping[str, float],
    config: EvaluationConfig,
    seed: int,
) -> dict[str, Any]:
    """Measure predictions, with a constant forecast measured beside them.

    The event is COVID-19 in both tasks; scores at the threshold are COVID-19 against the rest. The
    multiclass task adds auroc_<class>, auprc_<class>, their macro means and multiclass_accuracy,
    multiclass_brier and multiclass_log_loss of the most probable class.

    Args:
        table: what `join` returned for one split.
        task: binary or multiclass.
        threshold: on the probability of COVID-19, fixed on validation.
        prevalence: class -> share among the training images; the constant forecast.
        config: number of bootstrap draws.
        seed: of the bootstrap.

    Returns:
        JSON-ready: n, patients, events, abstained, errors, threshold; `pooled`, `constant_prior`
        and, by name, `per_source` and `per_view`, each a block: n, events, patients, every score
        as {value, low, high} (None where undefined), `confusion` (rows: truth) and, if only one
        class is present, a `note`. A block by name also holds abstained, errors and its own
        `constant_prior`.
    """
    share = np.array([prevalence[name] for name in CLASSES[task]])

    def measured(rows: pd.DataFrame) -> tuple[Block, Block]:
        model = cases(rows, task)
        prior = replace(model, probabilities=np.tile(share, (model.labels.size, 1)))
        return (
            _block(model, threshold, config.bootstrap, seed, constant=False),
            _block(prior, threshold, config.bootstrap, seed, constant=True),
        )

    def by(names: pd.Series) -> dict[str, Block]:
        blocks = {}
        for name, rows in table.groupby(names):
            block, prior = measured(rows)
            blocks[str(name)] = block | _unanswered(rows) | {"constant_prior": prior}
        return blocks

    pooled, prior = measured(table)
    return {
        **{key: pooled[key] for key in ("n", "patients", "events")},
        **_unanswered(table),
        "threshold": threshold,
        "pooled": pooled,
        "constant_prior": prior,
        "per_source": by(table["source"].astype(str)),
        "per_view": by(table["view"].fillna("").astype(str).replace("", "unknown")),
    }


def _unanswered(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "abstained": int((rows["status"] == "abstained").sum()),
        "errors": int((rows["status"] == "error").sum()),
    }


def _block(chosen: Cases, threshold: float, draws: int, seed: int, *, constant: bool) -> Block:
    events, scores = chosen.events, chosen.scores

    def statistic(weights: Array | None) -> Scores:
        result = binary_scores(events, scores, threshold, weights)
        if len(chosen.classes) > 2:
            p = chosen.probabilities
            result |= multiclass_scores(chosen.labels, p, chosen.classes, weights)
        return result

    # A constant forecast has no luck in its ranking: where all draws agree, they are right.
    support = None if constant else _support(chosen, threshold)
    intervals = bootstrap(statistic, chosen.patients, draws=draws, seed=seed, support=support)
    block: Block = {
        "n": int(events.size),
        "events": int(events.sum()),
        "patients": int(np.unique(chosen.patients).size),
        **{name: _json(interval) for name, interval in intervals.items()},
        "confusion": _confusion(chosen, threshold).tolist(),
    }
    if not chosen.both_classes:
        block["note"] = "one class only" if events.size else "no image answered"
    return block


def _support(chosen: Cases, threshold: float) -> dict[str, int]:
    support = binary_support(chosen.events, chosen.scores, threshold, chosen.patients)
    if len(chosen.classes) == 2:
        return support
    for index, name in enumerate(chosen.classes):
        one = binary_support(
            chosen.labels == index, chosen.probabilities[:, index], threshold, chosen.patients
        )
        support |= {f"{key}_{name}": one[key] for key in ("auroc", "auprc")}
    for key in ("auroc", "auprc"):
        support[f"{key}_macro"] = min(support[f"{key}_{name}"] for name in chosen.classes)
    return support | {"multiclass_accuracy": support["accuracy"]}


def _confusion(chosen: Cases, threshold: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    if len(chosen.classes) == 2:
        return confusion_matrix(chosen.labels, chosen.scores >= threshold, 2)
    covid = chosen.classes.index(COVID)
    others = chosen.probabilities.copy()
    others[:, covid] = -1
    # As the system answers: COVID-19 from its threshold on, else the most probable other class.
    called = np.where(chosen.scores >= threshold, covid, others.argmax(axis=1))
    return confusion_matrix(chosen.labels, called, len(chosen.classes))


def _json(interval: Interval) -> dict[str, float | None]:
    numbers = interval._asdict().items()
    return {name: None if math.isnan(x) else round(x, 6) for name, x in numbers}
