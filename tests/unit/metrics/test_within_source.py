"""AUROC within sources: by hand, against scikit-learn, and on resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from covid_cxr.metrics import Bootstrap
from covid_cxr.metrics.within_source import (
    Ranking,
    auroc_interval,
    has_both_classes,
    paired_auroc,
    within_source_auroc,
)

RNG = np.random.default_rng(0)


def test_an_auroc_within_sources_by_hand() -> None:
    """Source 0: 2 of 2 pairs right; source 1: 1.5 of 4; across sources nothing counts."""
    events = np.array([1, 0, 0, 1, 1, 0, 0], bool)
    scores = np.array([3.0, 1, 2, 0, 5, 0, 9])
    source = np.array([0, 0, 0, 1, 1, 1, 1])
    assert within_source_auroc(events, scores, source)[0] == pytest.approx(3.5 / 6)


def test_a_score_that_is_the_source_is_worth_nothing_within() -> None:
    source = np.repeat([0, 1], 50)
    events = np.tile([True, False], 50)
    events[:40] = True
    ranking = Ranking(1.0 - source, source)
    assert within_source_auroc(events, *ranking)[0] == 0.5
    assert within_source_auroc(events, 1.0 - source)[0] > 0.7


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_with_one_source_it_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = np.append(rng.random(30) < 0.4, [True, False])
    scores = rng.integers(0, 8, 32).astype(float)
    found = within_source_auroc(events, scores)[0]
    assert found == pytest.approx(roc_auc_score(events, scores))


def test_weights_are_repetitions() -> None:
    events, scores = RNG.random(20) < 0.5, RNG.random(20)
    source, times = RNG.integers(0, 3, 20), RNG.integers(0, 4, (3, 20)).astype(float)
    weighted = within_source_auroc(events, scores, source, times)
    for row, found in zip(times.astype(int), weighted, strict=True):
        many = np.repeat(np.arange(20), row)
        repeated = within_source_auroc(events[many], scores[many], source[many])[0]
        assert found == pytest.approx(repeated, nan_ok=True)


def test_no_source_with_both_classes_is_undefined() -> None:
    source = np.array([0, 0, 1, 1])
    events = np.array([True, True, False, False])
    assert np.isnan(within_source_auroc(events, np.arange(4.0), source)[0])
    assert has_both_classes(events, source).tolist() == [False, False]


def test_differences_come_from_the_same_resamples() -> None:
    events, scores = np.tile([True, False], 40), RNG.random(80)
    a, b = Ranking(scores), Ranking(scores.copy())
    patients, bootstrap = np.arange(80), Bootstrap(200, 1)
    pair = paired_auroc(events, a, b, patients, bootstrap)
    assert pair.difference == (0.0, 0.0, 0.0)
    assert pair.first.low < pair.first.value < pair.first.high
    assert pair.first == pair.second == auroc_interval(events, a, patients, bootstrap)
