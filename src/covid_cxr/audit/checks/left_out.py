"""Check 6: sources and sites that were held out of training, one at a time.

Zech et al., PLOS Medicine 2018. Every image is scored once by a classifier that was trained on its
source and once by one that was not; only images of one source are compared, so that the difference
is what the classifier knew of that source. Many small sites are held out in five groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, check_bound, not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import Ranking, within_source_auroc
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details

_ONE_BY_ONE = 10  # more values are held out in groups
_GROUPS = 5


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the AUROC lost when each source, and each site, is held out of training."""
    if context.origin is None:
        reason = "all images come from one source and one site, so that none can be held out"
        return [not_made("one origin", reason)]
    within = context.origin[0]
    return [_finding(context, kind, values, within) for kind, values in context.origins.items()]


def hold_out_folds(values: NDArray[Any], seed: int) -> Codes:
    """Return the fold (N,) in which each value is held out: its own, or one of five if many."""
    names, code, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if names.size <= _ONE_BY_ONE:
        return code
    order = np.random.default_rng(seed).permutation(names.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(_GROUPS, np.int64), np.zeros(names.size, np.intp)
    for index in order:
        fold[index] = int(filled.argmin())
        filled[fold[index]] += sizes[index]
    return fold[code]


def _finding(context: AuditContext, kind: str, values: NDArray[Any], within: str) -> AuditFinding:
    codes, folds = context.origin_codes, hold_out_folds(values, context.seed)
    scores = out_of_fold_scores(context.features("whole"), context.events, folds)
    trained, left_out, loss = context.paired_auroc(
        Ranking(context.scores, codes), Ranking(scores, codes)
    )
    bound = context.settings.bounds.left_out
    meaning = "much is lost" if loss.value > bound else "little is lost"
    if trained.low < 0.5:  # near chance level before anything was held out
        meaning = "there was nothing to lose"
    sentence = (
        f"Among images of the same {within}, a linear classifier reaches AUROC {text(trained)} if "
        f"that {kind} was in its training and {text(left_out)} if not: {meaning}."
    )
    if np.isnan(loss.value):
        sentence = f"No {within} has both classes, so holding one out cannot be scored."
    by_value = _by_value(context, values, scores)
    details: Details = {"known": trained, "new": left_out, "each": by_value}
    return check_bound(f"left-out {kind}", loss, bound, sentence, details=details)


def _by_value(context: AuditContext, values: NDArray[Any], scores: Array) -> dict[str, float]:
    """Return the AUROC within each value that has both classes, scored without training on it."""
    areas = {}
    for name in np.unique(values):
        rows = values == name
        area = float(within_source_auroc(context.events[rows], scores[rows])[0])
        if not np.isnan(area):
            areas[str(name)] = round(area, 4)
    return areas


CHECK = AuditCheck.built_in("left-out", measure)
