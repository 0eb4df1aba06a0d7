"""From a joined predictions table to numbers: pooled, and in every group that can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.evaluation import operating_points, subgroups
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.evaluation.target_prevalence import Place, at_place
from covid_cxr.evaluation.views import by_view
from covid_cxr.metrics import (
    Bootstrap,
    binary_scores,
    binary_support,
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
    bootstrap: Bootstrap,
    place: Place | None = None,
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
        bootstrap: over patients.
        place: where the answers are to be used, if COVID-19 is more or less common there.

    Returns:
        JSON-ready: n, patients, events, abstained, errors, threshold; `pooled`, `constant_prior`
        and, by name, `per_source`, `per_site`, `per_view`, `per_sex` and `per_age_band` (empty
        where no image states it, see `groups.levels`), each a block: n, events, patients, every
        score as {value, low, high} (None where undefined), `confusion` (rows: truth) and, if only
        one class is present, a `note`. A block by name also holds abstained, errors, `small` and
        its own `constant_prior`; `pooled` and each source hold `views` (`views.by_view`). `within`
        is the AUROC over pairs of one source, of one site and of one view, where there are
        several; for it, `calibration`, `calibration_by_source`, `thresholds` and `decision` see
        `covid_cxr.evaluation.operating_points`, for `at_prevalence` (given a place)
        `target_prevalence.at_place`.
    """
    share = np.array([prevalence[name] for name in CLASSES[task]])
    measure = _Measure(task, threshold, share, bootstrap)
    whole = pooled, prior = measure.both(table)
    answered, told = cases(table, task), subgroups.levels(table)
    ok = (table["status"] == "ok").to_numpy()
    views = measure.views(table)
    within: dict[str, Any] = {
        key: operating_points.within(answered, told[key][ok].astype(str).to_numpy(), bootstrap)
        for key in ("per_source", "per_site")
        if key in told
    }
    within["per_view"] = views and views["within"]
    return {
        **{key: pooled[key] for key in ("n", "patients", "events")},
        **_unanswered(table),
        "threshold": threshold,
        "pooled": pooled | {"views": views},
        "constant_prior": prior,
        **{
            key: measure.by(key, table, told[key], whole) if key in told else {}
            for key in subgroups.GROUPS
        },
        "within": {key: found for key, found in within.items() if found},
        "calibration": operating_points.calibration(answered, bootstrap),
        "calibration_by_source": operating_points.calibration_by_source(answered, bootstrap),
        "thresholds": operating_points.thresholds(
            answered, threshold, bootstrap, prevalences=_prevalences(place)
        ),
        "decision": operating_points.decision(answered, bootstrap),
        **({"at_prevalence": at_place(answered, threshold, place, bootstrap)} if place else {}),
    }


def _prevalences(place: Place | None) -> list[float]:
    return sorted({*operating_points.PREVALENCES, *([place.prevalence] if place else [])})


@dataclass(frozen=True)
class _Measure:
    """How rows are scored: `share` (C,) is the constant forecast."""

    task: Task
    threshold: float
    share: Array
    bootstrap: Bootstrap

    def both(self, rows: pd.DataFrame) -> tuple[Block, Block]:
        """Return the block of the model and that of the constant forecast."""
        model = cases(rows, self.task)
        prior = replace(model, probabilities=np.tile(self.share, (model.labels.size, 1)))
        return (
            _block(model, self.threshold, self.bootstrap, constant=False),
            _block(prior, self.threshold, self.bootstrap, constant=True),
        )

    def views(self, rows: pd.DataFrame) -> Block | None:
        """Return the model's scores within views, beside that of the view alone."""
        return by_view(rows, self.task, self.bootstrap)

    def by(
        self, key: str, table: pd.DataFrame, names: pd.Series, whole: tuple[Block, Block]
    ) -> dict[str, Block]:
        """Return the block of each group; a group that is the whole table has been scored."""
        blocks = {}
        for name, rows in table.groupby(names, observed=True):
            block, constant = whole if len(rows) == len(table) else self.both(rows)
            more: Block = {"small": subgroups.small(block), "constant_prior": constant}
            if key == "per_source":
                more["views"] = self.views(rows)
            blocks[str(name)] = block | _unanswered(rows) | more
        return blocks


def _unanswered(rows: pd.DataFrame) -> dict[str, int]:
    return {
        "abstained": int((rows["status"] == "abstained").sum()),
        "errors": int((rows["status"] == "error").sum()),
    }


def _block(chosen: Cases, threshold: float, bootstrap: Bootstrap, *, constant: bool) -> Block:
    events = chosen.events
    scored, member = _alike(chosen) if constant else (chosen, None)

    def statistic(weights: Array | None) -> Scores:
        if member is not None:
            weights = (np.ones((1, events.size)) if weights is None else weights) @ member
        result = binary_scores(scored.events, scored.scores, threshold, weights)
        if len(scored.classes) > 2:
            p = scored.probabilities
            result |= multiclass_scores(scored.labels, p, scored.classes, weights)
        return result

    # A constant forecast has no luck in its ranking: where all resamples agree, they are right.
    support = None if constant else _support(chosen, threshold)
    intervals = bootstrap.intervals(statistic, chosen.patients, support=support)
    block: Block = {
        "n": int(events.size),
        "events": int(events.sum()),
        "patients": int(np.unique(chosen.patients).size),
        **{name: operating_points.as_json(interval) for name, interval in intervals.items()},
        "confusion": _confusion(chosen, threshold).tolist(),
    }
    if not chosen.both_classes:
        block["note"] = "one class only" if events.size else "no image answered"
    return block


def _alike(prior: Cases) -> tuple[Cases, Array]:
    """Return one case a class, and which case (N, C) each image of a constant forecast is."""
    classes = np.arange(len(prior.classes))
    one = np.zeros(classes.size, dtype=np.intp)
    if not prior.labels.size:
        return prior, np.empty((0, 0))
    return replace(prior.where(one), labels=classes), np.eye(classes.size)[prior.labels]


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
