"""Calibration, thresholds, net benefit, and what answers mean at another prevalence."""

from __future__ import annotations

from covid_cxr.results.estimates import Estimate, Record
from covid_cxr.results.scores import Counts


class ReliabilityBin(Record):
    """One point of a reliability diagram."""

    forecast: float
    observed: float
    images: int


class Calibration(Record):
    """How far probabilities of COVID-19 agree with what was observed.

    The slope is 1 and the intercept (calibration in the large) 0 where they do; `ece` is the
    debiased expected calibration error.
    """

    slope: Estimate
    intercept: Estimate
    ece: Estimate
    bins: tuple[ReliabilityBin, ...]


class SourceCalibration(Counts, Calibration):
    """The calibration within one source."""


class PredictiveValues(Record):
    """Predictive values where a share `prevalence` of the images shows COVID-19."""

    prevalence: float
    ppv: Estimate
    npv: Estimate


class OperatingPoint(Record):
    """What a threshold means, fixed on validation (`is_frozen`) or not.

    `called` is the share of images at or above it.
    """

    threshold: float
    is_frozen: bool
    called: float
    sensitivity: Estimate
    specificity: Estimate
    at: tuple[PredictiveValues, ...]


class DecisionCurve(Record):
    """Net benefit in true positives an image by threshold probability; that of treating none is 0.

    `low` and `high` are the ends of the model's interval.
    """

    threshold: tuple[float, ...]
    model: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    treat_all: tuple[float | None, ...]


class OutcomesPer1000(Record):
    """Outcomes expected in 1,000 images."""

    true_positives: Estimate
    false_negatives: Estimate
    false_positives: Estimate
    true_negatives: Estimate


class MovedProbability(Record):
    """A probability as the model gives it, and what it is at the target prevalence."""

    probability: float
    at_target: float | None


class TargetPrevalenceMetrics(PredictiveValues):
    """What answers mean at another prevalence, sensitivity and specificity taken to be the same.

    Attributes:
        fitted: prevalence that the probabilities were calibrated to.
        odds_factor: by which odds are multiplied; None where `fitted` is 0 or 1.
        in_the_large: calibration in the large of these images, moved to their own prevalence.
        threshold: the frozen one.
        threshold_at_target: the probability that it stands for at the target prevalence.
    """

    fitted: float
    odds_factor: float | None
    in_the_large: Estimate | None
    threshold: float
    threshold_at_target: float | None
    sensitivity: Estimate
    specificity: Estimate
    per_1000: OutcomesPer1000
    probabilities: tuple[MovedProbability, ...]
