"""Check 10: whether attribution maps lie in the lungs, and depend on what was learned.

The second is Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: the network's layers
are set to random values from the head down; a map that does not change shows the image only.
"""

from __future__ import annotations

import numpy as np

from covid_cxr import explain
from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, check_bound, not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.explain import Model
from covid_cxr.explain.measures.sanity import cascade, similarity
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.imaging.crop import crop
from covid_cxr.metrics import Interval
from covid_cxr.progress import track
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details
from covid_cxr.types import COVID, BoolArray, FloatArray

_NORMS = 8  # images that the random network's batch norms take their means from


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return where the support for COVID-19 lies, and how similar a random network's map is."""
    method = "cam" if context.bundle.manifest.has_cam else "occlusion"
    return [_inside_lungs(context, method), _random_network(context, method)]


def _inside_lungs(context: AuditContext, method: str) -> AuditFinding:
    segmented, name = context.lungs.segmented, "support inside the lungs"
    rows = context.sample_validation(
        context.settings.explained,
        lambda rows: (rows["finding"] == COVID) & segmented[rows.index],
    )
    inputs = zip(rows.index, context.prepare(rows), strict=True)
    ratios = []
    for row, prepared in track(inputs, "audit: explaining", len(rows)):
        lungs = crop(context.lungs.masks[row], prepared.box)
        support = _map(prepared.image, context.predictor.runtime, method)
        ratios.append(_relative_support(support, lungs))
    ratio = np.array(ratios)
    defined = ~np.isnan(ratio)
    count = int(defined.sum())
    if count < 2:
        reason = "too few validation images with COVID-19, segmented lungs and a map"
        return not_made(name, reason)
    clusters = context.clusters[rows.index[defined]]
    median = context.bootstrap.quantiles(ratio[defined], clusters, {"median": 0.5})["median"]
    bound = context.settings.bounds.attribution
    meaning = "more than" if median.value > bound else "no more than"
    sentence = (
        f"In the median of {count} validation images with COVID-19, the lungs have {text(median)} "
        f"times the support of an equal area of the image: {meaning} expected by chance."
    )
    details: Details = {"method": method, "images": count}
    return check_bound(name, median, bound, sentence, better="higher", details=details)


def _relative_support(attribution: FloatArray, lungs: BoolArray) -> float:
    """Return the share of positive attribution inside the lungs over their share of the area."""
    support = np.clip(attribution, 0, None)
    total, inside = float(support.sum()), mask_on_grid(lungs, attribution.shape)
    return float(support[inside].sum()) / total / float(inside.mean()) if total > 0 else np.nan


def _map(image: FloatArray, model: Model, method: str) -> FloatArray:
    return explain.get(method)(image, model, COVID).attribution


def _random_network(context: AuditContext, method: str) -> AuditFinding:
    name = "map of a random network"
    if not context.bundle.has_weights:
        return not_made(name, "the bundle has no weights that could be made random")
    rows = context.sample_validation(_NORMS, lambda rows: rows["finding"] != "")
    if rows.empty:
        return not_made(name, "there is no validation image")
    inputs = np.stack([prepared.image for prepared in context.prepare(rows)])
    explained = inputs[: context.settings.cascaded]
    trained = [_map(image, context.predictor.runtime, method) for image in explained]
    networks = cascade(context.bundle.folder, inputs, stages=("head", "all"), seed=context.seed)
    by_stage = {
        stage: [
            abs(similarity(map_, _map(image, network, method))["spearman"])
            for map_, image in zip(trained, explained, strict=True)
        ]
        for stage, network in networks
    }
    means = {stage: float(np.mean(values)) for stage, values in by_stage.items()}
    correlation = Interval(means["all"], min(by_stage["all"]), max(by_stage["all"]))
    bound = context.settings.bounds.likeness
    meaning = "may not depend" if correlation.value > bound else "depends"
    sentence = (
        f"With every layer random, the maps of {len(explained)} images have a rank correlation of "
        f"{correlation.value:.2f} ({correlation.low:.2f} to {correlation.high:.2f}) with those of "
        f"the trained network: what they show {meaning} on what was learned."
    )
    rounded = {stage: round(value, 6) for stage, value in means.items()}
    details: Details = {"method": method, "by_stage": rounded}
    return check_bound(name, correlation, bound, sentence, details=details)


CHECK = AuditCheck.built_in("explanations", measure)
