"""How well a column that is no picture predicts the finding: Cramer's V, and what a guesser scores.

Where the source of a film tells its finding, a model that has learnt to tell the sources apart
scores well and has read no lung.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.summary.strata import NOT_STATED, strata
from covid_cxr.metrics.association import association
from covid_cxr.metrics.covariate_baseline import half_split_auroc
from covid_cxr.metrics.scores import Codes
from covid_cxr.types import COVID

# Columns of which it is also asked whether they are stated at all.
_OPTIONAL = ("site", "view", "sex", "age band")


def confounding(cohort: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return how much each column of the included rows says about the finding.

    A cell that is empty counts as the level "not stated"; where a column has both, whether it is
    stated is a predictor of its own.

    Args:
        cohort: a whole cohort, in any order; its excluded rows only tell which patients are one.
        seed: of the blocks behind the interval and the halves behind the AUROC.

    Returns:
        `column, levels, cramers_v, low, high, strength, auroc`; see `association` and
        `half_split_auroc`. NaN, and "" for strength, where a column has one level only or the
        images one finding only.
    """
    ordered = cohort.sort_values("image_id")
    included = ordered[ordered["split"] != "excluded"]
    finding, event = _codes(included["finding"]), (included["finding"] == COVID).to_numpy()
    patient = _codes(components(ordered)[included.index])
    lines = []
    for name, column in _predictors(included).items():
        level = _codes(column)
        found = association(level, finding, patient, seed)
        area = half_split_auroc(level, event, patient, seed)
        lines.append((name, int(level.max(initial=-1)) + 1, *found, strength(found.v), area))
    names = ["column", "levels", "cramers_v", "low", "high", "strength", "auroc"]
    return pd.DataFrame(lines, columns=names)


def strength(v: float) -> str:
    """Put Cramer's V into a word: little under 0.1, some to 0.3, strong to 0.5, else very strong.

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
    told = {name: column for name, column in stated.items() if column.nunique() == 2}
    return {**{str(name): columns[name] for name in columns}, **told}


def _codes(column: pd.Series) -> Codes:
    return np.asarray(pd.factorize(column, sort=True)[0])
