"""Scores of a recipe on films that were changed: by the cheap recipe, or by a network trained anew.

Films on which no lungs were found are left out of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding
from covid_cxr.config.audit import Budget
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array

# The full budget asks the cheap recipe too: the two may disagree, and then that is worth knowing.
RECIPES: dict[Budget, tuple[Budget, ...]] = {"quick": ("quick",), "full": ("quick", "full")}
_ENOUGH = 0.5


def view_scores(
    material: Material, view: str, recipe: Budget, seed: int = 0
) -> tuple[NDArray[np.intp], Array]:
    """Return which rows (n,) were scored and their scores (n,), none by a model that saw them.

    Args:
        material: of the audit.
        view: a name in `regions.VIEWS`.
        recipe: "quick" for the cheap one in grouped folds, "full" for a network trained anew on
            some patients and asked about the others.
        seed: added to the run's, for the network.
    """
    rows = np.flatnonzero(material.lungs.found)
    if recipe == "full":
        from covid_cxr.audit.retrain import retrained

        return retrained(material, view, rows, seed)
    features = material.embedded(view)[rows]
    return rows, out_of_fold_scores(features, material.events[rows], material.folds[rows])


def lungs_missing(material: Material) -> Finding | None:
    """Return a finding that says so where lungs were found on less than half of the films."""
    found = material.lungs.found
    events = material.events[found]
    if found.mean() >= _ENOUGH and events.any() and not events.all():
        return None
    sentence = f"Lungs were found on {int(found.sum())} of {found.size} films; too few to tell."
    return Finding("lungs found", "warn", sentence, float(found.mean()), bound=_ENOUGH)
