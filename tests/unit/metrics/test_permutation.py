"""Labels permuted among the patients of each source."""

import numpy as np
import pytest

from covid_cxr.metrics.permutation import permutation_p_value, permute_labels


def test_labels_are_permuted_among_patients_of_one_source() -> None:
    clusters = np.repeat(np.arange(40), 2)
    source = np.repeat([0, 1], 40)
    events = np.isin(clusters, [0, 1, 2, 3, 4, 30])
    found = permute_labels(events, clusters, source, 50, seed=3)
    assert (found.reshape(40, 2, 50).all(1) == found.reshape(40, 2, 50).any(1)).all()
    assert (found[source == 0].sum(axis=0) == 10).all()
    assert (found[source == 1].sum(axis=0) == 2).all()
    assert len(np.unique(found.T, axis=0)) > 40


def test_the_p_value_counts_the_true_value_too() -> None:
    permuted = np.array([0.5, 0.6, 0.7, np.nan])
    assert permutation_p_value(0.6, permuted) == pytest.approx(3 / 4)
    assert permutation_p_value(0.9, permuted) == pytest.approx(1 / 4)
    assert np.isnan(permutation_p_value(np.nan, permuted))
