"""The view position as a classifier, by hand."""

import numpy as np
import pandas as pd
import pytest

from covid_cxr import metrics


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
