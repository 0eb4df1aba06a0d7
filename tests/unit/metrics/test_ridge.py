"""Ridge regression: equal to scikit-learn's on standardised features, and out of fold."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from covid_cxr.metrics.ridge import fit_ridge, out_of_fold_scores

RNG = np.random.default_rng(0)


def test_ridge_is_scikit_learns_on_standardised_features() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (40, 5)) * [1, 10, 0.1, 1, 1]
    targets, weights = np.eye(3)[rng.integers(0, 3, 40)], rng.uniform(0.5, 2, 40)
    slopes, bias = fit_ridge(features, targets, 0.7, weights)
    mean = np.average(features, axis=0, weights=weights)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights)) * np.sqrt(5)
    peer = Ridge(0.7).fit((features - mean) / spread, targets, sample_weight=weights)
    expected = peer.predict((features - mean) / spread)
    np.testing.assert_allclose(features @ slopes + bias, expected, atol=1e-10)


def test_out_of_fold_scores_are_those_of_ridge_regression() -> None:
    """Same weights as scikit-learn's, on features standardised by the training cases alone."""
    features = RNG.normal(size=(40, 6)) * [1, 5, 0.1, 1, 1, 1] + 3
    labels, folds = RNG.random(40) < 0.4, np.arange(40) % 4
    found = out_of_fold_scores(features.astype(np.float32), labels, folds)
    for fold in range(4):
        reference_values = folds != fold
        middle, deviation = (
            features[reference_values].mean(axis=0),
            features[reference_values].std(axis=0),
        )
        flat = (features - middle) / deviation / np.sqrt(6)
        signs = np.where(labels[reference_values], 1.0, -1.0)
        ridge = Ridge(alpha=1.0, fit_intercept=False).fit(
            flat[reference_values], signs - signs.mean()
        )
        assert found[~reference_values] == pytest.approx(
            ridge.predict(flat[~reference_values]), abs=1e-5
        )


def test_a_fold_never_sees_its_own_labels() -> None:
    features, folds = RNG.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    labels = RNG.random(30) < 0.5
    turned = np.where(folds == 1, ~labels, labels)
    before, after = (
        out_of_fold_scores(features, labels, folds),
        out_of_fold_scores(features, turned, folds),
    )
    assert before[folds == 1] == pytest.approx(after[folds == 1])
    assert not np.allclose(before[folds == 0], after[folds == 0])


def test_many_labels_at_once_are_each_by_itself() -> None:
    features, folds = RNG.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    labels = RNG.random((30, 4)) < 0.5
    together = out_of_fold_scores(features, labels, folds)
    assert together.shape == (30, 4)
    for column in range(4):
        assert together[:, column] == pytest.approx(
            out_of_fold_scores(features, labels[:, column], folds)
        )
