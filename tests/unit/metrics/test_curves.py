"""The band around a precision-recall curve."""

import numpy as np
import pytest

from covid_cxr.metrics import Bootstrap, precision_recall_band, precision_recall_curve


def test_a_perfect_ranking_has_no_band():
    found = precision_recall_band(
        [1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], list("abcd"), bootstrap=Bootstrap(50)
    )
    assert found.x[0] == pytest.approx(0.01) and found.x[-1] == 1
    assert (found.low == 1).all() and (found.high == 1).all()


def test_a_constant_score_has_the_share_of_events_at_every_recall():
    labels = np.arange(400) % 4 == 0
    found = precision_recall_band(
        labels, np.full(400, 0.5), np.arange(400), bootstrap=Bootstrap(400, 1)
    )
    # Binomial: 0.25 -+ 1.96 * sqrt(0.25 * 0.75 / 400)
    assert found.low == pytest.approx(0.25 - 0.0424, abs=0.01)
    assert found.high == pytest.approx(0.25 + 0.0424, abs=0.01)


def test_at_a_recall_stands_the_highest_threshold_that_reaches_it():
    """One patient only, so that every draw is the sample: the band is the curve by hand."""
    labels, scores = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    found = precision_recall_band(labels, scores, ["a"] * 4, bootstrap=Bootstrap(5))
    assert (found.low == found.high).all()
    assert (found.low[found.x <= 0.5] == 1).all()
    assert found.low[found.x > 0.5] == pytest.approx(2 / 3)


def test_the_curve_lies_within_its_band():
    rng = np.random.default_rng(0)
    labels = rng.random(300) < 0.3
    scores = rng.normal(labels, 1)
    band = precision_recall_band(labels, scores, np.arange(300), bootstrap=Bootstrap(300, 1))
    curve = precision_recall_curve(labels, scores)
    here = curve.y[np.searchsorted(curve.x, band.x)]
    assert ((band.low <= here) & (here <= band.high)).mean() > 0.97
