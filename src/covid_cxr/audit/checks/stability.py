"""Check 11: whether another random seed gives another score.

Bouthillier et al., "Accounting for variance in machine learning benchmarks", MLSys 2021. Quick: the
linear probe on other folds. Full: also the network retrained with other seeds, unless the recipe
has a closed form.
"""

from __future__ import annotations

import numpy as np

from covid_cxr.audit.context import AuditContext, audit_folds
from covid_cxr.audit.scores import too_few_lungs, view_scores
from covid_cxr.audit.verdicts import AuditCheck, check_bound, not_made, or_not_made
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.intervals import standard_deviation_interval
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array
from covid_cxr.metrics.within_source import within_source_auroc
from covid_cxr.results import AuditFinding

_RETRAINED = 3


def measure(context: AuditContext, budget: Budget) -> list[AuditFinding]:
    """Return the standard deviation of the AUROC across seeds."""
    context.require_both_classes()
    findings = [_finding(context, "folds", "with other folds", _folds(context))]
    is_random = context.config.training.method != "linear-probe"
    if budget == "full" and is_random and not too_few_lungs(context):
        name = "seeds, retrained"
        findings.append(or_not_made(name, lambda: _retrained_finding(context)))
    return findings


def _retrained_finding(context: AuditContext) -> AuditFinding:
    return _finding(context, "retrained", "retrained", _retrained(context))


def _finding(context: AuditContext, name: str, description: str, areas: Array) -> AuditFinding:
    if np.isnan(areas).any():
        return not_made(f"seeds, {name}", "the images scored are all of one class")
    deviation, bound = standard_deviation_interval(areas), context.settings.bounds.spread
    meaning = "the best of them would be chance" if deviation.value > bound else "stable enough"
    sentence = (
        f"{areas.size} seeds, {description}, give AUROCs from {areas.min():.2f} to "
        f"{areas.max():.2f}, standard deviation {deviation.value:.3f}: {meaning}."
    )
    details = {"aurocs": tuple(round(area, 6) for area in areas.tolist())}
    return check_bound(f"seeds, {name}", deviation, bound, sentence, details=details)


def _folds(context: AuditContext) -> Array:
    areas = []
    for seed in range(context.settings.seeds):
        folds = audit_folds(context.cohort, context.config, context.seed + 1 + seed)
        own = folds[context.rows["row"]].to_numpy()
        scores = out_of_fold_scores(context.features("whole"), context.events, own)
        areas.append(within_source_auroc(context.events, scores)[0])
    return np.array(areas)


def _retrained(context: AuditContext) -> Array:
    areas = []
    for seed in range(_RETRAINED):
        rows, scores = view_scores(context, "whole", "full", seed)
        areas.append(within_source_auroc(context.events[rows], scores)[0])
    return np.array(areas)


CHECK = AuditCheck.built_in("stability", measure)
