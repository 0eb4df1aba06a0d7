"""Covariates as predictors: the view by hand, a level out of fold and over random halves."""

import math

import numpy as np
import pandas as pd
import pytest

from covid_cxr import metrics
from covid_cxr.metrics import covariate_baseline
from covid_cxr.metrics.covariate_baseline import half_split_auroc, out_of_fold_prevalence


def test_ap_supine_is_ap_and_an_unknown_view_is_neither():
    ap, pa = metrics.projections(pd.Series(["AP", "AP Supine", "PA", "", None, np.nan]))
    assert ap.tolist() == [True, True, False, False, False, False]
    assert pa.tolist() == [False, False, True, False, False, False]


def test_the_view_alone_by_hand():
    events = [1, 1, 1, 0, 0, 0, 1]
    views = ["AP", "AP Supine", "PA", "PA", "PA", "AP", ""]
    found = metrics.view_alone(events, views, list("abcdefg"))
    # of 9 pairs, 2 * 2 are right, 2 + 1 tied (both AP, both PA twice): 4 + (2 + 2) / 2
    assert found.value == pytest.approx((4 + (2 + 2) / 2) / 9)
    assert found.low < found.value < found.high
    turned = metrics.view_alone(np.logical_not(events), views, list("abcdefg"))
    assert turned.value == pytest.approx(1 - found.value)  # the unknown view counts in neither


def test_one_view_tells_nothing_and_one_class_has_none():
    assert metrics.view_alone([1, 0, 0], ["PA"] * 3, [1, 2, 3]).value == 0.5
    assert np.isnan(metrics.view_alone([1, 1, 0], ["AP", "PA", ""], [1, 2, 3]).value)
    assert np.isnan(metrics.view_alone([], [], []).value)


def test_the_prevalence_of_a_level_is_known_from_other_folds_alone() -> None:
    """Fold 1 holds level 0 with 2 of 2 and level 1 with 0 of 1: p = 2 / 3."""
    level = np.array([0, 1, 2, 0, 0, 1])
    events = np.array([False, False, False, True, True, False])
    folds = np.array([0, 0, 0, 1, 1, 1])
    share = 2 / 3
    expected = [(2 + share) / 3, share / 2, share]
    assert out_of_fold_prevalence(level, events, folds)[:3] == pytest.approx(expected)


class TestHalfSplitAuroc:
    def test_a_column_that_tells_all_and_one_that_tells_nothing(self):
        event = np.arange(60) % 2 == 0
        patient = np.arange(60)
        assert half_split_auroc(event.astype(int), event, patient, seed=0) == 1
        assert half_split_auroc(np.zeros(60, dtype=int), event, patient, seed=0) == 0.5

    def test_is_not_optimistic_where_there_are_many_levels(self):
        # Learnt and scored on the same images, 300 levels of 600 would tell nearly all of them.
        rng = np.random.default_rng(0)
        areas = []
        for seed in range(10):
            level, event = rng.integers(300, size=600), rng.random(600) < 0.4
            areas.append(half_split_auroc(level, event, np.arange(600), seed))
        assert np.mean(areas) == pytest.approx(0.5, abs=0.02)
        share = np.bincount(level, event) / np.maximum(np.bincount(level), 1)
        assert metrics.auroc(event, share[level]) > 0.8

    def test_a_patient_does_not_tell_on_himself(self):
        # Each patient has a level of his own and ten images alike: only his own would tell.
        patient = np.repeat(np.arange(40), 10)
        event = patient % 2 == 0
        assert half_split_auroc(patient, event, patient, seed=0) == 0.5
        assert half_split_auroc(patient, event, np.arange(400), seed=0) == 1

    def test_equals_the_auroc_of_its_scores(self):
        rng = np.random.default_rng(2)
        counts, others = rng.integers(0, 9, (2, 12, 2))
        others[:6] = others[6:]  # ties among levels
        rows = np.repeat(np.arange(24), counts.ravel())
        scores = covariate_baseline._smoothed_prevalence(others)
        expected = metrics.auroc(rows % 2 == 1, scores[rows // 2])
        assert covariate_baseline._auroc_of_levels(counts, others) == pytest.approx(expected)

    def test_undefined_for_one_class(self):
        event = np.ones(10, dtype=bool)
        assert math.isnan(half_split_auroc(np.zeros(10, dtype=int), event, np.arange(10), 0))
