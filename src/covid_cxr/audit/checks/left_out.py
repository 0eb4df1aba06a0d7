"""Check 6: origins that were not trained on, one at a time.

Zech et al., PLOS Medicine 2018. Every film is scored once by a classifier that has seen its origin
and once by one that has not; only films of one origin are compared, so that what is lost is what
the classifier knew of that origin. Many small sites are left out in five groups.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import Ranking, auroc_intervals, within_source_auroc

_EACH = 10  # as many origins are left out one by one
_GROUPS = 5


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return what is lost when each source, and each site, is left out of training."""
    if material.origin is None:
        sentence = "All films come from one source and one site; there is nothing to leave out."
        return [Finding("one origin", "warn", sentence)]
    return [_finding(material, kind, values) for kind, values in material.origins.items()]


def grouped(values: NDArray[Any], seed: int) -> Codes:
    """Return the fold (N,) in which each origin is left out: its own, or one of five if many."""
    names, code, sizes = np.unique(values, return_inverse=True, return_counts=True)
    if names.size <= _EACH:
        return code
    order = np.random.default_rng(seed).permutation(names.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold = np.zeros(_GROUPS, np.int64), np.zeros(names.size, np.intp)
    for origin in order:
        fold[origin] = int(filled.argmin())
        filled[fold[origin]] += sizes[origin]
    return fold[code]


def _finding(material: Material, kind: str, values: NDArray[Any]) -> Finding:
    assert material.origin is not None
    within, codes = material.origin[0], material.origin_codes
    scores = out_of_fold_scores(
        material.embedded("whole"), material.events, grouped(values, material.seed)
    )
    found = auroc_intervals(
        material.events,
        {"known": Ranking(material.scores, codes), "new": Ranking(scores, codes)},
        material.clusters,
        bootstrap=material.bootstrap,
        differences={"lost": ("known", "new")},
    )
    lost, bound = found["lost"], material.settings.bounds.left_out
    meaning = "it does not carry over" if lost.value > bound else "it carries over"
    if found["known"].low < 0.5:  # as good as guessing before anything was left out
        meaning = "there was nothing to carry over"
    sentence = (
        f"Among films of the same {within}, a simple classifier reaches AUROC "
        f"{told(found['known'])} where it was trained on that {kind} too and "
        f"{told(found['new'])} where it was not: {meaning}."
    )
    if np.isnan(lost.value):
        sentence = f"No {within} holds both classes, so that leaving one out cannot be scored."
    details = {
        "known": found["known"],
        "new": found["new"],
        "each": _each(material, values, scores),
    }
    return held(f"left-out {kind}", lost, bound, sentence, details=details)


def _each(material: Material, values: NDArray[Any], scores: Array) -> dict[str, float]:
    """Return the AUROC within each origin that holds both classes, scored by one without it."""
    found = {}
    for name in np.unique(values):
        chosen = values == name
        area = within_source_auroc(material.events[chosen], scores[chosen])[0]
        if not np.isnan(area):
            found[str(name)] = round(float(area), 4)
    return found
