"""Check 3: COVID-19 told from films without lungs, and from their frame alone.

Maguolo and Nanni, "A critic evaluation of methods for COVID-19 automatic detection from X-ray
images", Information Fusion 2021, painted over the middle of the film and networks scored as before.
The shape of what is painted over may itself tell something; `outline` in the details says how much
(a network finds less of a lung that is full), and a template common to all films hides most of it.
"""

from __future__ import annotations

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.audit.viewed import RECIPES, lungs_missing, view_scores
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.within_source import Ranking, auroc_intervals

_WORDS = {
    "lungs removed": "With the lungs painted over",
    "frame only": "From the outer frame of the film alone, lungs painted over",
}


def findings(material: Material, budget: Budget) -> list[Finding]:
    """Return a finding for either view, by the cheap recipe and, if "full", retrained."""
    if missing := lungs_missing(material):
        return [missing]
    outline = _auroc(material, "outline", "quick")
    return [
        _finding(material, name, recipe, outline) for recipe in RECIPES[budget] for name in _WORDS
    ]


def _finding(material: Material, name: str, recipe: Budget, outline: Interval) -> Finding:
    area, bound = _auroc(material, name, recipe), material.settings.bounds.lungs_removed
    who = "a simple classifier" if recipe == "quick" else "the network, trained anew,"
    if area.low > bound:
        said = f"{who} still tells COVID-19, AUROC {told(area)}: whatever it reads, not the lungs"
    elif area.value > bound:
        said = f"{who} may still tell COVID-19, AUROC {told(area)}; too few patients to be sure"
    else:
        said = f"{who} is near guessing, AUROC {told(area)}"
    details = {
        "outline_of_the_lungs_alone": outline,
        "films": int(material.lungs.found.sum()),
        "films_without_lungs_found": int((~material.lungs.found).sum()),
    }
    label = name if recipe == "quick" else f"{name}, retrained"
    return held(label, area, bound, f"{_WORDS[name]}, {said}.", details=details)


def _auroc(material: Material, name: str, recipe: Budget) -> Interval:
    rows, scores = view_scores(material, name, recipe)
    return auroc_intervals(
        material.events[rows],
        {"auroc": Ranking(scores)},
        material.clusters[rows],
        bootstrap=material.bootstrap,
    )["auroc"]
