"""Clustered DeLong: a worked example, the plain form, brute force, and coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit, logit

from covid_cxr import metrics


def half_wins(event, other):
    return 1.0 if event > other else 0.5 if event == other else 0.0


def brute_variance(labels, columns, clusters):
    """Obuchowski's formulas term by term; columns a list of scores, combined as first - second."""
    y = np.asarray(labels, dtype=bool)
    m, n = int(y.sum()), int((~y).sum())
    names = sorted(set(clusters))
    x_sums, y_sums = np.zeros(len(names)), np.zeros(len(names))
    for polarity, scores in zip((1, -1), columns, strict=False):
        area = sum(half_wins(a, b) for a in scores[y] for b in scores[~y]) / m / n
        for target, name in enumerate(names):
            mine = np.array([c == name for c in clusters])
            for a in scores[mine & y]:
                x_sums[target] += polarity * (sum(half_wins(a, b) for b in scores[~y]) / n - area)
            for b in scores[mine & ~y]:
                y_sums[target] += polarity * (sum(half_wins(a, b) for a in scores[y]) / m - area)
    i10 = sum(any(y[k] for k in range(len(y)) if clusters[k] == c) for c in names)
    i01 = sum(any(not y[k] for k in range(len(y)) if clusters[k] == c) for c in names)
    i = len(names)
    s10 = i10 / ((i10 - 1) * m) * (x_sums**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (y_sums**2).sum()
    s11 = i / (i - 1) * (x_sums * y_sums).sum()
    return s10 / m + s01 / n + 2 * s11 / (m * n)


# Three patients: A with events 5 and 3, B with event 4 and non-event 2, C with non-events 3 and 1.
LABELS = [1, 1, 1, 0, 0, 0]
SCORES = [5, 3, 4, 2, 3, 1]
PATIENTS = ["A", "A", "B", "B", "C", "C"]


def test_a_worked_example_by_hand():
    # Events against 2, 3, 1: 5 wins 3; 3 wins 2.5 (a tie with 3); 4 wins 3.
    area = (3 + 2.5 + 3) / 9  # 17/18
    # V10: 1, 5/6, 1. V01 (share of events above): 2 -> 1, 3 -> 2.5/3 = 5/6, 1 -> 1.
    # Sums by cluster less their expectation:
    # A: 1 + 5/6 - 2 * 17/18 = -1/18; B: 1 - 17/18 = 1/18; C: no event, 0.
    # A: no non-event, 0; B: 1 - 17/18 = 1/18; C: 5/6 + 1 - 2 * 17/18 = -1/18.
    # S10 = I10 / ((I10 - 1) m) * sum of squares = 2 / (1 * 3) * 2/324 = 4/972
    # S01 = 2 / (1 * 3) * 2/324 = 4/972
    # S11 = I / (I - 1) * sum of products = 3/2 * (0 + 1/324 + 0) = 1/216
    s10, s01, s11 = 4 / 972, 4 / 972, 1 / 216
    variance = s10 / 3 + s01 / 3 + 2 * s11 / 9
    found = metrics.clustered_auroc(LABELS, SCORES, PATIENTS)
    assert found.value == pytest.approx(area)
    # Two clusters of the rarer class: Student's t with one degree of freedom, on the logit scale.
    reach = 12.706205 * np.sqrt(variance) / (area * (1 - area))
    expected = expit(logit(area) + np.array([-reach, reach]))
    assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-6)


def test_a_worked_difference_by_hand():
    other = [5, 1, 4, 2, 3, 1]  # the event of score 3 now has 1: wins 0, 0 and half
    # Area 6.5/9. V10: 1, 1/6, 1. V01: 2 -> 2/3, 3 -> 2/3, 1 -> 2.5/3.
    # Differences of sums: A: 5/6 - 1/6 - 2 * (17/18 - 13/18) = 2/3 - 4/9 = 2/9;
    # B events: 0 - 2/9; B others: 1 - 2/3 - 2/9 = 1/9; C others: (5/6 - 2/3) + (1 - 5/6) - 4/9.
    s10 = 2 / 3 * ((2 / 9) ** 2 + (2 / 9) ** 2)
    s01 = 2 / 3 * ((1 / 9) ** 2 + (1 / 9) ** 2)
    s11 = 3 / 2 * (-2 / 9 * 1 / 9)
    error = np.sqrt(s10 / 3 + s01 / 3 + 2 * s11 / 9)
    found = metrics.clustered_difference(LABELS, SCORES, other, PATIENTS)
    assert found.value == pytest.approx(2 / 9)
    assert found.high - found.value == pytest.approx(12.706205 * error, rel=1e-6)
    assert found.p == pytest.approx(2 * stats.t.sf(2 / 9 / error, 1))


