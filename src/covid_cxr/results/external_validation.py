"""A finished bundle on images of another site, and its recalibration there."""

from __future__ import annotations

from covid_cxr.results.estimates import Estimate, Record
from covid_cxr.results.scores import Counts


class RecalibrationScores(Counts):
    """What recalibration may change."""

    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    brier: Estimate
    slope: Estimate | None
    intercept: Estimate | None
    ece: Estimate | None


class ThresholdChange(Record):
    """A threshold before and after recalibration."""

    before: float
    after: float


class RecalibrationMetrics(Record):
    """A logistic recalibration, and the scores before and after on images it was not fitted to.

    `share` of the patients was fitted to.
    """

    derived_from: str
    slope: float
    shift: float
    threshold: ThresholdChange
    fit: Counts
    share: float
    before: RecalibrationScores
    after: RecalibrationScores


class ExternalValidationMetrics(Record):
    """What belongs to a finished bundle measured on other images.

    Attributes:
        training_overlap: images left out because they, or their patients, are in the training.
        recalibration: None where there was none.
        recalibration_rejected: why there was none although it was asked for.
    """

    training_overlap: int
    recalibration: RecalibrationMetrics | None = None
    recalibration_rejected: str | None = None
