"""Splits that cannot be what was meant: empty, lacking a finding, or one patient for everybody."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.splits.leakage import one_line
from covid_cxr.types import FINDINGS

_MOST = 0.5  # share of the images that one patient, with copies, may have


def split_warnings(cohort: pd.DataFrame) -> list[str]:
    """Return a sentence for each thing that makes a split useless; nothing of an empty cohort.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it.
    """
    dealt = cohort[cohort["split"].isin(("train", "val", "test"))]
    if dealt.empty:
        return []
    return [*_of_splits(dealt), *_of_one(dealt, components(cohort)[dealt.index])]


def _of_splits(dealt: pd.DataFrame) -> Iterator[str]:
    findings = [finding for finding in FINDINGS if (dealt["finding"] == finding).any()]
    counts = pd.crosstab(dealt["split"], dealt["finding"])
    counts = counts.reindex(index=["train", "val", "test"], columns=findings, fill_value=0)
    for split, row in counts.iterrows():
        if not row.sum():
            yield f"{split} is empty; more patients, or another strategy or share, would fill it."
        elif not row.all():
            yield f"{split} holds no {' and no '.join(row.index[row == 0])}."


def _of_one(dealt: pd.DataFrame, person: pd.Series) -> Iterator[str]:
    sizes = person.value_counts()
    if sizes.iloc[0] <= max(1, _MOST * len(dealt)):
        return
    images = dealt.loc[person == sizes.index[0], "image_id"].sort_values()
    yield (
        f"{sizes.iloc[0]} of {len(dealt)} images, such as '{one_line(images.iloc[0])}', hang "
        "together by patient or copies and cannot be divided; does every image have its "
        "patient's own id?"
    )
