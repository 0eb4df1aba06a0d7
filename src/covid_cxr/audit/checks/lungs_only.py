"""Check 4: what the whole image adds to the lungs alone.

Tartaglione et al., "Unveiling COVID-19 from chest X-ray with deep learning: a hurdles race with
small data", IJERPH 2020: if a model reads the disease, removing everything else should cost little.
"""

from __future__ import annotations

from functools import partial

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.scores import RECIPES, too_few_lungs, view_scores
from covid_cxr.audit.verdicts import AuditCheck, check_bound, or_not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.within_source import Ranking
from covid_cxr.results import AuditFinding


def measure(context: AuditContext, budget: Budget) -> list[AuditFinding]:
    """Return the AUROC of the whole image less that of the lungs, by each recipe."""
    warning = too_few_lungs(context)
    if warning:
        return [warning]
    return [
        or_not_made(_name(recipe), partial(_finding, context, recipe)) for recipe in RECIPES[budget]
    ]


def _name(recipe: Budget) -> str:
    return "whole over lungs" + (", retrained" if recipe == "full" else "")


def _finding(context: AuditContext, recipe: Budget) -> AuditFinding:
    rows, scores = view_scores(context, "whole", recipe)
    whole, lungs, gain = context.paired_auroc(
        Ranking(scores), Ranking(view_scores(context, "lungs only", recipe)[1]), rows
    )
    bound = context.settings.bounds.lungs_only
    meaning = (
        "the region outside the lungs adds more than it should"
        if gain.value > bound
        else "the region outside the lungs adds little"
    )
    sentence = (
        f"The lungs alone reach AUROC {text(lungs)}, the whole image {text(whole)}: {meaning}."
    )
    name = _name(recipe)
    details = {"whole": whole, "lungs_only": lungs}
    return check_bound(name, gain, bound, sentence, details=details)


CHECK = AuditCheck.built_in("lungs-only", measure)
