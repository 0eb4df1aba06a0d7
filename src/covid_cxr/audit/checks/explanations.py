"""Check 10: whether maps lie in the lungs, and whether they depend on what was learned.

The second is Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: with the network's
layers set back to random values from the head down, a map that stays as it was shows the film.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from covid_cxr import explain
from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.explain import Model
from covid_cxr.explain.measures.sanity import cascade, similarity
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.imaging.crop import crop
from covid_cxr.metrics import Interval
from covid_cxr.progress import report
from covid_cxr.types import COVID, BoolArray, FloatArray

_NORMS = 8  # films that the random network's batch norms take their means from


def findings(material: Material, budget: Budget) -> list[Finding]:
    """Return where the support for COVID-19 lies, and how much a random network's map is alike."""
    method = "cam" if material.bundle.manifest.has_cam else "occlusion"
    return [_inside(material, method), _cascaded(material, method)]


def _inside(material: Material, method: str) -> Finding:
    found = material.lungs.found
    rows = material.validation(
        material.settings.explained, lambda rows: (rows["finding"] == COVID) & found[rows.index]
    )
    films = material.prepared(rows)
    ratios = []
    for done, (place, film) in enumerate(zip(rows.index, films, strict=True), start=1):
        lungs = crop(material.lungs.wide[place], film.box)
        ratios.append(_ratio(_map(film.image, material.predictor.runtime, method), lungs))
        report("audit: explaining", done, len(rows))
    ratio = np.array(ratios)
    kept = ~np.isnan(ratio)
    if kept.sum() < 2:
        sentence = "Too few validation films with COVID-19, lungs and a map to say where it lies."
        return Finding("support inside the lungs", "info", sentence)
    middle = material.bootstrap.quantiles(
        ratio[kept], material.clusters[rows.index[kept]], {"median": 0.5}
    )["median"]
    bound = material.settings.bounds.attribution
    meaning = "more than" if middle.value > bound else "no more than"
    sentence = (
        f"In the median of {int(kept.sum())} validation films with COVID-19, the lungs hold "
        f"{told(middle)} times the support that falls on an equal area of the film: {meaning} by "
        "chance."
    )
    details = {"method": method, "films": int(kept.sum())}
    return held(
        "support inside the lungs", middle, bound, sentence, better="higher", details=details
    )


def _ratio(attribution: FloatArray, lungs: BoolArray) -> float:
    support = np.clip(attribution, 0, None)
    total, inside = float(support.sum()), mask_on_grid(lungs, attribution.shape)
    return float(support[inside].sum()) / total / float(inside.mean()) if total > 0 else np.nan


def _map(film: FloatArray, model: Model, method: str) -> FloatArray:
    return explain.get(method)(film, model, COVID, explain.RECOMMENDED).attribution


def _cascaded(material: Material, method: str) -> Finding:
    name = "map of a random network"
    if not material.bundle.has_weights:
        sentence = "The bundle ships no weights, so that they cannot be made random: not checked."
        return Finding(name, "info", sentence)
    rows = material.validation(_NORMS, lambda rows: rows["finding"] != "")
    films = np.stack([each.image for each in material.prepared(rows)])
    chosen = films[: material.settings.cascaded]
    before = [_map(film, material.predictor.runtime, method) for film in chosen]
    stages = {
        stage: [
            abs(similarity(one, _map(film, network, method))["spearman"])
            for one, film in zip(before, chosen, strict=True)
        ]
        for stage, network in _random(material, films)
    }
    means = {stage: float(np.mean(alike)) for stage, alike in stages.items()}
    last = stages["all"]
    found = Interval(means["all"], min(last), max(last))
    bound = material.settings.bounds.likeness
    meaning = "may not depend" if found.value > bound else "depends"
    sentence = (
        f"With every layer random, maps of {len(chosen)} films keep a rank correlation of "
        f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f}) with the true ones: what they "
        f"show {meaning} on what was learned."
    )
    details = {"method": method, "by_stage": means}
    return held(name, found, bound, sentence, details=details)


def _random(material: Material, films: FloatArray) -> Iterator[tuple[str, Model]]:
    stages = ("head", "all")
    return cascade(material.bundle.folder, films, stages=stages, seed=material.seed)
