"""Check 2: what file, border, markers and patient reveal without a look at the chest.

Garcia Santa Cruz et al., "Public COVID-19 X-ray datasets and their impact on model bias", Medical
Image Analysis 2021. The classifier is a forest of extremely randomised trees (Geurts et al.,
Machine Learning 2006), because the width of a file identifies its source by being one of a few
values, not by being large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from covid_cxr.audit.acquisition_features import GROUPS, group_of
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, check_bound, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.scores import Array
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details

_TREES = 100
_LEAF = 3
_UNKNOWN = -1.0
_ALL = "all features"
_DESCRIPTIONS = {
    _ALL: "all acquisition features (file, border, markers and patient) together",
    "file": "the file alone (size, format, bit depth, compression)",
    "grey levels": "the distribution of grey levels alone",
    "border": "the outermost border of the image alone",
    "markers": "the position and amount of burnt-in text alone",
    "patient": "view, sex and age alone, and whether they are stated",
    "devices": "tubes, lines and intensive care alone, where they are stated",
}


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the AUROC of all acquisition features together and of each group of them."""
    table = context.acquisition
    groups = table.columns.map(group_of)
    chosen = {_ALL: table.columns[groups != "devices"]}
    chosen |= {name: table.columns[groups == name] for name in GROUPS}
    bound = context.settings.bounds.metadata
    findings = []
    for name, columns in chosen.items():
        features = table[columns]
        rows = np.flatnonzero(features.notna().any(axis=1)) if len(columns) else np.array([], int)
        if not _has_both_classes(context.events[rows]):
            continue
        filled = features.iloc[rows].fillna(_UNKNOWN).to_numpy()
        area = context.auroc(_out_of_fold(filled, rows, context), rows)
        meaning = (
            ": a model that picks these up need not read the chest"
            if area.low > bound
            else ", where 0.5 is chance level"
        )
        sentence = (
            f"From {_DESCRIPTIONS[name]}, without the chest, COVID-19 is predicted with AUROC "
            f"{text(area)}{meaning}."
        )
        details: Details = {"features": tuple(columns), "images": rows.size}
        findings.append(check_bound(name, area, bound, sentence, details=details))
    return findings


def _out_of_fold(features: Array, rows: NDArray[np.intp], context: AuditContext) -> Array:
    events, folds = context.events[rows], context.folds[rows]
    scores = np.full(events.size, 0.5)
    for fold in np.unique(folds):
        training = folds != fold
        if not _has_both_classes(events[training]):
            continue
        forest = ExtraTreesClassifier(
            _TREES, min_samples_leaf=_LEAF, class_weight="balanced", random_state=context.seed
        )
        forest.fit(features[training], events[training])
        scores[~training] = forest.predict_proba(features[~training])[:, 1]
    return scores


def _has_both_classes(events: NDArray[np.bool_]) -> bool:
    return bool(events.any() and not events.all())


CHECK = AuditCheck.built_in("metadata", measure)
