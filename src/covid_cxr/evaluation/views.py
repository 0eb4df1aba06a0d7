"""The model within AP and within PA films, and what the view position alone would score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.evaluation import operating_points
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.metrics import (
    Bootstrap,
    binary_scores,
    binary_support,
    projections,
    view_alone,
)
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.types import Task


def by_view(table: pd.DataFrame, task: Task, bootstrap: Bootstrap) -> dict[str, Any] | None:
    """Return the AUROC with the view held fixed; None where no answered film states it.

    Args:
        table: what `join` returned; AP Supine counts as AP.
        task: binary or multiclass; the event is COVID-19 in both.
        bootstrap: over patients.

    Returns:
        The films of a known view: `n`, `events`, `ap`, `pa`. As {value, low, high}: `auroc` of the
        model on them, `view_alone` (of being AP, no picture looked at), `within_ap`, `within_pa`,
        and `within`: over pairs of films of one view (see `operating.within`), with `groups` and
        `pairs`; None where no view, or only one that is there, has both classes.
    """
    views = table.loc[table["status"] == "ok", "view"].fillna("").to_numpy(object)
    ap, pa = projections(views)
    known = ap | pa
    if not known.any():
        return None
    answered = cases(table, task)
    chosen = answered.where(known)
    alone = view_alone(chosen.events, views[known], chosen.patients)
    return {
        **{"n": int(known.sum()), "events": int(chosen.events.sum())},
        **{"ap": int(ap.sum()), "pa": int(pa.sum())},
        "auroc": _auroc(chosen, bootstrap),
        "view_alone": operating_points.as_json(alone),
        "within_ap": _auroc(answered.where(ap), bootstrap),
        "within_pa": _auroc(answered.where(pa), bootstrap),
        "within": operating_points.within(
            chosen, np.where(ap, "AP", "PA")[known].astype(object), bootstrap=bootstrap
        ),
    }


def _auroc(chosen: Cases, bootstrap: Bootstrap) -> dict[str, float | None]:
    """Return the AUROC with the interval that these films have in every other table."""

    def statistic(weights: Array | None) -> Scores:
        return {"auroc": binary_scores(chosen.events, chosen.scores, 0.5, weights)["auroc"]}

    support = binary_support(chosen.events, chosen.scores, 0.5, chosen.patients)
    trials = {"auroc": support["auroc"]}
    found = bootstrap.intervals(statistic, chosen.patients, support=trials)
    return operating_points.as_json(found["auroc"])
