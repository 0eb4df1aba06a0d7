"""The model within AP and within PA images, and what the view position alone would score."""

from __future__ import annotations

import numpy as np
import pandas as pd

from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.evaluation.subgroups import auroc_within_groups
from covid_cxr.metrics import Bootstrap, projections, view_alone
from covid_cxr.metrics.intervals import cluster_numbers
from covid_cxr.metrics.within_source import Ranking, auroc_intervals
from covid_cxr.results import Estimate
from covid_cxr.results.scores import ViewMetrics
from covid_cxr.types import Task


def by_view(table: pd.DataFrame, task: Task, bootstrap: Bootstrap) -> ViewMetrics | None:
    """Return the AUROC with the view position held fixed; None where no answered image states it.

    Args:
        table: what `join` returned; AP Supine counts as AP.
        task: binary or multiclass; the event is COVID-19 in both.
        bootstrap: over patients.
    """
    views = table.loc[table["status"] == "ok", "view"].fillna("").to_numpy(object)
    ap, pa = projections(views)
    stated = ap | pa
    if not stated.any():
        return None
    predicted = cases(table, task)
    chosen = predicted.where(stated)
    return ViewMetrics(
        n=int(stated.sum()),
        events=int(chosen.events.sum()),
        ap=int(ap.sum()),
        pa=int(pa.sum()),
        auroc=_auroc(chosen, bootstrap),
        view_alone=Estimate.of(*view_alone(chosen.events, views[stated], chosen.patients)),
        within_ap=_auroc(predicted.where(ap), bootstrap),
        within_pa=_auroc(predicted.where(pa), bootstrap),
        within=auroc_within_groups(chosen, np.where(ap, "AP", "PA")[stated], bootstrap),
    )


def _auroc(chosen: Cases, bootstrap: Bootstrap) -> Estimate:
    patients = cluster_numbers(chosen.patients)
    rankings = {"auroc": Ranking(chosen.scores)}
    return Estimate.of(*auroc_intervals(chosen.events, rankings, patients, bootstrap)["auroc"])
