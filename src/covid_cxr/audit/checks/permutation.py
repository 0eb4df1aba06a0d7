"""Check 9: shuffled labels, and a constant forecast.

Labels are dealt out anew among the patients of each origin, so that the disease can no longer be
learned and the origin still can: what the recipe then scores over all films, the origin alone gives
it. Many shufflings make a distribution to hold the true score against (Ojala and Garriga,
"Permutation tests for studying classifier performance", JMLR 2010). A constant forecast, each
class's share in training, has AUROC 0.5 and a Brier score that a model must beat.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.predicted import Answers, answers
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.permutation import permutation_p_value, permute_labels
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import within_source_auroc


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return what shuffled labels score, how rare the true score is, and the skill over a prior."""
    labels = permute_labels(
        material.events,
        material.clusters,
        material.origin_codes,
        material.settings.permutations,
        material.seed,
    )
    scores = out_of_fold_scores(material.embedded("whole"), labels, material.folds)
    return [
        _pooled(material, labels, scores),
        _true(material, labels, scores),
        *(_skill(material, each) for each in answers(material)),
    ]


def _pooled(material: Material, labels: NDArray[np.bool_], scores: Array) -> Finding:
    areas = _areas(labels, scores, None)
    low, high = np.nanquantile(areas, (0.025, 0.975)).tolist()
    null = Interval(float(np.nanmean(areas)), low, high)
    bound = material.settings.bounds.permuted
    where = f" within each {material.origin[0]}" if material.origin else ""
    meaning = (
        "that much of the score needs no disease at all, the hospital is enough"
        if null.value > bound
        else "without true labels there is nothing to learn, as it should be"
    )
    sentence = (
        f"With labels shuffled{where} {labels.shape[1]} times, a simple classifier scores AUROC "
        f"{told(null)}: {meaning}."
    )
    return held("shuffled labels", null, bound, sentence)


def _true(material: Material, labels: NDArray[np.bool_], scores: Array) -> Finding:
    codes = material.origin_codes
    area = float(within_source_auroc(material.events, material.scores, codes)[0])
    share = permutation_p_value(area, _areas(labels, scores, codes))
    bound = material.settings.bounds.permutation_p
    where = f"Among films of the same {material.origin[0]}" if material.origin else "Over all films"
    meaning = "no better than shuffled labels" if share > bound else "better than shuffled labels"
    sentence = f"{where}, the true labels score AUROC {area:.2f}, {meaning} (p = {share:.3f})."
    if math.isnan(area):
        sentence = "No origin holds both classes, so that the disease cannot be told from it."
    found = Interval(share, math.nan, math.nan)
    return held("true labels", found, bound, sentence, details={"auroc": area}, most="warn")


def _areas(labels: NDArray[np.bool_], scores: Array, origin: Codes | None) -> Array:
    columns = range(labels.shape[1])
    return np.array([within_source_auroc(labels[:, k], scores[:, k], origin)[0] for k in columns])


def _skill(material: Material, found: Answers) -> Finding:
    events = material.events[found.rows].astype(np.float64)
    training = (material.rows["split"] == "train").to_numpy()
    prior = float(material.events[training].mean())
    gain = (prior - events) ** 2 - (found.scores - events) ** 2
    (skill,) = material.bootstrap.means(gain[:, None], material.clusters[found.rows])
    bound = material.settings.bounds.skill
    meaning = "better" if skill.value > bound else "no better"
    sentence = (
        f"{found.who} is {meaning} than always answering {prior:.0%}: its Brier score is lower by "
        f"{told(skill, 3)}."
    )
    return held(f"skill, {found.name}", skill, bound, sentence, better="higher")
