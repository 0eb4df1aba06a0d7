"""Whether a patient or a duplicate image stands on both sides of a split."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

from covid_cxr.cohort.split import components
from covid_cxr.errors import LeakError

_SHOWN = 3


def check(cohort: pd.DataFrame) -> list[str]:
    """Return one line for each patient, duplicate or chain of both that crosses a split.

    Excluded rows are on no side but may be the link of a chain: patient A shares an image with B.
    """
    linked = cohort.assign(component=components(cohort))
    included = linked[linked["split"] != "excluded"]
    problems: list[str] = []
    explained: set[int] = set()
    for column, what in (
        ("patient_id", "patient '{}'"),
        ("sha256", "the same file (sha256 {:.12})"),
        ("duplicate_group", "duplicate group '{}'"),
        ("component", "linked patients (group {})"),
    ):
        for key, rows in _crossing(included, column):
            new = set(rows["component"]) - explained
            if new or column == "patient_id":
                problems.extend(f"{what.format(key)} is {pair}" for pair in _pairs(rows))
            explained |= new
    return problems


def assert_no_leak(cohort: pd.DataFrame) -> None:
    """Raise if `check` finds anything.

    Raises:
        LeakError: with the first problems and their number.
    """
    problems = check(cohort)
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise LeakError(
            f"{len(problems)} leaks between splits: {'; '.join(problems[:_SHOWN])}{more}; "
            "rebuild the cohort or move these images to one split"
        )


def _crossing(included: pd.DataFrame, column: str) -> list[tuple[object, pd.DataFrame]]:
    """Return (key, rows) of the groups of `column` that stand in more than one split."""
    keyed = included[included[column] != ""]
    crossing = keyed.groupby(column)["split"].transform("nunique") > 1
    return list(keyed[crossing].groupby(column))


def _pairs(rows: pd.DataFrame) -> list[str]:
    """Return "in test and train: image a, image b" for each two splits, one image of each."""
    first = rows.sort_values("image_id").groupby("split")["image_id"].first()
    return [
        f"in {one} and {other}: {first[one]}, {first[other]}"
        for one, other in combinations(sorted(first.index), 2)
    ]
