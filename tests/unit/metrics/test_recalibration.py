"""Calibration error without chance, slope and intercept, and the line that mends them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit

from covid_cxr import metrics
from covid_cxr.metrics.calibration import squared_error


def test_calibration_error_by_hand():
    # Two bins of three: forecasts 0.2 with 1 event of 3, and 0.8 with 3 of 3.
    labels, forecast = [1, 0, 0, 1, 1, 1], [0.2, 0.2, 0.2, 0.8, 0.8, 0.8]
    low = (0.2 - 1 / 3) ** 2 - (1 / 3) * (2 / 3) / 2
    high = (0.8 - 1) ** 2 - 0
    assert squared_error(labels, forecast, 2) == pytest.approx([(low + high) / 2])
    assert metrics.expected_calibration_error(labels, forecast, 2) == [0]  # chance explains all
    twice = metrics.expected_calibration_error(np.tile(labels, 40), np.tile(forecast, 40), 2)
    noise = (1 / 3) * (2 / 3) / 119
    expected = np.sqrt((2 / 15) ** 2 / 2 - noise / 2 + 0.04 / 2)
    assert twice == pytest.approx([expected])


def test_bins_hold_equal_numbers_and_ties_share_one():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 3, 400)  # crowded near 0, where bins of equal width would put nearly all
    labels = rng.random(400) < p
    one_by_one = [
        (p[part].mean() - labels[part].mean()) ** 2
        - labels[part].mean() * (1 - labels[part].mean()) / 99
        for part in np.array_split(np.argsort(p), 4)
    ]
    assert squared_error(labels, p, 4) == pytest.approx([np.mean(one_by_one)])
    # A constant forecast of 0.3 with 45 % events has one bin.
    constant = squared_error(np.arange(100) < 45, np.full(100, 0.3))
    assert constant == pytest.approx([0.15**2 - 0.45 * 0.55 / 99])


def test_perfect_forecasts_have_no_error_once_sampling_variance_is_subtracted():
    rng = np.random.default_rng(1)
    squares, plain, displayed = [], [], []
    for _ in range(400):
        p = rng.beta(1, 2, 300)
        labels = rng.random(300) < p
        squares.append(squared_error(labels, p)[0])
        plain.append(squared_error(labels, p, corrections=0)[0])
        displayed.append(metrics.expected_calibration_error(labels, p)[0])
    assert np.mean(plain) == pytest.approx(np.mean(p * (1 - p)) * 10 / 300, rel=0.25)
    standard_error = np.std(squares) / np.sqrt(400)
    assert abs(np.mean(squares)) < 3 * standard_error
    assert np.mean(displayed) < 0.35 * np.mean(np.sqrt(plain))


def test_a_real_error_is_found_in_full():
    rng = np.random.default_rng(2)
    found = []
    for _ in range(200):
        p = rng.uniform(0.1, 0.6, 400)
        found.append(squared_error(rng.random(400) < p + 0.2, p)[0])
    assert np.mean(found) == pytest.approx(0.04, abs=3 * np.std(found) / np.sqrt(200))


def test_calibration_error_without_cases():
    assert np.isnan(metrics.expected_calibration_error([], []))[0]
    assert np.isnan(metrics.expected_calibration_error([1], [0.4]))[0]
    nothing = metrics.expected_calibration_error([1, 0], [0.4, 0.3], weights=np.zeros((1, 2)))
    assert np.isnan(nothing)[0]


def test_line_of_two_groups_by_hand():
    # Forecast odds 1/4 and 4 (log-odds -ln 4, ln 4); observed odds 1/2 and 2: half the slope.
    labels = np.concatenate([[1] * 10 + [0] * 20, [1] * 20 + [0] * 10])
    forecast = np.repeat([0.2, 0.8], 30)
    found = metrics.calibration_line(labels, forecast)
    assert found.slope == pytest.approx(0.5)
    assert found.intercept == pytest.approx(0, abs=1e-9)
    # Odds of every forecast three times too high: the intercept is -ln 3, the slope stays.
    shifted = expit(logit(forecast) * 0.5 + np.log(3))
    found = metrics.calibration_line(labels, shifted)
    assert (found.slope, found.intercept) == pytest.approx((1, -np.log(3)))


def test_line_agrees_with_a_general_optimiser():
    rng = np.random.default_rng(3)
    p = rng.beta(1, 2, 120)
    labels = (rng.random(120) < expit(0.6 * logit(p) - 0.7)).astype(float)
    times = rng.integers(0, 3, (4, 120)).astype(float)
    found = metrics.calibration_scores(labels, p, times)
    x = logit(p)
    for draw, w in enumerate(times):

        def loss(beta, w=w):
            z = beta[0] + beta[1] * x
            return float(w @ (np.logaddexp(0, z) - labels * z))

        best = minimize(loss, [0, 1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert found["calibration_slope"][draw] == pytest.approx(best.x[1], abs=1e-5)
        fixed = minimize(lambda a, w=w: loss([a[0], 1], w), [0.0], method="BFGS")
        assert found["calibration_intercept"][draw] == pytest.approx(fixed.x[0], abs=1e-4)


def test_line_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(4)
    p = rng.beta(2, 2, 200)
    labels = rng.random(200) < p
    theirs = LogisticRegression(C=1e10, tol=1e-10).fit(logit(p)[:, None], labels)
    ours = metrics.calibration_line(labels, p)
    assert ours.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "forecast", "slope", "intercept"),
    [
        ([1, 1], [0.2, 0.9], False, False),  # one class
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], False, True),  # no mistake
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], False, True),  # nothing but mistakes
        ([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], False, True),  # separated but for a tie
        ([0, 1, 1], [0.3, 0.3, 0.3], False, True),  # all alike
        ([0, 1, 0, 1], [0.0, 0.2, 0.6, 1.0], True, True),  # certain forecasts
        ([], [], False, False),
    ],
)
def test_where_a_line_exists(labels, forecast, slope, intercept):
    found = metrics.calibration_line(labels, forecast)
    assert np.isfinite(found.slope) == slope
    assert np.isfinite(found.intercept) == intercept


cases = st.lists(
    st.tuples(st.booleans(), st.integers(1, 19), st.integers(0, 3)), min_size=3, max_size=20
)


@given(cases)
@settings(max_examples=100, deadline=None)
def test_a_weight_is_a_repetition(rows):
    y, p, times = (np.array(column) for column in zip(*rows, strict=True))
    p = p / 20
    weighted = metrics.calibration_scores(y, p, times[None].astype(float))
    repeated = metrics.calibration_line(np.repeat(y, times), np.repeat(p, times))
    slope, intercept = weighted["calibration_slope"][0], weighted["calibration_intercept"][0]
    assert (slope, intercept) == pytest.approx(tuple(repeated), rel=1e-5, abs=1e-7, nan_ok=True)
    if np.isfinite(slope) and abs(slope) < 50:  # the score equations hold
        fitted = np.log(p / (1 - p))
        shift = metrics.recalibration._fit(y.astype(float), fitted, times[None].astype(float))[0, 0]
        rest = times * (y - expit(shift + slope * fitted))
        assert [rest.sum(), (rest * fitted).sum()] == pytest.approx([0, 0], abs=1e-4)


def test_draws_of_the_bootstrap_lie_around_the_sample():
    rng = np.random.default_rng(5)
    p = rng.uniform(0.1, 0.6, 300)
    labels = rng.random(300) < p + 0.2
    found = metrics.Bootstrap(400).intervals(
        lambda w: metrics.calibration_scores(labels, p, w), np.arange(300)
    )
    for name in ("calibration_slope", "calibration_intercept", "ece"):
        score = found[name]
        assert score.low < score.value < score.high
        assert 0.5 < (score.high - score.value) / (score.value - score.low) < 2


def test_recalibration_mends_what_was_bent():
    rng = np.random.default_rng(6)
    true = rng.normal(-0.5, 1.5, 4000)
    labels = (rng.random(4000) < expit(true)).astype(int)
    bent = np.stack([np.zeros(4000), 2.5 * true - 1], axis=1)
    line = metrics.fit_recalibration(bent[:2000], labels[:2000], 1)
    assert line.slope == pytest.approx(0.4, abs=0.05)
    assert line.shift == pytest.approx(0.4, abs=0.12)
    mended = metrics.softmax(line.of(bent[2000:], 1))[:, 1]
    before = metrics.calibration_line(labels[2000:], expit(bent[2000:, 1]))
    after = metrics.calibration_line(labels[2000:], mended)
    assert before.slope < 0.5
    assert after.slope == pytest.approx(1, abs=0.15)
    assert after.intercept == pytest.approx(0, abs=0.15)


def test_recalibration_is_the_logistic_regression_of_softened_targets():
    rng = np.random.default_rng(7)
    z = rng.normal(0, 2, 80)
    labels = (rng.random(80) < expit(0.5 * z + 1)).astype(int)
    events = labels.sum()
    targets = np.where(labels == 1, (events + 1) / (events + 2), 1 / (80 - events + 2))
    expected = metrics.recalibration._fit(targets, z, np.ones((1, 80)))[0]
    logits = np.stack([np.full(80, 3.0), z + 3.0], axis=1)  # a row's constant plays no part
    line = metrics.fit_recalibration(logits, labels, 1)
    assert (line.shift, line.slope) == pytest.approx(tuple(expected), abs=1e-4)


def test_recalibration_of_three_classes():
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 1.5, (6000, 3))
    true = metrics.Recalibration(0.6, -0.8).of(logits, 2)
    labels = (metrics.softmax(true).cumsum(axis=1) < rng.random((6000, 1))).sum(axis=1)
    line = metrics.fit_recalibration(logits, labels, 2)
    assert line == pytest.approx((0.6, -0.8), abs=0.08)


def test_recalibration_of_separated_cases_is_not_certain():
    # Platt's targets 2/3 and 1/3: log-odds ln 2 at 3 and -ln 2 at -3.
    line = metrics.fit_recalibration([[0, 3], [0, -3]], [1, 0], 1)
    assert (line.slope, line.shift) == pytest.approx((np.log(2) / 3, 0), abs=1e-5)
    assert metrics.fit_recalibration([[0, 3], [0, -3]], [0, 1], 1).slope < 0
    assert np.isnan(metrics.fit_recalibration([[0, 1], [0, 1]], [1, 0], 1)).all()
