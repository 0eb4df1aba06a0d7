"""Check 11: whether another seed gives another score.

Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021. Quick: the
cheap recipe on folds dealt out anew. Full: also the network trained anew with other
seeds, unless it is trained in closed form.
"""

from __future__ import annotations

import numpy as np

from covid_cxr.audit.context import Material, grouped_folds_of
from covid_cxr.audit.verdicts import Finding, held
from covid_cxr.audit.viewed import lungs_missing, view_scores
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.intervals import standard_deviation_interval
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array
from covid_cxr.metrics.within_source import within_source_auroc

_RETRAINED = 3


def findings(material: Material, budget: Budget) -> list[Finding]:
    """Return the standard deviation of the AUROC across seeds."""
    found = [_finding(material, "folds", "dealt out anew", _folds(material))]
    has_chance = material.config.training.method != "linear-probe"
    if budget == "full" and has_chance and not lungs_missing(material):
        found.append(_finding(material, "retrained", "trained anew", _retrained(material)))
    return found


def _finding(material: Material, name: str, how: str, areas: Array) -> Finding:
    found, bound = standard_deviation_interval(areas), material.settings.bounds.spread
    meaning = "the best of them would be luck" if found.value > bound else "steady enough"
    sentence = (
        f"{areas.size} seeds, {how}, give AUROCs from {areas.min():.2f} to {areas.max():.2f}, "
        f"standard deviation {found.value:.3f}: {meaning}."
    )
    return held(f"seeds, {name}", found, bound, sentence, details={"aurocs": areas.tolist()})


def _folds(material: Material) -> Array:
    areas = []
    for seed in range(material.settings.seeds):
        folds = grouped_folds_of(material.cohort, material.config, material.seed + 1 + seed)
        own = folds[material.rows["row"]].to_numpy()
        scores = out_of_fold_scores(material.embedded("whole"), material.events, own)
        areas.append(within_source_auroc(material.events, scores)[0])
    return np.array(areas)


def _retrained(material: Material) -> Array:
    areas = []
    for seed in range(_RETRAINED):
        rows, scores = view_scores(material, "whole", "full", seed)
        areas.append(within_source_auroc(material.events[rows], scores)[0])
    return np.array(areas)
