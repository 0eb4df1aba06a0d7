"""What a threshold and a probability mean where COVID-19 is rarer, against numbers by hand."""

import numpy as np
import pytest

from covid_cxr.errors import ConfigError
from covid_cxr.evaluation import TargetPrevalence, check_prevalence
from covid_cxr.evaluation.target_prevalence import at_target_prevalence
from covid_cxr.results import Estimate
from covid_cxr.results.clinical_use import MovedProbability
from unit.evaluation.test_clinical_use import BOOTSTRAP, TRUE, with_scores

# Sensitivity and specificity of TRUE are 3 / 4 at 0.6.
FOUND = at_target_prevalence(TRUE, 0.6, TargetPrevalence(0.05, 0.5), BOOTSTRAP)


def test_a_thousand_images_by_hand():
    text = {name: score.value for name, score in FOUND.per_1000}
    assert text == {
        "true_positives": 37.5,
        "false_negatives": 12.5,
        "false_positives": 237.5,
        "true_negatives": 712.5,
    }
    assert FOUND.ppv.value == pytest.approx(37.5 / (37.5 + 237.5), abs=1e-6)
    assert FOUND.npv.value == pytest.approx(712.5 / (712.5 + 12.5), abs=1e-6)
    missed, se = FOUND.per_1000.false_negatives, FOUND.sensitivity
    assert missed.low == pytest.approx(50 * (1 - se.high), abs=1e-3)
    assert missed.high == pytest.approx(50 * (1 - se.low), abs=1e-3)
    for name in ("ppv", "npv"):
        assert getattr(FOUND, name).low < getattr(FOUND, name).value < getattr(FOUND, name).high


def test_odds_are_multiplied_by_the_ratio_of_prior_odds():
    displayed = {each.probability: each.at_target for each in FOUND.probabilities}
    assert FOUND.odds_factor == pytest.approx(1 / 19, abs=1e-6)
    assert displayed[0.5] == pytest.approx(0.05)  # even odds become those of the place
    assert displayed[0.9] == pytest.approx((9 / 19) / (1 + 9 / 19), abs=1e-6)
    assert FOUND.threshold_at_target == displayed[0.6] == pytest.approx(1.5 / (1.5 + 19), abs=1e-6)
    assert list(displayed) == sorted(displayed)
    # from 20 % to 50 % the odds grow fourfold
    more = at_target_prevalence(TRUE, 0.5, TargetPrevalence(0.5, 0.2), BOOTSTRAP)
    assert more.odds_factor == pytest.approx(4)
    assert more.probabilities[4] == MovedProbability(probability=0.5, at_target=0.8)


def test_a_place_like_home_changes_nothing():
    same = at_target_prevalence(TRUE, 0.6, TargetPrevalence(0.3, 0.3), BOOTSTRAP)
    assert all(each.at_target == pytest.approx(each.probability) for each in same.probabilities)


def test_the_move_is_tried_on_the_cases_themselves():
    """Right at a share of 1 / 2; where 1 in 5 is ill, the forecasts are wrong until moved."""
    positives, negatives = (
        [0.25] * 4 + [0.75] * 12,
        [0.25] * 48 + [0.75] * 16,
    )  # a fourth as many events
    rare = with_scores([1] * 16 + [0] * 64, positives + negatives)
    found = at_target_prevalence(rare, 0.5, TargetPrevalence(0.01, 0.5), BOOTSTRAP).in_the_large
    assert found.value == pytest.approx(0, abs=1e-4)
    assert found.low < 0 < found.high
    wrong = at_target_prevalence(rare, 0.5, TargetPrevalence(0.01, 0.2), BOOTSTRAP).in_the_large
    assert wrong.value == pytest.approx(-np.log(4), abs=1e-4)


def test_what_is_undefined_is_none():
    alone = with_scores([1, 1], [0.1, 0.9])
    one = at_target_prevalence(alone, 0.5, TargetPrevalence(0.1, 1.0), BOOTSTRAP)
    assert one.specificity.value is None and one.ppv.value is None
    assert one.per_1000.false_positives == Estimate(value=None)
    assert one.per_1000.true_positives.value == 50
    assert one.odds_factor is None and one.in_the_large is None
    assert {each.at_target for each in one.probabilities} == {None}
    nobody = TRUE.where(np.zeros(8, dtype=bool))
    assert at_target_prevalence(nobody, 0.5, TargetPrevalence(0.1, 0.5), BOOTSTRAP) is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 5.0, float("nan"), float("inf")])
def test_a_share_that_no_place_has_is_rejected(share):
    with pytest.raises(ConfigError, match=r"--prevalence is .*, expected a share over 0"):
        check_prevalence(share)


def test_no_share_and_a_possible_one_are_taken():
    check_prevalence(None)
    check_prevalence(0.001)
