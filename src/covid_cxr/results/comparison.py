"""What `compare.json` holds: two or more runs on the same images."""

from __future__ import annotations

from covid_cxr.results.estimates import Estimate, Record, ResultFile
from covid_cxr.results.scores import Counts
from covid_cxr.types import Task

COMPARISON = "compare.json"
SCORES = ("auroc", "sensitivity", "specificity", "brier")


class ComparedRun(Record):
    """A run, its images in the split, and those that all runs answered (`compared`)."""

    name: str
    path: str
    model: str
    bundles: tuple[str, ...]
    images: int
    compared: int


class ComparedScores(Record):
    """A run's scores in one group, and its AUROC with DeLong's interval for clustered data."""

    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    auroc_delong: Estimate

    def named(self) -> dict[str, Estimate]:
        """Return every score by its name."""
        return {name: getattr(self, name) for name in (*SCORES, "auroc_delong")}


class DelongDifference(Estimate):
    """A difference of AUROCs, with the p value of no difference."""

    p: float | None


class ScoreDifferences(ComparedScores):
    """A run's scores less those of the first run, paired."""

    auroc_delong: DelongDifference


class ComparedGroup(Counts):
    """All scores in one group, by run name; `differences` lacks the first run."""

    runs: dict[str, ComparedScores]
    differences: dict[str, ScoreDifferences]


class RunComparison(ResultFile):
    """`compare.json`: `groups` are pooled and, where there are several, the sources."""

    split: str
    task: Task
    n_resamples: int
    seed: int
    runs: tuple[ComparedRun, ...]
    groups: dict[str, ComparedGroup]
