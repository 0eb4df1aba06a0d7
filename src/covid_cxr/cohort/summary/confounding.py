"""How well columns other than the image predict the finding: Cramer's V and a covariate-only AUROC.

Where the source of an image predicts its finding, a model that has learnt to recognise sources
scores well without reading lungs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.summary.strata import NOT_STATED, strata
from covid_cxr.metrics.association import association
from covid_cxr.metrics.covariate_baseline import half_split_auroc
from covid_cxr.metrics.scores import Codes
from covid_cxr.types import COVID

# Columns of which being stated at all is a predictor too.
_OPTIONAL = ("site", "view", "sex", "age band")


class Confounder(NamedTuple):
    """A row of the confounding table; NaN, and "" for strength, where undefined."""

    column: str
    n_levels: int
    cramers_v: float
    low: float
    high: float
    strength: str
    auroc: float


def confounding(cohort: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return how much each column of the included rows says about the finding.

    A cell that is empty counts as the level "not stated"; where a column has both, whether it is
    stated is a predictor of its own.

    Args:
        cohort: a whole cohort, in any order; its excluded rows only link patients.
        seed: of the blocks behind the interval and the halves behind the AUROC.

    Returns:
        A row a column with the fields of `Confounder`; see `association` and `half_split_auroc`.
        Undefined where a column has one level only or the images one finding only.
    """
    ordered = cohort.sort_values("image_id")
    included = ordered[ordered["split"] != "excluded"]
    finding, event = _codes(included["finding"]), (included["finding"] == COVID).to_numpy()
    patient = _codes(components(ordered)[included.index])
    rows = []
    for name, column in _predictors(included).items():
        level = _codes(column)
        v = association(level, finding, patient, seed)
        auroc = half_split_auroc(level, event, patient, seed)
        rows.append(Confounder(name, int(level.max(initial=-1)) + 1, *v, strength(v.v), auroc))
    return pd.DataFrame(rows, columns=list(Confounder._fields))


def strength(v: float) -> str:
    """Return Cramer's V in a word: little under 0.1, some to 0.3, strong to 0.5, else very strong.

    The steps are Cohen's for the effect size w (Statistical Power Analysis, 1988, 7.2: small 0.1,
    medium 0.3, large 0.5), which V is where one side has two levels; Rea and Parker (Designing and
    Conducting Survey Research, 1992) name V in like steps.

    >>> strength(0.62)
    'very strong'
    """
    if math.isnan(v):
        return ""
    return "little" if v < 0.1 else "some" if v < 0.3 else "strong" if v <= 0.5 else "very strong"


def _predictors(included: pd.DataFrame) -> dict[str, pd.Series]:
    columns = strata(included)
    stated = {f"{name} stated": columns[name] != NOT_STATED for name in _OPTIONAL}
    varying = {name: column for name, column in stated.items() if column.nunique() == 2}
    return {**{str(name): columns[name] for name in columns}, **varying}


def _codes(column: pd.Series) -> Codes:
    return np.asarray(pd.factorize(column, sort=True)[0])
