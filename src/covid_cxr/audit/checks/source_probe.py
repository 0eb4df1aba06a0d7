"""Check 7: how well a linear model identifies the source of an image, within each class.

After Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR
workshop 2017. It has no bound: images of different hospitals look different, and a model that could
tell them apart need not do so. It shows what there is to be learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, finding, not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import within_source_auroc
from covid_cxr.results import AuditFinding

_LEAST = 8  # images of an origin in a class, and of others
_VISIBLE = 0.8


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the mean AUROC of one origin against the others, within each class."""
    if context.origin is None or context.origin_codes is None:
        return [not_made("one origin", "all images come from one source and one site")]
    kind, values = context.origin
    name = f"{kind} inside a class"
    scored = _scored(context, context.origin_codes)
    if not scored:
        reason = f"no {kind} has enough images of a class, beside others, to be identified"
        return [not_made(name, reason)]

    def statistic(weights: Array | None) -> dict[str, Array]:
        areas = [
            within_source_auroc(
                labels, scores, weights=None if weights is None else weights[:, rows]
            )
            for rows, labels, scores in scored
        ]
        return {"auroc": np.mean(areas, axis=0)}

    area = context.bootstrap.intervals(statistic, context.clusters)["auroc"]
    meaning = f"the image shows the {kind}" if area.value > _VISIBLE else "only weakly"
    sentence = (
        f"Within each class, a linear model identifies the {kind} of an image with a mean AUROC of "
        f"{text(area)}: {meaning}."
    )
    details = {"origins": len(np.unique(values)), "compared": len(scored)}
    return [finding(name, "info", sentence, area, details=details)]


def _scored(
    context: AuditContext, origin: Codes
) -> list[tuple[NDArray[np.intp], NDArray[np.bool_], Array]]:
    """Return rows, whether they are of an origin, and scores for it; one a class and origin."""
    scored = []
    for event in (True, False):
        rows = np.flatnonzero(context.events == event)
        labels = _indicators(origin[rows])
        if not labels.shape[1] or np.unique(context.folds[rows]).size < 2:
            continue
        scores = out_of_fold_scores(context.features("whole")[rows], labels, context.folds[rows])
        scored += [(rows, labels[:, k], scores[:, k]) for k in range(labels.shape[1])]
    return scored


def _indicators(origin: Codes) -> NDArray[np.bool_]:
    """Return (n, K) whether an image is of an origin, for those with enough images."""
    sizes = np.bincount(origin)
    enough = (sizes >= _LEAST) & (origin.size - sizes >= _LEAST)
    return np.asarray(origin[:, None] == np.flatnonzero(enough))


CHECK = AuditCheck.built_in("source-probe", measure)
