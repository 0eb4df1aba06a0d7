"""Check 4: what the whole film tells over the lungs alone.

Tartaglione et al., "Unveiling COVID-19 from chest X-ray with deep learning: a hurdles race with
small data", IJERPH 2020: if the disease is read, cutting all else away should cost little.
"""

from __future__ import annotations

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.audit.viewed import RECIPES, lungs_missing, view_scores
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.within_source import Ranking, auroc_intervals


def findings(material: Material, budget: Budget) -> list[Finding]:
    """Return how much AUROC the whole film has over the lungs, by each recipe."""
    missing = lungs_missing(material)
    return [missing] if missing else [_finding(material, recipe) for recipe in RECIPES[budget]]


def _finding(material: Material, recipe: Budget) -> Finding:
    rows, whole = view_scores(material, "whole", recipe)
    _, lungs = view_scores(material, "lungs only", recipe)
    found = auroc_intervals(
        material.events[rows],
        {"whole": Ranking(whole), "lungs": Ranking(lungs)},
        material.clusters[rows],
        bootstrap=material.bootstrap,
        differences={"over": ("whole", "lungs")},
    )
    bound = material.settings.bounds.lungs_only
    gap = found["over"]
    meaning = (
        "what lies outside the lungs adds more than it should"
        if gap.value > bound
        else "what lies outside them adds little"
    )
    sentence = (
        f"The lungs alone reach AUROC {told(found['lungs'])}, the whole film "
        f"{told(found['whole'])}: {meaning}."
    )
    name = "whole over lungs" + (", retrained" if recipe == "full" else "")
    details = {"whole": found["whole"], "lungs_only": found["lungs"]}
    return held(name, gap, bound, sentence, details=details)
