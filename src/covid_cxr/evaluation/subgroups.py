"""The groups whose scores stand beside the pooled ones, because a pooled score can hide them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.summary.strata import NOT_STATED, age_bands
from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import Bootstrap, binary_support
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.metrics.within_source import within_source_auroc
from covid_cxr.results import Estimate
from covid_cxr.results.metrics import Grouping
from covid_cxr.results.scores import PairedWithinGroups

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
    cases: Cases, groups: NDArray[np.str_], bootstrap: Bootstrap
) -> PairedWithinGroups | None:
    """Return the AUROC over pairs of images of the same group.

    A model that only tells the groups apart scores 0.5: the covariate-adjusted AUROC of Janes and
    Pepe (`covid_cxr.metrics.within_source.within_source_auroc`).

    Args:
        cases: of one split.
        groups: (N,) group of each case.
        bootstrap: over patients.

    Returns:
        None where there is one group, or no group has both classes.
    """
    names, codes = np.unique(groups, return_inverse=True)
    n_pairs = np.bincount(codes, cases.events) * np.bincount(codes, ~cases.events)
    if len(names) < 2 or not n_pairs.any():
        return None

    def statistic(weights: Array | None) -> Scores:
        return {"auroc": within_source_auroc(cases.events, cases.scores, codes, weights)}

    compared = cases.where(n_pairs[codes] > 0)
    support = binary_support(compared.events, compared.scores, 0.5, compared.patients)
    trials = {"auroc": support["auroc"]}
    interval = bootstrap.intervals(statistic, cases.patients, support=trials)["auroc"]
    return PairedWithinGroups(
        **dict(Estimate.of(*interval)),
        groups=int(np.count_nonzero(n_pairs)),
        pairs=int(n_pairs.sum()),
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