def test_one_case_a_cluster_is_delong():
    rng = np.random.default_rng(0)
    y = rng.random(60) < 0.4
    a, b = np.round(rng.normal(0, 1, (2, 60)) + y, 1)
    x10 = np.array([[np.mean([half_wins(e, o) for o in s[~y]]) for e in s[y]] for s in (a, b)])
    v01 = np.array([[np.mean([half_wins(e, o) for e in s[y]]) for o in s[~y]] for s in (a, b)])
    covariance = np.cov(x10) / y.sum() + np.cov(v01) / (~y).sum()  # DeLong et al. 1988
    found = metrics.clustered_difference(y, a, b, np.arange(60))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    freedom = min(y.sum(), (~y).sum()) - 1
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found.high - found.low == pytest.approx(2 * reach)
    one = metrics.clustered_auroc(y, a, np.arange(60))
    wide = logit(one.high) - logit(one.value)
    area = one.value
    expected = stats.t.ppf(0.975, freedom) * np.sqrt(covariance[0, 0]) / area / (1 - area)
    assert wide == pytest.approx(expected)


rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4), st.integers(0, 5)),
    min_size=4,
    max_size=24,
)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_agrees_with_brute_force(rows):
    y, a, b, clusters = (np.array(column) for column in zip(*rows, strict=True))
    found = metrics.clustered_difference(y, a, b, clusters)
    alone = metrics.clustered_auroc(y, a, clusters)
    if not y.any() or y.all():
        assert np.isnan([*found, *alone]).all()
        return
    assert alone.value == pytest.approx(metrics.auroc(y, a))
    assert found.value == pytest.approx(metrics.auroc(y, a) - metrics.auroc(y, b))
    rarer = min(len(set(clusters[y])), len(set(clusters[~y])))
    if rarer < 2:
        assert np.isnan([found.low, found.high, found.p, alone.low, alone.high]).all()
        return
    variance = brute_variance(y, [a, b], clusters)
    t = stats.t.ppf(0.975, rarer - 1)
    # The square root of a variance that is 0 but for rounding shows only half its digits.
    expected = t * np.sqrt(max(variance, 0))
    assert found.high - found.value == pytest.approx(expected, rel=1e-6, abs=1e-5 * t)
    own = brute_variance(y, [a], clusters)
    if own > 1e-9 and 0 < alone.value < 1:
        reach = t * np.sqrt(own) / alone.value / (1 - alone.value)
        ends = expit(logit(alone.value) + np.array([-reach, reach]))
        assert (alone.low, alone.high) == pytest.approx(tuple(ends), abs=1e-9)


def test_a_perfect_ranking_does_not_claim_certainty():
    found = metrics.clustered_auroc([1] * 12 + [0] * 30, range(42, 0, -1), range(42))
    assert found == pytest.approx((1, 0.025 ** (1 / 12), 1))
    constant = metrics.clustered_auroc([1, 1, 0, 0], [0.3] * 4, range(4))
    assert constant == (0.5, 0.5, 0.5)


def test_equal_scores_do_not_differ():
    same = metrics.clustered_difference(LABELS, SCORES, np.exp(SCORES), PATIENTS)
    assert same == (0, 0, 0, 1)
    y = [1] * 6 + [0] * 6
    apart = metrics.clustered_difference(y, y, 1 - np.array(y), range(12))
    assert (apart.value, apart.p) == (1, 0)


def test_the_swap_turns_the_sign():
    rng = np.random.default_rng(2)
    y = rng.random(40) < 0.5
    a, b, patients = rng.normal(y, 1), rng.normal(y, 1), rng.integers(0, 25, 40)
    one = metrics.clustered_difference(y, a, b, patients)
    two = metrics.clustered_difference(y, b, a, patients)
    assert (one.value, one.low, one.high, one.p) == pytest.approx(
        (-two.value, -two.high, -two.low, two.p)
    )
