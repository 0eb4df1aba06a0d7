"""The partitions of a cohort, as the answers of a checklist describe them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from covid_cxr.types import COVID

SPLITS = {"train": "training", "val": "validation", "test": "test", "external": "external"}


@dataclass(frozen=True, eq=False)
class Partition:
    """Some rows of a cohort under a name."""

    name: str
    rows: pd.DataFrame

    @property
    def images(self) -> int:
        return len(self.rows)

    @property
    def patients(self) -> int:
        return int(self.rows["patient_id"].nunique())

    @property
    def events(self) -> int:
        """Images with COVID-19."""
        return int((self.rows["finding"] == COVID).sum())

    @property
    def women(self) -> int:
        return int((self.rows["sex"] == "F").sum())

    @property
    def with_sex(self) -> int:
        """Images of a stated sex."""
        return int(self.rows["sex"].isin(("F", "M")).sum())

    @cached_property
    def ages(self) -> pd.Series:
        """The stated ages."""
        return self.rows["age"].dropna()

    @property
    def sources(self) -> set[str]:
        return set(self.rows["source"])


def partitions(cohort: pd.DataFrame) -> list[Partition]:
    """Return the splits that hold images."""
    named = [Partition(name, cohort[cohort["split"] == split]) for split, name in SPLITS.items()]
    return [partition for partition in named if partition.images]


def by_source(cohort: pd.DataFrame) -> list[Partition]:
    """Return the included rows by source."""
    included = cohort[cohort["split"] != "excluded"]
    return [Partition(str(source), rows) for source, rows in included.groupby("source")]


def development(cohort: pd.DataFrame) -> Partition:
    """Return the rows that a model was trained and chosen on."""
    return Partition("development", cohort[cohort["split"].isin(("train", "val"))])
