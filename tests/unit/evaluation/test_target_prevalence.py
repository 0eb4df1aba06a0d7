"""What a threshold and a probability mean where COVID-19 is rarer, against numbers by hand."""

import numpy as np
import pytest

from covid_cxr.errors import ConfigError
from covid_cxr.evaluation import Place, check_prevalence
from covid_cxr.evaluation.target_prevalence import at_place
from unit.evaluation.test_operating_points import BOOTSTRAP, TRUE, answered

# Sensitivity and specificity of TRUE are 3 / 4 at 0.6.
FOUND = at_place(TRUE, 0.6, Place(0.05, 0.5), BOOTSTRAP)


def test_a_thousand_films_by_hand():
    told = {name: score["value"] for name, score in FOUND["per_1000"].items()}
    assert told == {
        "true_positives": 37.5,
        "false_negatives": 12.5,
        "false_positives": 237.5,
        "true_negatives": 712.5,
    }
    assert FOUND["ppv"]["value"] == pytest.approx(37.5 / (37.5 + 237.5), abs=1e-6)
    assert FOUND["npv"]["value"] == pytest.approx(712.5 / (712.5 + 12.5), abs=1e-6)
    missed, se = FOUND["per_1000"]["false_negatives"], FOUND["sensitivity"]
    assert missed["low"] == pytest.approx(50 * (1 - se["high"]), abs=1e-3)
    assert missed["high"] == pytest.approx(50 * (1 - se["low"]), abs=1e-3)
    for name in ("ppv", "npv"):
        assert FOUND[name]["low"] < FOUND[name]["value"] < FOUND[name]["high"]


def test_odds_are_multiplied_by_the_ratio_of_prior_odds():
    shown = {each["probability"]: each["there"] for each in FOUND["shown"]}
    assert FOUND["odds_times"] == pytest.approx(1 / 19, abs=1e-6)
    assert shown[0.5] == pytest.approx(0.05)  # even odds become those of the place
    assert shown[0.9] == pytest.approx((9 / 19) / (1 + 9 / 19), abs=1e-6)
    assert FOUND["threshold_there"] == shown[0.6] == pytest.approx(1.5 / (1.5 + 19), abs=1e-6)
    assert list(shown) == sorted(shown)
    # from 20 % to 50 % the odds grow fourfold
    more = at_place(TRUE, 0.5, Place(0.5, 0.2), BOOTSTRAP)
    assert more["odds_times"] == pytest.approx(4)
    assert more["shown"][4] == {"probability": 0.5, "there": 0.8}


def test_a_place_like_home_changes_nothing():
    same = at_place(TRUE, 0.6, Place(0.3, 0.3), BOOTSTRAP)
    assert all(each["there"] == pytest.approx(each["probability"]) for each in same["shown"])


def test_the_move_is_tried_on_the_cases_themselves():
    """Right at a share of 1 / 2; where 1 in 5 is ill, the forecasts are wrong until moved."""
    ill, well = [0.25] * 4 + [0.75] * 12, [0.25] * 48 + [0.75] * 16  # a fourth as many events
    rare = answered([1] * 16 + [0] * 64, ill + well)
    found = at_place(rare, 0.5, Place(0.01, 0.5), BOOTSTRAP)["in_the_large"]
    assert found["value"] == pytest.approx(0, abs=1e-4)
    assert found["low"] < 0 < found["high"]
    wrong = at_place(rare, 0.5, Place(0.01, 0.2), BOOTSTRAP)["in_the_large"]
    assert wrong["value"] == pytest.approx(-np.log(4), abs=1e-4)


def test_what_is_undefined_is_none():
    one = at_place(answered([1, 1], [0.1, 0.9]), 0.5, Place(0.1, 1.0), BOOTSTRAP)
    assert one["specificity"]["value"] is None and one["ppv"]["value"] is None
    assert one["per_1000"]["false_positives"] == {"value": None, "low": None, "high": None}
    assert one["per_1000"]["true_positives"]["value"] == 50
    assert one["odds_times"] is None and one["in_the_large"] is None
    assert {each["there"] for each in one["shown"]} == {None}
    nobody = TRUE.where(np.zeros(8, dtype=bool))
    assert at_place(nobody, 0.5, Place(0.1, 0.5), BOOTSTRAP) is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 5.0, float("nan"), float("inf")])
def test_a_share_that_no_place_has_is_refused(share):
    with pytest.raises(ConfigError, match=r"--prevalence is .*, expected a share over 0"):
        check_prevalence(share)


def test_no_share_and_a_possible_one_are_taken():
    check_prevalence(None)
    check_prevalence(0.001)
