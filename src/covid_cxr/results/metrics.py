"""What `metrics.json` of a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from covid_cxr.results.clinical_use import (
    Calibration,
    DecisionCurve,
    OperatingPoint,
    SourceCalibration,
    TargetPrevalenceMetrics,
)
from covid_cxr.results.conformal import ConformalMetrics
from covid_cxr.results.estimates import Estimate, Record, ResultFile
from covid_cxr.results.external_validation import ExternalValidationMetrics
from covid_cxr.results.input_check import InputCheckCounts
from covid_cxr.results.scores import (
    Counts,
    PairedWithinGroups,
    PooledMetrics,
    Scores,
    SubgroupMetrics,
    Unanswered,
)
from covid_cxr.types import Task

METRICS = "metrics.json"

SplitName = Literal["val", "test", "external"]
Grouping = Literal["per_source", "per_site", "per_view", "per_sex", "per_age_band"]


class SplitMetrics(Counts, Unanswered):
    """The metrics of one split: pooled, and by group where the cohort states it."""

    threshold: float
    pooled: PooledMetrics
    constant_prior: Scores
    per_source: dict[str, SubgroupMetrics]
    per_site: dict[str, SubgroupMetrics]
    per_view: dict[str, SubgroupMetrics]
    per_sex: dict[str, SubgroupMetrics]
    per_age_band: dict[str, SubgroupMetrics]
    within: dict[Grouping, PairedWithinGroups] = Field(
        description="AUROC over pairs of images of one source, site or view"
    )
    calibration: Calibration | None
    calibration_by_source: dict[str, SourceCalibration]
    thresholds: tuple[OperatingPoint, ...]
    decision: DecisionCurve | None
    at_prevalence: TargetPrevalenceMetrics | None = None

    def groups(self, grouping: str) -> Mapping[str, SubgroupMetrics]:
        """Return the groups under one of `Grouping`."""
        groups: Mapping[str, SubgroupMetrics] = getattr(self, grouping)
        return groups


class OutOfFoldMetrics(SplitMetrics):
    """Grouped cross-validation over the training and validation images."""

    folds: int
    conformal: ConformalMetrics | None


class PointingMetrics(Record):
    """How often an explanation's peak falls on a true opacity; without images the rest is None.

    `inside_lungs` is the median share of absolute attribution inside the lungs.
    """

    images: int
    hits: int | None = None
    hit_rate: Estimate | None = None
    inside_lungs: float | None = None


class SplitUse(Record):
    """One time that the test split was read, by which bundle and, if not to evaluate, what for."""

    time: str
    bundle: str
    prevalence: float | None = None
    purpose: str | None = None


class RunMetrics(ResultFile):
    """`metrics.json`; None where a run has no bundle yet."""

    task: Task
    classes: tuple[str, ...]
    model: str
    bundle: str | None = None
    threshold: float | None = None
    temperature: float | None = None
    command: str
    splits: dict[SplitName, SplitMetrics] = Field(default_factory=dict)
    out_of_fold: OutOfFoldMetrics | None = None
    explanations: dict[str, PointingMetrics] = Field(default_factory=dict)
    external_validation: ExternalValidationMetrics | None = None
    test_evaluations: tuple[SplitUse, ...] = ()
    input_check: dict[str, InputCheckCounts] = Field(
        default_factory=dict, description="of the bundle's training images, by source"
    )
    training_warnings: tuple[str, ...] = ()

    @property
    def primary(self) -> SplitName | None:
        """The split that the headline stands on: test, else validation, else external."""
        order: tuple[SplitName, ...] = ("test", "val", "external")
        return next((name for name in order if name in self.splits), None)

    @property
    def headline(self) -> SplitMetrics | None:
        """The metrics of the primary split."""
        return None if self.primary is None else self.splits[self.primary]


class HeadlineMetrics(Record):
    """The scores of one split that a bundle's manifest holds."""

    n: int
    events: int
    auroc: Estimate
    auprc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    brier: Estimate
    auroc_per_source: dict[str, Estimate]

    @classmethod
    def of(cls, split: SplitMetrics) -> HeadlineMetrics:
        """Return the headline scores of a split."""
        shared = cls.model_fields.keys() - {"auroc_per_source"}
        return cls(
            auroc_per_source={name: group.auroc for name, group in split.per_source.items()},
            **{name: getattr(split.pooled, name) for name in shared},
        )
