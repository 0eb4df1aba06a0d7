"""Check 12: whether there are enough patients to say anything. It warns, and never fails.

Collins, Ogundimu and Altman, "Sample size considerations for the external validation of a
multivariable prognostic model", Statistics in Medicine 2016; Riley et al., BMJ 2020.
"""

from __future__ import annotations

import math

import numpy as np

from covid_cxr.audit.context import Material
from covid_cxr.audit.verdicts import Finding, held, told
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.within_source import Ranking, auroc_intervals


def findings(material: Material, _: Budget) -> list[Finding]:
    """Return the width of the interval that counts, patients of the rarer class, and parameters."""
    return [_width(material), *_patients(material)]


def _width(material: Material) -> Finding:
    where, codes = "over all films", None
    if material.origin is not None:
        where, codes = f"among films of the same {material.origin[0]}", material.origin_codes
    area = auroc_intervals(
        material.events,
        {"auroc": Ranking(material.scores, codes)},
        material.clusters,
        bootstrap=material.bootstrap,
    )["auroc"]
    bound = material.settings.bounds.width
    width = Interval(area.high - area.low, math.nan, math.nan)
    enough = "too wide to build on" if width.value > bound else "narrow enough to say something"
    sentence = (
        f"The interval of the AUROC {where}, {told(area)}, is {width.value:.2f} wide: {enough}."
    )
    if math.isnan(width.value):
        sentence = f"There is no AUROC {where}: none of them holds both classes."
    return held("width", width, bound, sentence, details={"auroc": area}, most="warn")


def _patients(material: Material) -> list[Finding]:
    with_covid = np.unique(material.clusters[material.events]).size
    without = np.unique(material.clusters[~material.events]).size
    rarer, bound = min(with_covid, without), material.settings.bounds.events
    sentence = (
        f"{with_covid} patients with COVID-19 and {without} without; {bound} of the rarer kind are "
        "the least that a validation should have."
    )
    weights = _weights(material)
    each = with_covid / weights * 1e6
    many = (
        f"{with_covid} patients with COVID-19 for {weights / 1e6:.1f} million weights: only "
        "pretraining and early stopping keep such a network from learning its films by heart."
    )
    return [
        held(
            "patients of the rarer class",
            Interval(float(rarer), math.nan, math.nan),
            float(bound),
            sentence,
            better="higher",
            most="warn",
        ),
        Finding("events a million weights", "info", many, each, details={"weights": weights}),
    ]


def _weights(material: Material) -> int:
    """Return how many numbers the model's graph holds."""
    import onnx

    graph = onnx.load(material.bundle.graph).graph
    return int(sum(math.prod(each.dims) for each in graph.initializer))
