"""Check 5: how much of the score is telling the sources apart.

Zech et al., "Variable generalization performance of a deep learning model to detect pneumonia in
chest radiographs", PLOS Medicine 2018. The AUROC over all images is compared with the one within
sources (Janes and Pepe, Biometrika 2009), on the same resamples of whole patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.scores import ScoredRows, run_predictions
from covid_cxr.audit.verdicts import AuditCheck, check_bound, finding, or_not_made, text
from covid_cxr.config.audit import Budget
from covid_cxr.metrics import Interval
from covid_cxr.metrics.covariate_baseline import out_of_fold_prevalence
from covid_cxr.metrics.scores import Codes
from covid_cxr.metrics.within_source import Ranking, has_both_classes
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details

_MOST_LISTED = 6
_POOLED, _PROBE = "pooled over within", "linear probe"


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return what source, site and view alone predict, and pooled against within-source AUROCs."""
    findings = [_alone(context, name, values) for name, values in context.origins.items()]
    view = context.rows["view"].replace("", "not stated").to_numpy(str)
    if np.unique(view).size > 1:
        findings.append(_alone(context, "view", view))
    if context.origin is None or context.origin_codes is None:
        sentence = (
            "All images come from one source and one site: these data cannot show whether the "
            "model recognises the hospital, nor how it performs elsewhere."
        )
        return [*findings, finding("one origin", "warn", sentence)]
    kind, names = context.origin
    origin = context.origin_codes
    findings.append(
        or_not_made(f"{_POOLED}, {_PROBE}", lambda: _pooled(context, _probe(context), kind, origin))
    )
    findings += [_pooled(context, one, kind, origin) for one in run_predictions(context)]
    return [*findings, _one_class(context, kind, names, origin)]


def _probe(context: AuditContext) -> ScoredRows:
    everyone = np.arange(len(context.rows))
    return ScoredRows(_PROBE, "A linear classifier", everyone, context.scores)


def _alone(context: AuditContext, name: str, values: NDArray[Any]) -> AuditFinding:
    level = np.unique(values, return_inverse=True)[1]
    area = context.auroc(out_of_fold_prevalence(level, context.events, context.folds))
    bound = context.settings.bounds.origin
    meaning = (
        "a model that recognises it need not read the lungs"
        if area.value > bound
        else "knowing it helps little"
    )
    sentence = (
        f"The {name} alone, without the image, predicts COVID-19 with AUROC {text(area)}: "
        f"{meaning}."
    )
    counts: Details = {
        str(value): {
            "images": int((values == value).sum()),
            "with_covid": int(context.events[values == value].sum()),
        }
        for value in np.unique(values)
    }
    return check_bound(f"{name} alone", area, bound, sentence, details=counts)


def _pooled(context: AuditContext, scored: ScoredRows, kind: str, origin: Codes) -> AuditFinding:
    pooled, within, loss = context.paired_auroc(
        Ranking(scored.scores), Ranking(scored.scores, origin[scored.rows]), scored.rows
    )
    bound = context.settings.bounds.pooled_over_within
    meaning = (
        f"much of the first number is telling the {kind}s apart"
        if loss.value > bound
        else "the second is not much lower"
    )
    sentence = (
        f"{scored.subject} reaches AUROC {text(pooled)} over all images and {text(within)} among "
        f"images of the same {kind}: {meaning}."
    )
    if np.isnan(loss.value):
        sentence = (
            f"{scored.subject} reaches AUROC {text(pooled)} over all images, but no {kind} has "
            f"both classes: it may do no more than tell the {kind}s apart."
        )
    details: Details = {"pooled": pooled, "within": within, "images": len(scored.rows)}
    name = f"{_POOLED}, {scored.name}"
    return check_bound(name, loss, bound, sentence, details=details)


def _one_class(
    context: AuditContext, kind: str, names: NDArray[Any], origin: Codes
) -> AuditFinding:
    single = np.unique(names)[~has_both_classes(context.events, origin)]
    share = float(np.isin(names, single).mean())
    if single.size:
        listed = ", ".join(map(str, single[:_MOST_LISTED]))
        listed += " and others" if len(single) > _MOST_LISTED else ""
        sentence = (
            f"{share:.0%} of the images come from a {kind} with one class only ({listed}): for "
            f"them, the {kind} alone determines the class."
        )
    else:
        sentence = f"Every {kind} has images with and without COVID-19."
    return finding(
        "one class only",
        "warn" if single.size else "pass",
        sentence,
        Interval(share),
        bound=0.0,
        details={"one_class_only": tuple(map(str, single))},
    )


CHECK = AuditCheck.built_in("confounding", measure)
