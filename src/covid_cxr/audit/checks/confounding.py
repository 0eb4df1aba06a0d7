"""Check 5: how much of the score is telling the sources apart.

Zech et al., "Variable generalization performance of a deep learning model to detect pneumonia in
chest radiographs", PLOS Medicine 2018. The AUROC over all films is held against the one among films
of the same origin (Janes and Pepe, Biometrika 2009), drawn together, patients whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.predicted import Answers, answers
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.covariate_baseline import out_of_fold_prevalence
from covid_cxr.metrics.scores import Array
from covid_cxr.metrics.within_source import Events, Ranking, auroc_intervals, has_both_classes
from covid_cxr.results.audit import Verdict

_SHOWN = 6


class _Scored(NamedTuple):
    """Scores of some rows, and whose they are."""

    name: str
    who: str
    rows: NDArray[np.intp]
    scores: Array


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return what source, site and view alone tell, and pooled against within-origin scores."""
    found = [_alone(material, name, values) for name, values in material.origins.items()]
    view = material.rows["view"].replace("", "not stated").to_numpy(str)
    if np.unique(view).size > 1:
        found.append(_alone(material, "view", view))
    if material.origin is None:
        sentence = (
            "All films come from one source and one site: nothing here can show whether the "
            "model reads the hospital, and nothing shows how it does elsewhere."
        )
        return [*found, Finding("one origin", "warn", sentence)]
    everyone = np.arange(len(material.rows))
    scored = [_Scored("cheap recipe", "A simple classifier", everyone, material.scores)]
    scored += [_Scored(each.name, each.who, *_answered(each)) for each in answers(material)]
    found += [_pooled(material, each) for each in scored]
    return [*found, _one_class(material)]


def _answered(found: Answers) -> tuple[NDArray[np.intp], Array]:
    return found.rows, found.scores


def _alone(material: Material, name: str, values: NDArray[Any]) -> Finding:
    level = np.unique(values, return_inverse=True)[1]
    scores = out_of_fold_prevalence(level, material.events, material.folds)
    area = auroc_intervals(
        material.events,
        {"auroc": Ranking(scores)},
        material.clusters,
        bootstrap=material.bootstrap,
    )["auroc"]
    bound = material.settings.bounds.origin
    meaning = (
        "a model that recognises it has no need to read the lungs"
        if area.value > bound
        else "knowing it helps little"
    )
    sentence = (
        f"The {name} alone, without any film, tells COVID-19 with AUROC {told(area)}: {meaning}."
    )
    return held(f"{name} alone", area, bound, sentence, details=_counts(values, material.events))


def _pooled(material: Material, scored: _Scored) -> Finding:
    assert material.origin is not None
    assert material.origin_codes is not None
    kind, codes, events = material.origin[0], material.origin_codes, material.events[scored.rows]
    found = auroc_intervals(
        events,
        {
            "pooled": Ranking(scored.scores),
            "within": Ranking(scored.scores, codes[scored.rows]),
        },
        material.clusters[scored.rows],
        bootstrap=material.bootstrap,
        differences={"lost": ("pooled", "within")},
    )
    bound, lost = material.settings.bounds.pooled_over_within, found["lost"]
    sentence = (
        f"{scored.who} reaches AUROC {told(found['pooled'])} over all films and "
        f"{told(found['within'])} among films of the same {kind}: {_difference(lost.value, bound)}."
    )
    if np.isnan(lost.value):
        sentence = (
            f"{scored.who} reaches AUROC {told(found['pooled'])} over all films, and no {kind} "
            "holds both classes: nothing shows that it does more than tell them apart."
        )
    details = {"pooled": found["pooled"], "within": found["within"], "films": len(scored.rows)}
    return held(f"pooled over within, {scored.name}", lost, bound, sentence, details=details)


def _difference(lost: float, bound: float) -> str:
    if lost > bound:
        return "much of the first number is telling hospitals apart"
    return "it is not much lower"


def _one_class(material: Material) -> Finding:
    assert material.origin is not None
    assert material.origin_codes is not None
    kind, values = material.origin
    names = np.unique(values)
    single = names[~has_both_classes(material.events, material.origin_codes)]
    share = float(np.isin(values, single).mean())
    if not single.size:
        sentence = f"Every {kind} holds films with and without COVID-19."
    else:
        shown = ", ".join(map(str, single[:_SHOWN])) + (
            " and others" if len(single) > _SHOWN else ""
        )
        sentence = (
            f"{share:.0%} of the films come from a {kind} that holds one class only ({shown}): "
            "for them, to know the hospital is to know the answer."
        )
    verdict: Verdict = "warn" if single.size else "pass"
    details = {"one_class_only": [str(name) for name in single]}
    return Finding("one class only", verdict, sentence, share, bound=0.0, details=details)


def _counts(names: NDArray[Any], events: Events) -> dict[str, dict[str, int]]:
    """Return name -> films and, of them, those with COVID-19."""
    return {
        str(name): {
            "films": int((names == name).sum()),
            "with_covid": int(events[names == name].sum()),
        }
        for name in np.unique(names)
    }
