"""Strata: a cohort's columns in few levels each, "not stated" where a cell is empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

NOT_STATED = "not stated"
AGE_BANDS = ("<18", "18-39", "40-59", "60-79", "80+")
_ASPECTS = ("<0.8", "0.8-0.95", "0.95-1.05", "1.05-1.25", "1.25+")
_SIDES = ("<384", "384-511", "512-1023", "1024-2047", "2048+")


def strata(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the level that each row has in each column, as ordered categories.

    Columns: source, site, view, sex, age band (years), aspect ratio (width by height) and longer
    side (pixels). A site that is only the source's own name is not stated: that is what `build`
    fills in. Levels that no row has are left out; "not stated" comes last.

    Args:
        cohort: rows of `covid_cxr.cohort.schema`, of files that were read (size over 0).
    """
    site = cohort["site"].mask(cohort["site"] == cohort["source"], "")
    width, height = cohort["width"].to_numpy(), cohort["height"].to_numpy()
    return pd.DataFrame(
        {
            "source": _named(cohort["source"]),
            "site": _named(site),
            "view": _named(cohort["view"]),
            "sex": _named(cohort["sex"]),
            "age band": age_bands(cohort["age"]),
            "aspect ratio": _binned(width / height, (0.8, 0.95, 1.05, 1.25), _ASPECTS),
            "longer side": _binned(np.maximum(width, height), (384, 512, 1024, 2048), _SIDES),
        },
        index=cohort.index,
    )


def age_bands(age: ArrayLike) -> pd.Categorical:
    """Return the band of each age in years, as ordered categories; NaN is not stated."""
    return _binned(age, (18, 40, 60, 80), AGE_BANDS)


def _named(column: pd.Series) -> pd.Categorical:
    names = sorted(set(column.unique()) - {"", NOT_STATED})
    return _categories(column.mask(column == "", NOT_STATED), [*names, NOT_STATED])


def _binned(values: ArrayLike, edges: Sequence[float], names: Sequence[str]) -> pd.Categorical:
    """Return the names of the bins; an edge belongs to the bin above it, NaN is not stated."""
    number = np.asarray(values, dtype=np.float64)
    every = np.array([*names, NOT_STATED], dtype=object)
    index = np.where(np.isnan(number), len(names), np.searchsorted(edges, number, side="right"))
    return _categories(every[index], list(every))


def _categories(column: ArrayLike, names: list[str]) -> pd.Categorical:
    return pd.Categorical(column, names, ordered=True).remove_unused_categories()
