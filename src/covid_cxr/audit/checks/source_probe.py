"""Check 7: how well a linear model tells where a film comes from, within each class.

After Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR
workshop 2017. It is information, not a judgement: films of different hospitals look different, and
a model that can tell them apart need not use it. It says what is there to be learned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import within_source_auroc

_LEAST = 8  # films of an origin in a class, and of others


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return the mean AUROC of one origin against the others, inside each class."""
    if material.origin is None:
        return [Finding("one origin", "info", "All films come from one source and one site.")]
    kind, values = material.origin
    scored = _scored(material)
    if not scored:
        sentence = f"No {kind} has enough films beside others of the same class to be told apart."
        return [Finding(f"{kind} inside a class", "info", sentence)]

    def statistic(weights: Array | None) -> dict[str, Array]:
        areas = [
            within_source_auroc(
                labels, scores, weights=None if weights is None else weights[:, rows]
            )
            for rows, labels, scores in scored
        ]
        return {"auroc": np.mean(areas, axis=0)}

    area = material.bootstrap.intervals(statistic, material.clusters)["auroc"]
    sentence = (
        f"Inside each class, a linear model tells the {kind} of a film with a mean AUROC of "
        f"{told(area)}: {'the hospital shows on the film' if area.value > 0.8 else 'faintly'}."
    )
    details = {"origins": len(np.unique(values)), "compared": len(scored)}
    return [Finding(f"{kind} inside a class", "info", sentence, *area, details=details)]


def _scored(material: Material) -> list[tuple[NDArray[np.intp], NDArray[np.bool_], Array]]:
    """Return rows, whether they are of an origin, and scores for it; one a class and origin."""
    assert material.origin_codes is not None
    found = []
    for event in (True, False):
        rows = np.flatnonzero(material.events == event)
        labels = _columns(material.origin_codes[rows])
        if not labels.shape[1] or np.unique(material.folds[rows]).size < 2:
            continue
        features = material.embedded("whole")[rows]
        scores = out_of_fold_scores(features, labels, material.folds[rows])
        found += [(rows, labels[:, k], scores[:, k]) for k in range(labels.shape[1])]
    return found


def _columns(origin: Codes) -> NDArray[np.bool_]:
    """Return (n, K) whether a film is of an origin, for those with enough films."""
    sizes = np.bincount(origin)
    enough = (sizes >= _LEAST) & (origin.size - sizes >= _LEAST)
    return np.asarray(origin[:, None] == np.flatnonzero(enough))
