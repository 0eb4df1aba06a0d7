"""Check 2: what file, border, markers and patient give away without a look at the chest.

Garcia Santa Cruz et al., "Public COVID-19 X-ray datasets and their impact on model bias", Medical
Image Analysis 2021. A forest of extremely randomised trees (Geurts et al., Machine Learning 2006),
because a file's width tells its source by being one of a few values, not by being large.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from covid_cxr.audit import acquisition_features
from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.scores import Array
from covid_cxr.metrics.within_source import Ranking, auroc_intervals

_TREES = 100
_LEAF = 3
_UNKNOWN = -1.0
_ALL = "all facts"
_WORDS = {
    _ALL: "all facts about file, border, markers and patient together",
    "file": "the file alone (size, format, bit depth, compression)",
    "grey levels": "the distribution of grey levels alone",
    "border": "the film's outermost rim alone",
    "markers": "the place and amount of lettering alone",
    "patient": "view, sex and age alone, and whether they are stated",
    "devices": "tubes, lines and intensive care alone, where they are stated",
}


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return a finding for all facts together and one for each group of them."""
    table = material.films.facts
    groups = table.columns.map(acquisition_features.group_of)
    columns = {name: table.columns[groups == name] for name in acquisition_features.GROUPS}
    chosen = {_ALL: table.columns[groups != "devices"], **columns}
    bound = material.settings.bounds.metadata
    found = []
    for name, names in chosen.items():
        part = table[names]
        stated = part.notna().any(axis=1).to_numpy() & bool(len(names))
        if not _both(material.events[stated]):
            continue
        area = _auroc(part[stated], material, stated)
        sentence = (
            f"From {_WORDS[name]}, without the chest, AUROC {told(area)}{_meaning(area, bound)}."
        )
        details = {"facts": list(names), "films": int(stated.sum())}
        found.append(held(name, area, bound, sentence, details=details))
    return found


def _auroc(part: pd.DataFrame, material: Material, rows: NDArray[np.bool_]) -> Interval:
    events = material.events[rows]
    scores = _out_of_fold(part.fillna(_UNKNOWN).to_numpy(), events, material.folds[rows], material)
    return auroc_intervals(
        events,
        {"auroc": Ranking(scores)},
        material.clusters[rows],
        bootstrap=material.bootstrap,
    )["auroc"]


def _out_of_fold(
    columns: Array, events: NDArray[np.bool_], folds: NDArray[np.int64], material: Material
) -> Array:
    scores = np.full(events.size, 0.5)
    for fold in np.unique(folds):
        known = folds != fold
        if not _both(events[known]):
            continue
        forest = ExtraTreesClassifier(
            _TREES, min_samples_leaf=_LEAF, class_weight="balanced", random_state=material.seed
        )
        forest.fit(columns[known], events[known])
        scores[~known] = forest.predict_proba(columns[~known])[:, 1]
    return scores


def _both(events: NDArray[np.bool_]) -> bool:
    return bool(events.any() and not events.all())


def _meaning(area: Interval, bound: float) -> str:
    """Say what a reader should make of it."""
    if area.low > bound:
        return ": whoever knows these need not read the film"
    return ", where 0.5 is guessing"
