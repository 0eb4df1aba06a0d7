"""Check 9: permuted labels, and a constant forecast.

Labels are permuted among the patients of each source, so that the disease can no longer be learned
and the source still can: what the recipe then scores over all images comes from the source alone.
Many permutations give the distribution with which the true score is compared (Ojala and Garriga,
"Permutation tests for studying classifier performance", JMLR 2010). A constant forecast, the share
of each class in training, has AUROC 0.5 and a Brier score that a model must improve on.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.scores import ScoredRows, run_predictions
from covid_cxr.audit.verdicts import AuditCheck, check_bound, not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.permutation import permutation_p_value, permute_labels
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import within_source_auroc
from covid_cxr.results import AuditFinding, rounded


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the AUROC of permuted labels, the p value of the true ones, and the skill."""
    context.require_both_classes()
    times = context.settings.permutations
    labels = permute_labels(
        context.events, context.clusters, context.origin_codes, times, context.seed
    )
    scores = out_of_fold_scores(context.features("whole"), labels, context.folds)
    return [
        _permuted(context, labels, scores),
        _true(context, labels, scores),
        *(_skill(context, scored) for scored in run_predictions(context)),
    ]


def _permuted(context: AuditContext, labels: NDArray[np.bool_], scores: Array) -> AuditFinding:
    areas = _areas(labels, scores, None)
    area = Interval(float(np.nanmean(areas)), *np.nanquantile(areas, (0.025, 0.975)).tolist())
    bound = context.settings.bounds.permuted
    where = f" within each {context.origin[0]}" if context.origin else ""
    meaning = (
        "that much of the score needs no disease, the hospital is enough"
        if area.value > bound
        else "as it should be, nothing can be learned without true labels"
    )
    sentence = (
        f"With labels permuted{where} {labels.shape[1]} times, a linear classifier scores AUROC "
        f"{text(area)}: {meaning}."
    )
    return check_bound("shuffled labels", area, bound, sentence)


def _true(context: AuditContext, labels: NDArray[np.bool_], scores: Array) -> AuditFinding:
    codes = context.origin_codes
    area = float(within_source_auroc(context.events, context.scores, codes)[0])
    p = permutation_p_value(area, _areas(labels, scores, codes))
    bound = context.settings.bounds.permutation_p
    where = f"Among images of the same {context.origin[0]}" if context.origin else "Over all images"
    meaning = "no better than permuted labels" if p > bound else "better than permuted labels"
    sentence = f"{where}, the true labels score AUROC {area:.2f}, {meaning} (p = {p:.3f})."
    if math.isnan(area):
        sentence = "No origin has both classes, so the disease cannot be told from the origin."
    details = {"auroc": rounded(area)}
    return check_bound(
        "true labels", Interval(p), bound, sentence, details=details, most_severe="warn"
    )


def _areas(labels: NDArray[np.bool_], scores: Array, origin: Codes | None) -> Array:
    columns = range(labels.shape[1])
    return np.array([within_source_auroc(labels[:, k], scores[:, k], origin)[0] for k in columns])


def _skill(context: AuditContext, scored: ScoredRows) -> AuditFinding:
    events, name = context.events[scored.rows].astype(np.float64), f"skill, {scored.name}"
    trained_on = context.events[(context.rows["split"] == "train").to_numpy()]
    if not trained_on.size:
        return not_made(name, "there is no training image")
    prior = float(trained_on.mean())
    gain = (prior - events) ** 2 - (scored.scores - events) ** 2
    (skill,) = context.bootstrap.means(gain[:, None], context.clusters[scored.rows])
    bound = context.settings.bounds.skill
    meaning = "better" if skill.value > bound else "no better"
    sentence = (
        f"{scored.subject} is {meaning} than a constant forecast of {prior:.0%}: its Brier score "
        f"is lower by {text(skill, 3)}."
    )
    return check_bound(name, skill, bound, sentence, better="higher")


CHECK = AuditCheck.built_in("permutation", measure)
