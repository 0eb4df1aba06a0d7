"""The groups whose scores stand beside the pooled ones, because a pooled score can hide them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.summary.strata import NOT_STATED, age_bands
from covid_cxr.evaluation.predictions import Cases, cases
from covid_cxr.metrics import Bootstrap, binary_support, projections, view_alone
from covid_cxr.metrics.intervals import cluster_numbers
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.metrics.within_source import Ranking, auroc_interval, within_source_auroc
from covid_cxr.results import Estimate
from covid_cxr.results.metrics import Grouping
from covid_cxr.results.scores import PairedWithinGroups, ViewMetrics
from covid_cxr.types import Task

# key in `metrics.json` -> what a reader calls it
GROUPS: dict[Grouping, str] = {
    "per_source": "Source",
    "per_site": "Site",
    "per_view": "View position",
    "per_sex": "Sex",
    "per_age_band": "Age band",
}
_MOST_SITES = 25


def group_columns(table: pd.DataFrame) -> dict[Grouping, pd.Series]:
    """Return the group of each row, as ordered categories, under the keys of `GROUPS`.

    A column that the cohort lacks, or that no row states, gives no groups, except the source. A
    site that is only the source's own name is not stated. The sites beyond the 25 with most rows
    are one group.

    Args:
        table: what `predictions.join` returned.
    """
    columns: dict[Grouping, pd.Series] = {"per_source": _categories(table["source"])}
    if "site" in table:
        site = table["site"].mask(table["site"] == table["source"], "")
        columns["per_site"] = _categories(_largest(site))
    if "view" in table:
        columns["per_view"] = _categories(table["view"])
    if "sex" in table:
        columns["per_sex"] = _categories(table["sex"])
    if "age" in table:
        columns["per_age_band"] = pd.Series(age_bands(table["age"]), table.index)
    return {
        key: column for key, column in columns.items() if key == "per_source" or _is_stated(column)
    }


def auroc_within_groups(
    chosen: Cases, groups: NDArray[np.str_], bootstrap: Bootstrap
) -> PairedWithinGroups | None:
    """Return the AUROC over pairs of images of the same group.

    A model that only tells the groups apart scores 0.5: the covariate-adjusted AUROC of Janes and
    Pepe (`covid_cxr.metrics.within_source.within_source_auroc`).

    Args:
        chosen: answered images of one split.
        groups: (N,) group of each image.
        bootstrap: over patients.

    Returns:
        None where there is one group, or no group has both classes.
    """
    names, codes = np.unique(groups, return_inverse=True)
    n_pairs = np.bincount(codes, chosen.events) * np.bincount(codes, ~chosen.events)
    if len(names) < 2 or not n_pairs.any():
        return None

    def statistic(weights: Array | None) -> Scores:
        return {"auroc": within_source_auroc(chosen.events, chosen.scores, codes, weights)}

    compared = chosen.where(n_pairs[codes] > 0)
    support = binary_support(compared.events, compared.scores, 0.5, compared.patients)
    trials = {"auroc": support["auroc"]}
    interval = bootstrap.intervals(statistic, chosen.patients, support=trials)["auroc"]
    return PairedWithinGroups(
        **dict(Estimate.of(*interval)),
        groups=int(np.count_nonzero(n_pairs)),
        pairs=int(n_pairs.sum()),
    )


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


def _categories(column: pd.Series) -> pd.Series:
    names = column.fillna("").astype(str).replace("", NOT_STATED)
    order = [*sorted(set(names) - {NOT_STATED}), NOT_STATED]
    return pd.Series(pd.Categorical(names, order, ordered=True), column.index)


def _largest(site: pd.Series) -> pd.Series:
    counts = site[site.fillna("") != ""].value_counts()
    rest = set(counts.index[_MOST_SITES:])
    # One other site is as well named as counted.
    if len(rest) < 2:
        return site
    return site.mask(site.isin(rest), f"({len(rest)} other sites)")


def _is_stated(column: pd.Series) -> bool:
    return bool(np.any(column.astype(str) != NOT_STATED))


def _auroc(chosen: Cases, bootstrap: Bootstrap) -> Estimate:
    patients = cluster_numbers(chosen.patients)
    interval = auroc_interval(chosen.events, Ranking(chosen.scores), patients, bootstrap)
    return Estimate.of(*interval)
