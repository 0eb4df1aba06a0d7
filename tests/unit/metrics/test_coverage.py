"""Intervals hold the truth as often as they say: simulated patients, binormal truth."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri

from covid_cxr import metrics

COHORTS = 500
# Nominal 95 %: with 500 cohorts the standard error of the share is 1 %, so 93 to 97 is two.
HELD = (0.93, 0.97)


def cohort(rng, events, others, area):
    """Patients with one to three images that resemble each other (correlation a half)."""
    y = np.repeat([1, 0], [events, others])
    index = np.repeat(np.arange(y.size), rng.integers(1, 4, y.size))
    similar = rng.normal(0, 1, y.size)[index]
    z = np.sqrt(2) * ndtri(area) * y[index] + np.sqrt(0.5) * (
        similar + rng.normal(0, 1, index.size)
    )
    return y[index], ndtr(z / 2), index


def held(interval_of, events, others, area, seed):
    rng = np.random.default_rng(seed)
    inside = 0
    for _ in range(COHORTS):
        low, high = interval_of(*cohort(rng, events, others, area))
        inside += low <= area <= high
    return inside / COHORTS


def delong(y, p, patients):
    found = metrics.clustered_auroc(y, p, patients)
    return found.low, found.high


def bootstrap(y, p, patients):
    found = metrics.Bootstrap(150).intervals(
        lambda w: metrics.binary_scores(y, p, 0.5, w),
        patients,
        support=metrics.binary_support(y, p, 0.5, patients),
    )["auroc"]
    return found.low, found.high


SETTINGS = [(40, 60, 0.85), (25, 75, 0.9)]


@pytest.mark.parametrize(("events", "others", "area"), [*SETTINGS, (50, 50, 0.95)])
def test_clustered_delong(events, others, area):
    assert HELD[0] <= held(delong, events, others, area, seed=11) <= HELD[1]


@pytest.mark.slow
@pytest.mark.parametrize(("events", "others", "area"), SETTINGS)
def test_bootstrap_of_patients(events, others, area):
    assert HELD[0] <= held(bootstrap, events, others, area, seed=11) <= HELD[1]


def test_images_taken_for_patients_hold_too_seldom():
    by_image = held(lambda y, p, _: delong(y, p, np.arange(y.size)), 40, 60, 0.85, seed=11)
    assert by_image < 0.91


@pytest.mark.slow
def test_differences_of_two_models_of_the_same_patients():
    rng = np.random.default_rng(12)
    inside = {"delong": 0, "bootstrap": 0}
    rejected = 0
    for _ in range(300):
        y, a, patients = cohort(rng, 40, 60, 0.85)
        # As good as the first, and alike: the same patients' luck, other noise of an image.
        b = ndtr(ndtri(a) + 0.3 * rng.normal(0, 1, y.size))
        a = ndtr(ndtri(a) + 0.3 * rng.normal(0, 1, y.size))
        found = metrics.clustered_difference(y, a, b, patients)
        inside["delong"] += found.low <= 0 <= found.high
        rejected += found.p < 0.05
        pair = (
            metrics.Bootstrap(150)
            .paired_intervals(
                lambda w, y=y, a=a: metrics.binary_scores(y, a, 0.5, w),
                lambda w, y=y, b=b: metrics.binary_scores(y, b, 0.5, w),
                patients,
            )["auroc"]
            .difference
        )
        inside["bootstrap"] += pair.low <= 0 <= pair.high
    for name, count in inside.items():
        assert 0.92 <= count / 300 <= 0.98, name
    assert rejected == 300 - inside["delong"]


@pytest.mark.parametrize(("trials", "share"), [(10, 0.8), (25, 0.5), (60, 0.97)])
def test_clopper_pearson_is_exact(trials, share):
    """Summed over all outcomes, not drawn: never under 95 %, and each tail at most 2.5 %."""
    count = np.arange(trials + 1)
    probability = stats.binom.pmf(count, trials, share)
    ends = np.array([metrics.clopper_pearson(k, trials) for k in count])
    assert probability[(ends[:, 0] <= share) & (share <= ends[:, 1])].sum() >= 0.95
    assert probability[ends[:, 0] > share].sum() <= 0.025
    assert probability[ends[:, 1] < share].sum() <= 0.025
    # The ends are those at which the outcome has a tail of exactly 2.5 %.
    k = trials // 3
    assert stats.binom.sf(k - 1, trials, ends[k, 0]) == pytest.approx(0.025)
    assert stats.binom.cdf(k, trials, ends[k, 1]) == pytest.approx(0.025)
