"""The operating point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr import metrics
from covid_cxr.errors import CohortError

LABELS = [0, 0, 1, 0, 1, 1]
SCORES = [0.1, 0.2, 0.3, 0.5, 0.6, 0.9]


def at(labels, scores, threshold):
    scores = metrics.binary_scores(labels, scores, threshold)
    return float(scores["sensitivity"][0]), float(scores["specificity"][0])


def test_youden_takes_the_more_sensitive_of_equals():
    # J at 0.25 is 1 + 2/3 - 1, at 0.55 it is 2/3 + 1 - 1: equal, the lower threshold wins.
    threshold = metrics.choose_threshold(LABELS, SCORES, "youden", 0.9)
    assert threshold == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("minimum", "expected"), [(0.6, 0.55), (0.7, 0.25), (1.0, 0.25), (0.3, 0.55)]
)
def test_sensitivity_rule_by_hand(minimum, expected):
    # At 0.3 the specificity 1 is reached by 0.55 (2 of 3) and 0.75 (1 of 3): the former wins.
    found = metrics.choose_threshold(LABELS, SCORES, "sensitivity", minimum)
    assert found == pytest.approx(expected)


def test_half_needs_no_data():
    assert metrics.choose_threshold([], [], "half", 0.9) == 0.5


def test_calling_everyone_lies_below_the_lowest_score():
    # Reversed scores: no cut is better than calling everyone.
    found = metrics.choose_threshold([1, 0], [0.2, 0.8], "youden", 0.9)
    assert found == pytest.approx(0.1)
    assert metrics.choose_threshold([1, 0], [0.4, 0.4], "youden", 0.9) == pytest.approx(0.2)


def test_neighbouring_floats_are_still_parted():
    low = 0.5
    high = float(np.nextafter(low, 1))
    threshold = metrics.choose_threshold([0, 1], [low, high], "youden", 0.9)
    assert at([0, 1], [low, high], threshold) == (1, 1)


@pytest.mark.parametrize("labels", [[], [1, 1], [0, 0]])
def test_one_class_is_an_error_that_says_what_to_do(labels):
    with pytest.raises(CohortError, match=r"has \d events and \d others.*threshold=half"):
        metrics.choose_threshold(labels, [0.5] * len(labels), "youden", 0.9)


both = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(both, st.sampled_from([0.5, 0.875, 1.0]))
@settings(max_examples=80, deadline=None)
def test_no_other_threshold_is_better(rows, minimum):
    labels, scores = np.array(rows).T
    scores = scores / 20
    tried = [at(labels, scores, t) for t in np.unique(scores)]
    sens, spec = at(labels, scores, metrics.choose_threshold(labels, scores, "youden", minimum))
    assert sens + spec >= max(a + b for a, b in tried) - 1e-9
    chosen = metrics.choose_threshold(labels, scores, "sensitivity", minimum)
    sens, spec = at(labels, scores, chosen)
    assert sens >= minimum
    assert spec == pytest.approx(max(b for a, b in tried if a >= minimum))
    assert chosen == 0 or chosen not in scores
