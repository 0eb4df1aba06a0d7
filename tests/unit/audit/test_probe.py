"""AUROCs within origins, the cheap recipe, guesses from a column, shuffled labels: by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from covid_cxr.audit.checks.confounding import guesses
from covid_cxr.audit.checks.left_out import grouped
from covid_cxr.audit.checks.permutation import shuffled
from covid_cxr.audit.checks.stability import spread
from covid_cxr.audit.probe import Probe
from covid_cxr.metrics import Bootstrap
from covid_cxr.metrics.within_source import Ranking, auroc_within, aurocs, quantiles, two_classes

RNG = np.random.default_rng(0)


def test_an_auroc_within_origins_by_hand() -> None:
    """Origin 0: 2 of 2 pairs right; origin 1: 1.5 of 4; across origins nothing counts."""
    events = np.array([1, 0, 0, 1, 1, 0, 0], bool)
    scores = np.array([3.0, 1, 2, 0, 5, 0, 9])
    origin = np.array([0, 0, 0, 1, 1, 1, 1])
    assert auroc_within(events, Ranking(scores, origin))[0] == pytest.approx(3.5 / 6)


def test_a_score_that_is_the_origin_is_worth_nothing_within() -> None:
    origin = np.repeat([0, 1], 50)
    events = np.tile([True, False], 50)
    events[:40] = True
    ranking = Ranking(1.0 - origin, origin)
    assert auroc_within(events, ranking)[0] == 0.5
    assert auroc_within(events, Ranking(1.0 - origin))[0] > 0.7


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_with_one_origin_it_is_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = np.append(rng.random(30) < 0.4, [True, False])
    scores = rng.integers(0, 8, 32).astype(float)
    found = auroc_within(events, Ranking(scores))[0]
    assert found == pytest.approx(roc_auc_score(events, scores))


def test_weights_are_repetitions() -> None:
    events, scores = RNG.random(20) < 0.5, RNG.random(20)
    origin, times = RNG.integers(0, 3, 20), RNG.integers(0, 4, (3, 20)).astype(float)
    weighted = auroc_within(events, Ranking(scores, origin), times)
    for row, found in zip(times.astype(int), weighted, strict=True):
        many = np.repeat(np.arange(20), row)
        repeated = auroc_within(events[many], Ranking(scores[many], origin[many]))[0]
        assert found == pytest.approx(repeated, nan_ok=True)


def test_no_origin_with_both_classes_is_undefined() -> None:
    origin = np.array([0, 0, 1, 1])
    events = np.array([True, True, False, False])
    assert np.isnan(auroc_within(events, Ranking(np.arange(4.0), origin))[0])
    assert two_classes(events, origin).tolist() == [False, False]


def test_differences_come_from_the_same_resamples() -> None:
    events, scores = np.tile([True, False], 40), RNG.random(80)
    rankings = {"a": Ranking(scores), "b": Ranking(scores.copy())}
    found = aurocs(
        events, rankings, np.arange(80), bootstrap=Bootstrap(200, 1), differences={"d": ("a", "b")}
    )
    assert found["d"] == (0.0, 0.0, 0.0)
    assert found["a"].low < found["a"].value < found["a"].high


def test_quantiles_of_eleven_numbers() -> None:
    values = np.arange(11.0)[::-1]
    found = quantiles(values, np.arange(11), {"median": 0.5, "most": 1.0}, bootstrap=Bootstrap(500))
    assert found["median"].value == 5
    assert 2 <= found["median"].low < found["median"].high <= 8
    assert found["most"].value == 10


def test_the_cheap_recipe_is_ridge_regression() -> None:
    """Same weights as scikit-learn's, on features standardised by the training films alone."""
    features = RNG.normal(size=(40, 6)) * [1, 5, 0.1, 1, 1, 1] + 3
    labels, folds = RNG.random(40) < 0.4, np.arange(40) % 4
    found = Probe(features.astype(np.float32), folds).scores(labels)
    for fold in range(4):
        known = folds != fold
        middle, deviation = features[known].mean(axis=0), features[known].std(axis=0)
        flat = (features - middle) / deviation / np.sqrt(6)
        signs = np.where(labels[known], 1.0, -1.0)
        ridge = Ridge(alpha=1.0, fit_intercept=False).fit(flat[known], signs - signs.mean())
        assert found[~known] == pytest.approx(ridge.predict(flat[~known]), abs=1e-5)


def test_a_fold_never_sees_its_own_labels() -> None:
    features, folds = RNG.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    labels = RNG.random(30) < 0.5
    turned = np.where(folds == 1, ~labels, labels)
    probe = Probe(features, folds)
    before, after = probe.scores(labels), probe.scores(turned)
    assert before[folds == 1] == pytest.approx(after[folds == 1])
    assert not np.allclose(before[folds == 0], after[folds == 0])


def test_many_labels_at_once_are_each_by_itself() -> None:
    features, folds = RNG.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    labels = RNG.random((30, 4)) < 0.5
    probe = Probe(features, folds)
    together = probe.scores(labels)
    assert together.shape == (30, 4)
    for column in range(4):
        assert together[:, column] == pytest.approx(probe.scores(labels[:, column]))


def test_a_guesser_knows_the_level_from_other_folds_alone() -> None:
    """Fold 1 holds level 0 with 2 of 2 and level 1 with 0 of 1: p = 2 / 3."""
    level = np.array([0, 1, 2, 0, 0, 1])
    events = np.array([False, False, False, True, True, False])
    folds = np.array([0, 0, 0, 1, 1, 1])
    share = 2 / 3
    expected = [(2 + share) / 3, share / 2, share]
    assert guesses(level, events, folds)[:3] == pytest.approx(expected)


def test_labels_are_shuffled_among_patients_of_one_origin() -> None:
    clusters = np.repeat(np.arange(40), 2)
    origin = np.repeat([0, 1], 40)
    events = np.isin(clusters, [0, 1, 2, 3, 4, 30])
    found = shuffled(events, clusters, origin, 50, seed=3)
    assert (found.reshape(40, 2, 50).all(1) == found.reshape(40, 2, 50).any(1)).all()
    assert (found[origin == 0].sum(axis=0) == 10).all()
    assert (found[origin == 1].sum(axis=0) == 2).all()
    assert len(np.unique(found.T, axis=0)) > 40


def test_few_origins_are_left_out_one_by_one_and_many_in_five_groups() -> None:
    few = np.array(["b", "a", "b", "c"])
    assert grouped(few, 0).tolist() == [1, 0, 1, 2]
    many = np.repeat([f"s{i}" for i in range(20)], np.arange(1, 21))
    fold = grouped(many, 0)
    assert set(fold) == set(range(5))
    assert all(len(set(fold[many == name])) == 1 for name in np.unique(many))
    assert np.ptp(np.bincount(fold)) <= 4


def test_the_spread_of_seeds_has_the_textbook_interval() -> None:
    """Deviation 0.01 of 5: times sqrt(4 / 11.143) and sqrt(4 / 0.4844)."""
    areas = np.array([0.8, 0.81, 0.79, 0.81, 0.79])
    found = spread(areas)
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01 * np.sqrt(4 / 11.1433), rel=1e-4)
    assert found.high == pytest.approx(0.01 * np.sqrt(4 / 0.484419), rel=1e-4)
