"""From a joined predictions table to metrics: pooled, and in every group that is stated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.evaluation import subgroups
from covid_cxr.evaluation.clinical_use import (
    PREVALENCES,
    calibration,
    calibration_by_source,
    decision_curve,
    operating_points,
)
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.evaluation.subgroups import auroc_within_groups, by_view
from covid_cxr.evaluation.target_prevalence import TargetPrevalence, at_target_prevalence
from covid_cxr.metrics import (
    Bootstrap,
    binary_scores,
    binary_support,
    confusion_matrix,
    multiclass_scores,
)
from covid_cxr.metrics.scores import Array
from covid_cxr.metrics.threshold import decisions
from covid_cxr.results import Estimate, SplitMetrics, SubgroupMetrics
from covid_cxr.results.metrics import Grouping
from covid_cxr.results.scores import (
    SCORES,
    MulticlassScores,
    PairedWithinGroups,
    PooledMetrics,
    Scores,
    Unanswered,
)
from covid_cxr.types import CLASSES, COVID, Task


def evaluate(
    table: pd.DataFrame,
    *,
    task: Task,
    threshold: float,
    prevalence: Mapping[str, float],
    bootstrap: Bootstrap,
    target: TargetPrevalence | None = None,
) -> SplitMetrics:
    """Measure predictions, with a constant forecast measured beside them.

    The event is COVID-19 in both tasks; scores at the threshold are COVID-19 against the rest.

    Args:
        table: what `join` returned for one split.
        task: binary or multiclass.
        threshold: on the probability of COVID-19, fixed on validation.
        prevalence: class -> share among the training images; the constant forecast.
        bootstrap: over patients.
        target: the prevalence where the answers are to be used, if it is another.
    """
    share = np.array([prevalence[name] for name in CLASSES[task]])
    scorer = _Scorer(task, threshold, share, bootstrap)
    pooled, prior = scorer.pooled(table)
    groups = scorer.groups(table, pooled, prior)
    predicted = cases(table, task)
    prevalences = {*PREVALENCES, *([target.prevalence] if target else [])}
    return SplitMetrics(
        **dict(predicted.counts),
        **dict(_unanswered(table)),
        threshold=threshold,
        pooled=pooled,
        constant_prior=prior,
        per_source=groups["per_source"],
        per_site=groups["per_site"],
        per_view=groups["per_view"],
        per_sex=groups["per_sex"],
        per_age_band=groups["per_age_band"],
        within=_within(table, predicted, pooled, bootstrap),
        calibration=calibration(predicted, bootstrap),
        calibration_by_source=calibration_by_source(predicted, bootstrap),
        thresholds=operating_points(
            predicted, threshold, bootstrap, prevalences=sorted(prevalences)
        ),
        decision=decision_curve(predicted, bootstrap),
        at_prevalence=(
            at_target_prevalence(predicted, threshold, target, bootstrap) if target else None
        ),
    )


def _within(
    table: pd.DataFrame, predicted: Cases, pooled: PooledMetrics, bootstrap: Bootstrap
) -> dict[Grouping, PairedWithinGroups]:
    """Return the AUROC over pairs of one source, of one site and of one view, where defined."""
    columns, ok = subgroups.group_columns(table), (table["status"] == "ok").to_numpy()
    keys: tuple[Grouping, ...] = ("per_source", "per_site")
    within = {
        key: auroc_within_groups(predicted, columns[key][ok].astype(str).to_numpy(str), bootstrap)
        for key in keys
        if key in columns
    }
    within["per_view"] = pooled.views.within if pooled.views else None
    return {key: auroc for key, auroc in within.items() if auroc is not None}


@dataclass(frozen=True)
class _Scorer:
    """How rows are scored: `share` (C,) is the constant forecast."""

    task: Task
    threshold: float
    share: Array
    bootstrap: Bootstrap

    def pooled(self, rows: pd.DataFrame) -> tuple[PooledMetrics, Scores]:
        """Return the metrics of the model and the scores of the constant forecast."""
        model = cases(rows, self.task)
        prior = replace(model, probabilities=np.tile(self.share, (model.labels.size, 1)))
        return (
            PooledMetrics(
                **dict(_scores(model, self.threshold, self.bootstrap, constant=False)),
                views=by_view(rows, self.task, self.bootstrap),
            ),
            _scores(prior, self.threshold, self.bootstrap, constant=True),
        )

    def groups(
        self, table: pd.DataFrame, pooled: PooledMetrics, prior: Scores
    ) -> dict[Grouping, dict[str, SubgroupMetrics]]:
        """Return the metrics of each group by grouping; a group of all rows is scored already."""
        groups: dict[Grouping, dict[str, SubgroupMetrics]] = {key: {} for key in subgroups.GROUPS}
        for key, names in subgroups.group_columns(table).items():
            for name, rows in table.groupby(names, observed=True):
                own, constant = (pooled, prior) if len(rows) == len(table) else self.pooled(rows)
                fields = dict(own) if key == "per_source" else dict(own) | {"views": None}
                groups[key][str(name)] = SubgroupMetrics(
                    **fields, **dict(_unanswered(rows)), constant_prior=constant
                )
        return groups


def _unanswered(rows: pd.DataFrame) -> Unanswered:
    return Unanswered(
        abstained=int((rows["status"] == "abstained").sum()),
        errors=int((rows["status"] == "error").sum()),
    )


def _scores(chosen: Cases, threshold: float, bootstrap: Bootstrap, *, constant: bool) -> Scores:
    events = chosen.events
    scored, member = _distinct(chosen) if constant else (chosen, None)

    def statistic(weights: Array | None) -> dict[str, Array]:
        if member is not None:
            weights = (np.ones((1, events.size)) if weights is None else weights) @ member
        scores = binary_scores(scored.events, scored.scores, threshold, weights)
        if len(scored.classes) > 2:
            p = scored.probabilities
            scores |= multiclass_scores(scored.labels, p, scored.classes, weights)
        return scores

    # The ranking of a constant forecast has no sampling error: where all resamples agree, they
    # are right.
    support = None if constant else _support(chosen, threshold)
    intervals = bootstrap.intervals(statistic, chosen.patients, support=support)
    estimates = {name: Estimate.of(*interval) for name, interval in intervals.items()}
    multiclass = _multiclass(estimates, chosen.classes)
    confusion = tuple(map(tuple, _confusion(chosen, threshold).tolist()))
    scores = {name: estimates[name] for name in SCORES}
    return Scores.model_validate(
        {**dict(chosen.counts), **scores, "multiclass": multiclass, "confusion": confusion}
    )


def _multiclass(
    estimates: Mapping[str, Estimate], classes: tuple[str, ...]
) -> MulticlassScores | None:
    if len(classes) == 2:
        return None
    return MulticlassScores(
        auroc={name: estimates[f"auroc_{name}"] for name in classes},
        auprc={name: estimates[f"auprc_{name}"] for name in classes},
        auroc_macro=estimates["auroc_macro"],
        auprc_macro=estimates["auprc_macro"],
        accuracy=estimates["multiclass_accuracy"],
        brier=estimates["multiclass_brier"],
        log_loss=estimates["multiclass_log_loss"],
    )


def _distinct(prior: Cases) -> tuple[Cases, Array]:
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
    rarer = {
        name: binary_support(chosen.labels == k, chosen.scores, threshold, chosen.patients)["auroc"]
        for k, name in enumerate(chosen.classes)
    }
    rarer["macro"] = min(rarer.values())
    ranked = {f"{key}_{name}": n for name, n in rarer.items() for key in ("auroc", "auprc")}
    return support | ranked | {"multiclass_accuracy": support["accuracy"]}


def _confusion(chosen: Cases, threshold: float) -> NDArray[np.int64]:
    called = decisions(chosen.probabilities, chosen.classes.index(COVID), threshold)
    return confusion_matrix(chosen.labels, called, len(chosen.classes))
