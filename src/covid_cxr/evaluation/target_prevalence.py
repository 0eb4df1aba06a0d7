"""What a model's answers mean where COVID-19 is more or less common than in these images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from covid_cxr.errors import ConfigError
from covid_cxr.evaluation.clinical_use import operating_point
from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import Bootstrap, calibration_scores, shift_prevalence
from covid_cxr.metrics.scores import Array, Scores
from covid_cxr.results import Estimate, rounded
from covid_cxr.results.clinical_use import (
    MovedProbability,
    OutcomesPer1000,
    TargetPrevalenceMetrics,
)

# Probabilities whose meaning at the target prevalence is listed, beside the frozen threshold.
PROBABILITIES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class TargetPrevalence:
    """A prevalence of COVID-19 to interpret answers at.

    Attributes:
        prevalence: share of the images with COVID-19, in (0, 1).
        fitted: share that the bundle's probabilities were calibrated to, in [0, 1].
    """

    prevalence: float
    fitted: float

    @property
    def odds_factor(self) -> float | None:
        """By which odds are multiplied; None where the bundle was calibrated on one class."""
        if not 0 < self.fitted < 1:
            return None
        odds = self.prevalence / (1 - self.prevalence)
        return rounded(odds * (1 - self.fitted) / self.fitted)

    def move(self, probabilities: list[float]) -> list[float | None]:
        """Return what probabilities are at the target prevalence; None where undefined."""
        moved = shift_prevalence(probabilities, self.fitted, self.prevalence)
        return [rounded(probability) for probability in moved]


def check_prevalence(prevalence: float | None) -> None:
    """Check that a prevalence is within 0 and 1.

    Raises:
        ConfigError: it is not, or is one of them.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ConfigError(
            f"--prevalence is {prevalence:g}, expected a share over 0 and under 1: "
            "write 0.05 where 5 % of the images show COVID-19"
        )


def at_target_prevalence(
    cases: Cases, threshold: float, target: TargetPrevalence, bootstrap: Bootstrap
) -> TargetPrevalenceMetrics | None:
    """Return what threshold and probabilities mean at the target; None without cases.

    Sensitivity and specificity are taken to be those of these cases. Predictive values follow by
    Bayes' rule in every resample; probabilities by multiplying their odds (Elkan, "The foundations
    of cost-sensitive learning", 2001; Saerens et al. 2002).

    Args:
        cases: of one split.
        threshold: the one that was fixed on validation.
        target: the prevalence to interpret answers at.
        bootstrap: over patients.
    """
    if not cases.labels.size:
        return None
    point = operating_point(cases, threshold, (target.prevalence,), bootstrap, is_frozen=True)
    listed = sorted({*PROBABILITIES, point.threshold})
    return TargetPrevalenceMetrics(
        **dict(point.at[0]),
        fitted=round(target.fitted, 6),
        odds_factor=target.odds_factor,
        in_the_large=_calibration_in_the_large(cases, target.fitted, bootstrap),
        threshold=point.threshold,
        threshold_at_target=target.move([threshold])[0],
        sensitivity=point.sensitivity,
        specificity=point.specificity,
        per_1000=_outcomes(point.sensitivity, point.specificity, target.prevalence),
        probabilities=tuple(
            MovedProbability(probability=probability, at_target=moved)
            for probability, moved in zip(listed, target.move(listed), strict=True)
        ),
    )


def _outcomes(se: Estimate, sp: Estimate, prevalence: float) -> OutcomesPer1000:
    positives, negatives = 1000 * prevalence, 1000 * (1 - prevalence)
    return OutcomesPer1000(
        true_positives=_count(positives, se.value, se.low, se.high),
        false_negatives=_count(positives, *_complements(se.value, se.high, se.low)),
        false_positives=_count(negatives, *_complements(sp.value, sp.high, sp.low)),
        true_negatives=_count(negatives, sp.value, sp.low, sp.high),
    )


def _calibration_in_the_large(cases: Cases, fitted: float, bootstrap: Bootstrap) -> Estimate | None:
    """Return the calibration in the large after a move to each resample's own prevalence.

    A move adds the difference of prior log-odds to every log-odds, and so reduces the remaining
    intercept by it. None without both classes.
    """
    if not cases.both_classes or not 0 < fitted < 1:
        return None

    def statistic(weights: Array | None) -> Scores:
        w = np.ones((1, cases.labels.size)) if weights is None else weights
        intercept = calibration_scores(cases.events, cases.scores, weights)["calibration_intercept"]
        share = w @ cases.events / w.sum(axis=1)
        return {"intercept": intercept - logit(share) + logit(fitted)}

    return Estimate.of(*bootstrap.intervals(statistic, cases.patients)["intercept"])


def _complements(*shares: float | None) -> list[float | None]:
    return [None if share is None else 1 - share for share in shares]


def _count(images: float, *shares: float | None) -> Estimate:
    value, low, high = (None if share is None else round(images * share, 3) for share in shares)
    return Estimate(value=value, low=low, high=high)
