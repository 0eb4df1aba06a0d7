"""The operating point, chosen once on validation cases and then frozen."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from covid_cxr.errors import CohortError
from covid_cxr.metrics.scores import cumulative_counts

Rule = Literal["youden", "sensitivity", "half"]


def choose_threshold(
    labels: ArrayLike,
    scores: ArrayLike,
    rule: Rule,
    min_sensitivity: float,
) -> float:
    """Return the threshold at and above which an event is predicted.

    "youden" maximises sensitivity + specificity - 1 (Youden 1950); of equals the one with the
    highest sensitivity is taken, since a missed case costs more than a false alarm. "sensitivity"
    takes the highest specificity among thresholds whose sensitivity is at least
    `min_sensitivity`; of equals again the highest sensitivity. "half" is 0.5 whatever the data.

    The first two lie midway between two neighbouring scores, never on a case, so that rounding
    cannot change the class of a case; to call every case positive, midway between 0 and the lowest
    score.

    Args:
        labels: (N,) 1 or True for an event, else 0.
        scores: (N,) probabilities in [0, 1].
        rule: how to choose.
        min_sensitivity: in (0, 1], for "sensitivity".

    Raises:
        CohortError: events or non-events are missing, so that there is nothing to choose by.
    """
    if rule == "half":
        return 0.5
    distinct, true, false = cumulative_counts(labels, scores)
    hits, alarms = true[0, 1:], false[0, 1:]
    if distinct.size == 0 or hits[-1] == 0 or alarms[-1] == 0:
        counts = f"{hits[-1:].sum():g} events and {alarms[-1:].sum():g} others"
        raise CohortError(
            f"threshold rule '{rule}' has {counts}, expected both: "
            "use more validation data or evaluation.threshold=half"
        )
    sensitivity, specificity = hits / hits[-1], 1 - alarms / alarms[-1]
    if rule == "youden":
        gain = sensitivity + specificity
    else:
        gain = np.where(sensitivity >= min_sensitivity, specificity, -1.0)
    # Scores run from high to low, so the last of equals is the most sensitive. Sums of two
    # quotients can differ in the last bit where the exact values are equal.
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    lower = distinct[best + 1] if best + 1 < distinct.size else 0.0
    middle = (distinct[best] + lower) / 2
    return float(middle if middle > lower else distinct[best])


def decisions(probabilities: ArrayLike, covid: int, threshold: float) -> NDArray[np.intp]:
    """Return the class that is called in each row of `probabilities` (N, C), as its column (N,).

    COVID-19, in column `covid`, is called from its threshold on, else the likeliest other class.

    >>> decisions([[0.5, 0.2, 0.3], [0.4, 0.5, 0.1]], covid=2, threshold=0.25).tolist()
    [2, 1]
    """
    others = np.array(probabilities, dtype=np.float64)
    is_covid = others[:, covid] >= threshold
    others[:, covid] = -np.inf
    return np.where(is_covid, covid, others.argmax(axis=1))
