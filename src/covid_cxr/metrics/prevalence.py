"""Predictive values and probabilities at another prevalence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from covid_cxr.metrics.scores import Array, ratio


class PredictiveValues(NamedTuple):
    """Positive and negative predictive value."""

    ppv: Array
    npv: Array


def predictive_values(
    sensitivity: ArrayLike, specificity: ArrayLike, prevalence: ArrayLike
) -> PredictiveValues:
    """Return positive and negative predictive values by Bayes' rule; the inputs broadcast.

    NaN where no case would be called positive (PPV) or negative (NPV), where an input is NaN, and
    where the prevalence is not within 0 and 1.

    Args:
        sensitivity: in [0, 1].
        specificity: in [0, 1].
        prevalence: share with the disease among those examined, in [0, 1].
    """
    se, sp, share = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (sensitivity, specificity, prevalence))
    )
    share = np.where((share >= 0) & (share <= 1), share, np.nan)
    hits, misses = share * se, share * (1 - se)
    alarms, quiet = (1 - share) * (1 - sp), (1 - share) * sp
    return PredictiveValues(ratio(hits, hits + alarms), ratio(quiet, quiet + misses))


def shift_prevalence(
    probabilities: ArrayLike, from_prevalence: float, to_prevalence: float
) -> Array:
    """Return probabilities calibrated to one prevalence at another prevalence.

    The odds are multiplied by the ratio of prior odds (Saerens, Latinne and Decaestecker,
    "Adjusting the outputs of a classifier to new a priori probabilities", 2002). Valid only if
    the images of patients with the disease, and those of the others, have the same distribution
    at both prevalences.

    Args:
        probabilities: any shape, in [0, 1].
        from_prevalence: where they were calibrated, in (0, 1); outside it the answer is NaN.
        to_prevalence: where they are used, in [0, 1]; outside it the answer is NaN.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if not (0 < from_prevalence < 1 and 0 <= to_prevalence <= 1):
        return np.full(p.shape, np.nan)
    event = p * (to_prevalence / from_prevalence)
    other = (1 - p) * ((1 - to_prevalence) / (1 - from_prevalence))
    return ratio(event, event + other)
