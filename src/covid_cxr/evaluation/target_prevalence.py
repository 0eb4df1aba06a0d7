"""What a model's answers mean in a place where COVID-19 is more or less common than here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from covid_cxr.errors import ConfigError
from covid_cxr.evaluation import operating_points
from covid_cxr.evaluation.predictions import Cases
from covid_cxr.metrics import Bootstrap, calibration_scores, shift_prevalence
from covid_cxr.metrics.scores import Array, Scores

# Probabilities whose meaning there is written out, beside the frozen threshold.
SHOWN = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_FILMS = 1000

Score = Mapping[str, float | None]


@dataclass(frozen=True)
class Place:
    """A place with another share of COVID-19.

    Attributes:
        prevalence: share of its films with COVID-19, in (0, 1).
        fitted: share in the films that the bundle was calibrated to, in [0, 1].
    """

    prevalence: float
    fitted: float


def check_prevalence(prevalence: float | None) -> None:
    """Refuse a share that no place can have.

    Raises:
        ConfigError: it is not within 0 and 1, or is one of them.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise ConfigError(
            f"--prevalence is {prevalence:g}, expected a share over 0 and under 1: "
            "write 0.05 where 5 % of the films show COVID-19"
        )


def at_place(
    cases: Cases, frozen: float, place: Place, bootstrap: Bootstrap
) -> dict[str, Any] | None:
    """Return what the frozen threshold and the probabilities mean in a place; None without cases.

    Sensitivity and specificity are taken to be those of these cases. Predictive values follow by
    Bayes' rule in every resample; probabilities by multiplying their odds (Elkan, "The foundations
    of cost-sensitive learning", 2001; Saerens et al. 2002).

    Args:
        cases: of one split.
        frozen: the threshold that was fixed on validation.
        place: where it is used.
        bootstrap: over patients.

    Returns:
        `prevalence`, `fitted`, `odds_times`, `threshold` and `threshold_there` (the probability
        that it stands for there), `sensitivity`, `specificity`, `ppv` and `npv` as intervals,
        `per_1000` (true and false positives and negatives, as intervals) and `shown`: each
        `probability` and what it is `there`. `in_the_large` tries the move on these cases: the
        calibration in the large, 0 being right, of probabilities moved to their own share of
        COVID-19. None where undefined, such as with one class only.
    """
    if not cases.labels.size:
        return None
    share = place.prevalence
    found = operating_points.row(cases, frozen, (share,), bootstrap)
    se, sp = found["sensitivity"], found["specificity"]
    diseased, others = _FILMS * share, _FILMS * (1 - share)
    shown = sorted({*SHOWN, round(frozen, 6)})
    return {
        "prevalence": share,
        "fitted": operating_points.rounded(place.fitted),
        "odds_times": _odds_times(place),
        "in_the_large": _in_the_large(cases, place.fitted, bootstrap),
        "threshold": found["threshold"],
        "threshold_there": _there([frozen], place)[0],
        "sensitivity": se,
        "specificity": sp,
        **{key: found["at"][0][key] for key in ("ppv", "npv")},
        "per_1000": {
            "true_positives": _times(se, diseased),
            "false_negatives": _times(_rest(se), diseased),
            "false_positives": _times(_rest(sp), others),
            "true_negatives": _times(sp, others),
        },
        "shown": [
            {"probability": at, "there": there}
            for at, there in zip(shown, _there(shown, place), strict=True)
        ],
    }


def _there(probabilities: list[float], place: Place) -> list[float | None]:
    moved = shift_prevalence(probabilities, place.fitted, place.prevalence)
    return [operating_points.rounded(each) for each in moved]


def _odds_times(place: Place) -> float | None:
    """Return by how much odds are multiplied; None where the bundle saw one class only."""
    if not 0 < place.fitted < 1:
        return None
    odds = place.prevalence / (1 - place.prevalence)
    return operating_points.rounded(odds * (1 - place.fitted) / place.fitted)


def _in_the_large(
    cases: Cases, fitted: float, bootstrap: Bootstrap
) -> dict[str, float | None] | None:
    """Return the calibration in the large after a move to each resample's own share, or None.

    A move adds the difference of prior log-odds to every log-odds, and so takes it off the shift
    that is still wanted.
    """
    if not cases.both_classes or not 0 < fitted < 1:
        return None

    def statistic(weights: Array | None) -> Scores:
        w = np.ones((1, cases.labels.size)) if weights is None else weights
        wanted = calibration_scores(cases.events, cases.scores, weights)["calibration_intercept"]
        share = w @ cases.events / w.sum(axis=1)
        return {"shift": wanted - logit(share) + logit(fitted)}

    found = bootstrap.intervals(statistic, cases.patients)
    return operating_points.as_json(found["shift"])


def _rest(score: Score) -> Score:
    """Return the interval of 1 - score, whose ends change places."""
    turned = {"value": score["value"], "low": score["high"], "high": score["low"]}
    return {name: None if end is None else 1 - end for name, end in turned.items()}


def _times(score: Score, films: float) -> dict[str, float | None]:
    return {name: None if end is None else round(films * end, 3) for name, end in score.items()}
