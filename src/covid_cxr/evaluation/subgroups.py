"""The groups whose scores stand beside the pooled ones, because a pooled score can hide them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.cohort.summary.strata import NOT_STATED, age_bands

# key in `metrics.json` -> what a reader calls it
GROUPS = {
    "per_source": "Source",
    "per_site": "Site",
    "per_view": "View position",
    "per_sex": "Sex",
    "per_age_band": "Age band",
}
# With fewer with or without COVID-19 a score says next to nothing, whatever its interval.
FEW = 10
_MOST_SITES = 25


def levels(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the group of each row, as ordered categories, under the keys of `GROUPS`.

    A column that the cohort lacks, or that no row states, gives no groups, except the source. A
    site that is only the source's own name is not stated. The sites beyond the 25 with most rows
    are one group.

    Args:
        table: what `tables.join` returned.
    """
    found = {"per_source": _named(table["source"])}
    if "site" in table:
        site = table["site"].mask(table["site"] == table["source"], "")
        found["per_site"] = _named(_largest(site))
    for column in ("view", "sex"):
        if column in table:
            found[f"per_{column}"] = _named(table[column])
    if "age" in table:
        found["per_age_band"] = pd.Series(age_bands(table["age"]), table.index)
    return {key: column for key, column in found.items() if key == "per_source" or _stated(column)}


def small(block: Mapping[str, Any]) -> bool:
    """Tell whether a group holds fewer than `FEW` images with, or without, COVID-19."""
    return rarer(block) < FEW


def rarer(block: Mapping[str, Any]) -> int:
    """Return how many images a group has of its rarer class."""
    return min(int(block["events"]), int(block["n"]) - int(block["events"]))


def _named(column: pd.Series) -> pd.Series:
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


def _stated(column: pd.Series) -> bool:
    return bool(np.any(column.astype(str) != NOT_STATED))
