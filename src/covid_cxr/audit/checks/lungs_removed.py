"""Check 3: COVID-19 predicted from images without lungs, and from their outer frame alone.

Maguolo and Nanni, "A critic evaluation of methods for COVID-19 automatic detection from X-ray
images", Information Fusion 2021, masked the centre of the image, and networks scored as before. The
shape of the mask may itself be informative, since a network segments less of an opaque lung; a
template common to all images hides most of it, and `outline` in the details has the rest.
"""

from __future__ import annotations

from functools import partial

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.scores import RECIPES, too_few_lungs, view_scores
from covid_cxr.audit.verdicts import AuditCheck, check_bound, or_not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details

_DESCRIPTIONS = {
    "lungs removed": "With the lungs inpainted",
    "frame only": "From the outer frame of the image alone, lungs inpainted",
}


def measure(context: AuditContext, budget: Budget) -> list[AuditFinding]:
    """Return the AUROC of either view, by the linear probe and, if "full", retrained."""
    if warning := too_few_lungs(context):
        return [warning]
    outline = _auroc(context, "outline", "quick")
    return [
        or_not_made(_name(view, recipe), partial(_finding, context, view, recipe, outline))
        for recipe in RECIPES[budget]
        for view in _DESCRIPTIONS
    ]


def _name(view: str, recipe: Budget) -> str:
    return view if recipe == "quick" else f"{view}, retrained"


def _finding(context: AuditContext, view: str, recipe: Budget, outline: Interval) -> AuditFinding:
    area, bound = _auroc(context, view, recipe), context.settings.bounds.lungs_removed
    model = "a linear classifier" if recipe == "quick" else "the retrained network"
    if area.low > bound:
        result = f"{model} still predicts COVID-19, AUROC {text(area)}: not from the lungs"
    elif area.value > bound:
        result = (
            f"{model} may still predict COVID-19, AUROC {text(area)}; too few patients to be sure"
        )
    else:
        result = f"{model} is near chance level, AUROC {text(area)}"
    segmented = context.lungs.segmented
    details: Details = {
        "outline_of_the_lungs_alone": outline,
        "images": int(segmented.sum()),
        "images_without_segmented_lungs": int((~segmented).sum()),
    }
    name = _name(view, recipe)
    return check_bound(name, area, bound, f"{_DESCRIPTIONS[view]}, {result}.", details=details)


def _auroc(context: AuditContext, view: str, recipe: Budget) -> Interval:
    rows, scores = view_scores(context, view, recipe)
    return context.auroc(scores, rows)


CHECK = AuditCheck.built_in("lungs-removed", measure)
