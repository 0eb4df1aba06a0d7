"""Net benefit, predictive values and a change of prevalence, by hand and as properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covid_cxr import metrics

LABELS = [1, 1, 0, 0, 0]
FORECAST = [0.9, 0.4, 0.6, 0.2, 0.1]


def test_net_benefit_by_hand():
    found = metrics.net_benefit(LABELS, FORECAST, [0, 0.2, 0.5, 0.9, 1])
    # Called at 0: all, 2/5. At 0.2 (on a case, which is called): 2 hits, 2 alarms at 1/4 each.
    # At 0.5: 1 hit, 1 alarm at 1. At 0.9: 1 hit, no alarm. At 1 no odds.
    assert found.model[0] == pytest.approx([2 / 5, 1.5 / 5, 0, 1 / 5, np.nan], nan_ok=True)
    # All treated: 2 hits, 3 alarms at 0, 1/4, 1 and 9.
    expected = [2 / 5, 1.25 / 5, -1 / 5, -25 / 5, np.nan]
    assert found.treat_all[0] == pytest.approx(expected, nan_ok=True)


def test_net_benefit_of_weights_is_that_of_repetitions():
    times = np.array([2, 0, 1, 3, 1])
    at = [0.05, 0.15, 0.5, 0.7]
    weighted = metrics.net_benefit(LABELS, FORECAST, at, times[None].astype(float))
    repeated = metrics.net_benefit(np.repeat(LABELS, times), np.repeat(FORECAST, times), at)
    assert weighted.model == pytest.approx(repeated.model)
    assert weighted.treat_all == pytest.approx(repeated.treat_all)


def test_no_cases_have_no_benefit():
    assert np.isnan(metrics.net_benefit([], [], [0.1, 0.5]).model).all()
    none = metrics.net_benefit([1, 0], [0.2, 0.1], [0.5], np.zeros((1, 2)))
    assert np.isnan(none.model).all() and np.isnan(none.treat_all).all()


def test_predictive_values_by_hand():
    # Of 1000, 100 ill: 90 called and 10 missed; of 900 others 180 called, 720 left alone.
    found = metrics.predictive_values(0.9, 0.8, 0.1)
    assert (float(found.ppv), float(found.npv)) == pytest.approx((90 / 270, 720 / 730))
    many = metrics.predictive_values(0.9, 0.8, [0.01, 0.1, 0.5])
    assert many.ppv == pytest.approx([9 / 207, 1 / 3, 9 / 11])


def test_predictive_values_that_do_not_exist():
    nobody = metrics.predictive_values(0, 1, 0.1)
    assert np.isnan(nobody.ppv) and nobody.npv == pytest.approx(0.9)
    everybody = metrics.predictive_values(1, 0, 0.1)
    assert np.isnan(everybody.npv) and everybody.ppv == pytest.approx(0.1)
    for bad in (-0.1, 1.1, np.nan):
        assert np.isnan(metrics.predictive_values(0.9, 0.8, bad)).all()
    assert np.isnan(metrics.predictive_values(np.nan, 0.8, 0.1).ppv)


def test_predictive_values_are_those_counted_at_the_cohorts_own_prevalence():
    scores = {k: v[0] for k, v in metrics.binary_scores(LABELS, FORECAST, 0.5).items()}
    found = metrics.predictive_values(scores["sensitivity"], scores["specificity"], 2 / 5)
    assert (found.ppv, found.npv) == pytest.approx((scores["ppv"], scores["npv"]))


def test_shift_of_prevalence_by_hand():
    # Odds 1 at prevalence 1/2 are odds 1/9 at 1/10; odds 3 at 1/5 are 3 * 4 at 1/2.
    assert metrics.shift_prevalence([0.5, 0, 1], 0.5, 0.1) == pytest.approx([0.1, 0, 1])
    assert metrics.shift_prevalence(0.75, 0.2, 0.5) == pytest.approx(12 / 13)
    assert np.isnan(metrics.shift_prevalence([0.5], 0, 0.5)).all()
    assert np.isnan(metrics.shift_prevalence([0.5], 0.5, 1.5)).all()
    assert metrics.shift_prevalence([0.2], 0.5, 0)[0] == 0


share = st.floats(0.01, 0.99)


@given(st.floats(0, 1), share, share, share)
def test_shifts_chain_and_undo(p, one, two, three):
    there = metrics.shift_prevalence(p, one, two)
    assert metrics.shift_prevalence(there, two, one) == pytest.approx(p, abs=1e-9)
    assert metrics.shift_prevalence(there, two, three) == pytest.approx(
        metrics.shift_prevalence(p, one, three), abs=1e-9
    )
