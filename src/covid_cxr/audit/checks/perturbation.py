"""Check 8: whether the model's answer changes with what is no disease.

DeGrave, Janizek and Lee, "AI for radiographic COVID-19 detection selects shortcuts over signal",
Nature Machine Intelligence 2021. The run's own bundle answers validation films as they are and
changed; a sound model's probability hardly moves.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.audit.context import Material
from covid_cxr.audit.perturb import CHANGES, Donor
from covid_cxr.audit.verdicts import SEVERITY, Finding, judge, told, worst
from covid_cxr.config.audit import Budget
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.metrics.scores import Array
from covid_cxr.progress import report
from covid_cxr.types import COVID, FloatArray

_DONORS = 12
_FEWEST = 5
_WORDS = {
    "markers removed": "lettering is painted over",
    "marker added": "a letter is burnt into a corner",
    "marker transplanted": "another hospital's lettering is put on",
    "borders cropped": "4 % is cut off each side",
    "frame added": "a black frame is put around",
    "contrast": "contrast is lowered to 70 %",
    "gamma": "the film is darkened (gamma 1.3)",
    "blur": "it is blurred a little",
    "JPEG": "it is compressed as a JPEG of quality 40",
    "resolution": "its resolution is halved",
}


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return, for each kind of change, the median and the 95th percentile of what it does."""
    rows = material.validation(material.settings.perturbed, lambda rows: rows["finding"] != "")
    films = [material.reduced(path) for path in rows["path"]]
    donors = _donors(material)
    before = _answers(material, films)
    found = []
    for done, name in enumerate(CHANGES, start=1):
        changed, kept = _changed(material, name, rows, films, donors)
        if kept.size >= _FEWEST:
            moved = np.abs(_answers(material, changed) - before[kept])
            found.append(_finding(material, name, moved, rows.index[kept].to_numpy()))
        report("audit: changing radiographs", done, len(CHANGES))
    if not found:
        sentence = f"{len(rows)} validation films are too few to see what changes do to them."
        return [Finding("changes", "info", sentence)]
    return found


def _changed(
    material: Material,
    name: str,
    rows: pd.DataFrame,
    films: list[FloatArray],
    donors: list[tuple[str, Donor]],
) -> tuple[list[FloatArray], NDArray[np.intp]]:
    """Return the changed films, and which of `films` they are."""
    rng = np.random.default_rng((material.seed, 8))
    names = _names(material)[rows.index]
    changed, kept = [], []
    for place, film in enumerate(films):
        others = [donor for origin, donor in donors if origin != names[place]]
        donor = others[int(rng.integers(len(others)))] if others else None
        one = CHANGES[name](film, donor, rng)
        if one is not None:
            changed.append(np.clip(one, 0, 1).astype(np.float32))
            kept.append(place)
    return changed, np.array(kept, np.intp)


def _names(material: Material) -> NDArray[np.str_]:
    """Return (N,) the hospital of each film: its site where sites are known, else its source."""
    if not material.origins:
        return np.arange(len(material.rows)).astype(str)
    return list(material.origins.values())[-1]


def _donors(material: Material) -> list[tuple[str, Donor]]:
    """Return films that bear lettering, each with its hospital."""
    names, facts = _names(material), material.films.facts
    if "marker_share" not in facts:
        return []
    marked = np.flatnonzero(facts["marker_share"].to_numpy() > 0)
    chosen = np.random.default_rng((material.seed, 7)).permutation(marked)[:_DONORS]
    found = []
    for place in chosen:
        film = material.reduced(material.rows["path"].iloc[place])
        found.append((str(names[place]), Donor(film, remove_markers(film) != film)))
    return found


def _answers(material: Material, films: list[FloatArray]) -> Array:
    predictor = material.predictor
    shown = [each.image for each in predictor.preparer.prepare(films)]
    answers = [predictor.runtime.probabilities(image[None])[0] for image in shown]
    return np.array(answers, dtype=np.float64)[:, predictor.classes.index(COVID)]


def _finding(material: Material, name: str, moved: Array, rows: NDArray[np.intp]) -> Finding:
    bounds = material.settings.bounds
    found = material.bootstrap.quantiles(
        moved, material.clusters[rows], {"median": 0.5, "extreme": 0.95}
    )
    held = {"median": bounds.perturbed_median, "extreme": bounds.perturbed_extreme}
    verdicts = {which: judge(found[which], held[which]) for which in found}
    lead = max(found, key=lambda which: SEVERITY.index(verdicts[which]))
    sentence = (
        f"When {_WORDS[name]}, the probability moves by {told(found['median'])} in the median of "
        f"{moved.size} validation films and by {told(found['extreme'])} in one of twenty."
    )
    details = {**found, "bounds": held, "held_to": lead, "films": moved.size}
    return Finding(
        name,
        worst(verdicts.values()),
        sentence,
        *found[lead],
        bound=held[lead],
        details=details,
    )
