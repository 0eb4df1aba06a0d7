"""Check 12: whether there are enough patients for a conclusion. It warns, and never fails.

Collins, Ogundimu and Altman, "Sample size considerations for the external validation of a
multivariable prognostic model", Statistics in Medicine 2016; Riley et al., BMJ 2020.
"""

from __future__ import annotations

import math

import numpy as np

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, check_bound, finding, or_not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.models.recalibrate import need_onnx
from covid_cxr.results import AuditFinding

_RATIO = "events a million weights"


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the width of the decisive interval, patients of the rarer class, and parameters."""
    with_covid = np.unique(context.clusters[context.events]).size
    return [
        or_not_made("width", lambda: _width(context)),
        _rarer_class(context, with_covid),
        or_not_made(_RATIO, lambda: _parameters(context, with_covid)),
    ]


def _width(context: AuditContext) -> AuditFinding:
    where = f"among images of the same {context.origin[0]}" if context.origin else "over all images"
    area = context.auroc(context.scores, origin=context.origin_codes)
    width, bound = area.high - area.low, context.settings.bounds.width
    meaning = "too wide for a conclusion" if width > bound else "narrow enough for a conclusion"
    sentence = f"The interval of the AUROC {where}, {text(area)}, is {width:.2f} wide: {meaning}."
    if math.isnan(width):
        sentence = f"There is no AUROC {where}: none of them has both classes."
    return check_bound(
        "width",
        Interval(width),
        bound,
        sentence,
        details={"auroc": area},
        most_severe="warn",
    )


def _rarer_class(context: AuditContext, with_covid: int) -> AuditFinding:
    without = np.unique(context.clusters[~context.events]).size
    bound = context.settings.bounds.events
    sentence = (
        f"{with_covid} patients with COVID-19 and {without} without; a validation should have at "
        f"least {bound} of the rarer class."
    )
    return check_bound(
        "patients of the rarer class",
        Interval(min(with_covid, without)),
        float(bound),
        sentence,
        better="higher",
        most_severe="warn",
    )


def _parameters(context: AuditContext, with_covid: int) -> AuditFinding:
    graph = need_onnx("counting weights").load(context.bundle.graph).graph
    weights = int(sum(math.prod(tensor.dims) for tensor in graph.initializer))
    sentence = (
        f"{with_covid} patients with COVID-19 for {weights / 1e6:.1f} million weights: only "
        "pretraining and early stopping keep such a network from memorising its images."
    )
    ratio = Interval(with_covid / weights * 1e6)
    return finding(_RATIO, "info", sentence, ratio, details={"weights": weights})


CHECK = AuditCheck.built_in("size", measure)
