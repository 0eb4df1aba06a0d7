"""Temperature and reliability."""

import numpy as np
import pytest

from covid_cxr import metrics


def test_temperature_by_hand():
    # Logits (1, 0) for all of four cases, three of class 0. Platt's targets for class 0 are 4/5
    # three times and 1/3 once, on mean 41/60, whose log odds ln(41/19) the difference must become.
    logits = np.tile([1.0, 0.0], (4, 1))
    by_hand = 1 / np.log(41 / 19)
    assert metrics.fit_temperature(logits, [0, 0, 0, 1]) == pytest.approx(by_hand, rel=1e-4)


def test_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    labels = (metrics.softmax(logits).cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1)
    assert metrics.fit_temperature(logits, labels) == pytest.approx(1, abs=0.06)
    assert metrics.fit_temperature(5 * logits, labels) == pytest.approx(5, abs=0.3)


def test_cases_without_weight_do_not_cool_a_model():
    # One source's films are told apart for certain, the other's are wrong one time in four.
    sure, unsure = [[1.0, 0.0], [0.0, 1.0]] * 50, [[2.0, 0.0], [0.0, 2.0]] * 50
    labels = [0, 1] * 50 + [0, 1, 0, 0, 0, 1, 1, 1] * 12 + [0, 1] * 2
    weights = [0.0] * 100 + [2.0] * 100
    found = metrics.fit_temperature([*sure, *unsure], labels, weights)
    assert found == pytest.approx(metrics.fit_temperature(unsure, labels[100:]), abs=1e-4)
    assert found > metrics.fit_temperature([*sure, *unsure], labels) > 0


def test_two_separated_cases_do_not_make_a_model_certain():
    # One case a class: the target is 2/3, log odds ln 2, from a difference of 6.
    logits = np.array([[3.0, -3.0], [-3.0, 3.0]])
    assert metrics.fit_temperature(logits, [0, 1]) == pytest.approx(6 / np.log(2), rel=1e-4)


def test_temperature_is_bounded():
    logits = np.array([[3.0, -3.0], [-3.0, 3.0]])
    assert metrics.fit_temperature(logits, [1, 0]) == pytest.approx(20, rel=1e-3)
    assert metrics.fit_temperature(logits / 1e4, [0, 1]) == pytest.approx(0.05, rel=1e-3)


def test_softmax_by_hand_and_at_extremes():
    assert metrics.softmax([[np.log(3), 0]])[0] == pytest.approx([0.75, 0.25])
    assert metrics.softmax([[np.log(9), 0]], temperature=2)[0] == pytest.approx([0.75, 0.25])
    assert metrics.softmax([[1e4, -1e4]])[0].tolist() == [1, 0]


def test_reliability_bins_by_hand():
    bins = metrics.reliability([0, 1, 1, 1, 1], [0.02, 0.08, 0.55, 0.95, 1.0])
    assert bins.forecast == pytest.approx([0.05, 0.55, 0.975])
    assert bins.observed.tolist() == [0.5, 1, 1]
    assert bins.cases.tolist() == [2, 1, 2]
