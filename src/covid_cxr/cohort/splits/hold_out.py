"""Hold-outs: whole sources and sites left out of training, in place of an unseen hospital.

Two kinds, both with nothing of the scored sites (or sources) in training:

- within: a source's sites are held out in turn, and their images compared with each other: a
  classifier that recognises sources gains nothing;
- across: COVID-19 images of one source against other images of another, both sources held out.
"""

from __future__ import annotations

from itertools import product
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.errors import CohortError
from covid_cxr.types import COVID

# Fewer patients of either kind give no useful score.
LEAST = 15
# A site with so many images of its rarer kind is held out by itself.
_LARGE = 5

Mask = NDArray[np.bool_]
HoldOutUnits = Literal["sources", "sites", "both"]


class HoldOut(NamedTuple):
    """One training and what it is scored on.

    Attributes:
        name: of the comparison; hold-outs of one name are scored together.
        kind: within one source or across two.
        part: which of the trainings of that comparison.
        train, scored: (N,) rows; no patient or copy is in both.
    """

    name: str
    kind: Literal["within", "across"]
    part: str
    train: Mask
    scored: Mask


def hold_outs(rows: pd.DataFrame, units: HoldOutUnits = "both") -> list[HoldOut]:
    """Return the hold-outs that a cohort's train and val rows allow.

    Args:
        rows: of the cohort, those that may be seen.
        units: what is left out: sites of a source in turn, two whole sources at a time, or both.

    Raises:
        CohortError: none; no source holds enough of both kinds, and no two can be compared.
    """
    within = [] if units == "sources" else _within(rows)
    across = [] if units == "sites" else _across(rows)
    every = [*within, *across]
    if not every:
        raise CohortError(
            f"no source or site can be held out: expected a source with at least {LEAST} patients "
            "of either kind from several sites, or two sources beside the ones to train on"
        )
    return every


def _within(rows: pd.DataFrame) -> list[HoldOut]:
    source, covid = rows["source"], rows["finding"] == COVID
    parts = []
    for name in source.unique():
        inside = (source == name).to_numpy()
        if min(_patients(rows, inside & covid), _patients(rows, inside & ~covid)) < LEAST:
            continue
        folds = _site_folds(rows[inside])
        if folds.nunique() < 2:
            continue
        for fold in sorted(folds.unique()):
            scored = inside & rows.index.isin(folds.index[folds == fold])
            parts.append(_hold_out(rows, f"within {name}", "within", str(fold), scored))
    return [part for part in parts if _trainable(rows, part.train)]


def _site_folds(rows: pd.DataFrame) -> pd.Series:
    """Return each row's fold: a site with both kinds is one, all the others together another."""
    counts = (
        rows.assign(covid=rows["finding"] == COVID).groupby("site")["covid"].agg(["sum", "size"])
    )
    rarer = np.minimum(counts["sum"], counts["size"] - counts["sum"])
    large = set(rarer.index[rarer >= _LARGE])
    return rows["site"].where(rows["site"].isin(large), "other sites")


def _across(rows: pd.DataFrame) -> list[HoldOut]:
    source, covid = rows["source"].to_numpy(str), (rows["finding"] == COVID).to_numpy()
    pairs = []
    for first, second in product(np.unique(source), repeat=2):
        positive, negative = (source == first) & covid, (source == second) & ~covid
        if first == second or min(_patients(rows, positive), _patients(rows, negative)) < LEAST:
            continue
        scored = positive | negative
        name = f"{first} with against {second} without"
        hold_out = _hold_out(rows, name, "across", "all", scored)
        train = hold_out.train & ~np.isin(source, [first, second])
        if _trainable(rows, train):
            pairs.append(hold_out._replace(train=train))
    return pairs


def _hold_out(
    rows: pd.DataFrame,
    name: str,
    kind: Literal["within", "across"],
    part: str,
    scored: Mask,
) -> HoldOut:
    linked = components(rows)
    train = ~scored & ~linked.isin(linked[scored]).to_numpy()
    return HoldOut(name, kind, part, train, scored)


def _trainable(rows: pd.DataFrame, train: Mask) -> bool:
    covid = (rows["finding"] == COVID).to_numpy()
    return min(_patients(rows, train & covid), _patients(rows, train & ~covid)) >= LEAST


def _patients(rows: pd.DataFrame, chosen: Mask | pd.Series) -> int:
    return int(rows.loc[np.asarray(chosen), "patient_id"].nunique())
