"""Bootstrap: whole patients, seeded, honest at the edges, fast and small."""

import time
import tracemalloc

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import special, stats

from covid_cxr import metrics
from covid_cxr.metrics import Bootstrap
from covid_cxr.metrics.intervals import standard_deviation_interval


def cohort(rng, with_disease, without, separation):
    """Patients with one to four images that resemble each other; true AUROC known by size."""
    y = np.repeat([1, 0], [with_disease, without])
    index = np.repeat(np.arange(y.size), rng.integers(1, 5, y.size))
    similar = rng.normal(0, 1, y.size)[index]
    z = separation * (y[index] - 0.5) + similar + rng.normal(0, 1, index.size)
    return y[index], 1 / (1 + np.exp(-z)), index


def scorer(y, p, threshold=0.5):
    return lambda weights: metrics.binary_scores(y, p, threshold, weights)


def test_resamples_take_whole_clusters():
    index = np.array([0, 0, 1, 2, 2, 2])
    weights = np.concatenate(list(Bootstrap(50, 1).weights(index)))
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()
    assert weights.std(axis=0).min() > 0


def test_same_as_scoring_the_resampled_rows_one_by_one():
    y, p, patients = cohort(np.random.default_rng(0), 15, 25, 2.0)
    areas = []
    for weights in Bootstrap(200, 7).weights(patients):
        for w in weights.astype(int):
            areas.append(reference.roc_auc_score(np.repeat(y, w), np.repeat(p, w)))
    found = Bootstrap(200, 7).intervals(scorer(y, p), patients)["auroc"]
    assert found.value == pytest.approx(reference.roc_auc_score(y, p))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])))


def test_seed_decides_and_cluster_names_do_not():
    y, p, patients = cohort(np.random.default_rng(0), 15, 25, 2.0)
    first = Bootstrap(100, 1).intervals(scorer(y, p), patients)
    again = Bootstrap(100, 1).intervals(scorer(y, p), [f"p{n:03}" for n in patients])
    other = Bootstrap(100, 2).intervals(scorer(y, p), patients)
    assert first == again
    assert first["auroc"].low != other["auroc"].low


def test_undefined_resamples_are_left_out_and_too_few_give_none():
    # One event among 40 patients: 1 - (39/40)^40 = 64 % of resamples hold it.
    labels, p = np.zeros(40), np.linspace(0, 0.4, 40)
    labels[30] = 1
    some = Bootstrap(400).intervals(scorer(labels, p), np.arange(40))["auroc"]
    assert np.isfinite([some.low, some.high]).all()
    # Defined in every third resample only.
    rare = lambda weights: {  # noqa: E731
        "x": np.where(np.arange(1 if weights is None else len(weights)) % 3 == 0, 0.5, np.nan)
    }
    few = Bootstrap(400).intervals(rare, np.arange(40))["x"]
    assert few.value == 0.5
    assert np.isnan([few.low, few.high]).all()


def test_perfect_scores_do_not_claim_certainty():
    labels = np.repeat([1, 0], [12, 30])
    p = np.where(labels == 1, 0.9, 0.1)
    patients = np.arange(42)
    plain = Bootstrap(100).intervals(scorer(labels, p), patients)
    assert plain["auroc"] == (1, 1, 1)  # what the fallback is for
    support = metrics.binary_support(labels, p, 0.5, patients)
    found = Bootstrap(100).intervals(scorer(labels, p), patients, support=support)
    for name, n in {"sensitivity": 12, "specificity": 30, "auroc": 12, "ppv": 12}.items():
        assert found[name] == pytest.approx((1, 0.025 ** (1 / n), 1)), name
    none_found = Bootstrap(100).intervals(scorer(labels, 1 - p), patients, support=support)
    assert none_found["sensitivity"] == pytest.approx((0, 0, 1 - 0.025 ** (1 / 12)))


def test_support_counts_patients_not_images():
    labels, p = np.array([1, 1, 1, 0, 0]), np.array([0.9, 0.8, 0.2, 0.7, 0.1])
    support = metrics.binary_support(labels, p, 0.5, ["a", "a", "b", "c", "c"])
    assert support == {
        "auroc": 1,
        "auprc": 1,
        "sensitivity": 2,
        "specificity": 1,
        "ppv": 2,  # a and c
        "npv": 2,  # b and c
        "f1": 3,
        "accuracy": 3,
    }


def test_one_patient_shows_no_variation():
    found = Bootstrap(100).intervals(scorer([1, 0], [0.7, 0.2]), ["a", "a"])
    assert all(np.isnan([entry.low, entry.high]).all() for entry in found.values())


def test_a_score_with_support_is_taken_on_the_logit_scale():
    y, p, patients = cohort(np.random.default_rng(3), 15, 40, 2.5)
    support = metrics.binary_support(y, p, 0.5, patients)
    plain = Bootstrap(300, 4).intervals(scorer(y, p), patients)
    found = Bootstrap(300, 4).intervals(scorer(y, p), patients, support=support)
    areas = np.concatenate([scorer(y, p)(w)["auroc"] for w in Bootstrap(300, 4).weights(patients)])
    area = found["auroc"].value
    reach = stats.t.ppf(0.975, 14) * areas.std() / (area * (1 - area))
    ends = special.expit(special.logit(area) + np.array([-reach, reach]))
    assert (found["auroc"].low, found["auroc"].high) == pytest.approx(tuple(ends))
    assert found["auroc"].low < plain["auroc"].low  # less sure downwards than the resamples alone
    assert found["brier"] == plain["brier"]


def test_a_pair_is_scored_on_the_same_resamples():
    rng = np.random.default_rng(6)
    y, p, patients = cohort(rng, 20, 30, 2.0)
    q = np.clip(p + rng.normal(0, 0.05, p.size), 0, 1)
    pair = Bootstrap(150, 3).paired_intervals(scorer(y, p), scorer(y, q), patients)
    assert pair["auroc"].first == Bootstrap(150, 3).intervals(scorer(y, p), patients)["auroc"]
    assert pair["auroc"].second == Bootstrap(150, 3).intervals(scorer(y, q), patients)["auroc"]
    gaps = np.concatenate(
        [
            scorer(y, p)(w)["auroc"] - scorer(y, q)(w)["auroc"]
            for w in Bootstrap(150, 3).weights(patients)
        ]
    )
    gap = pair["auroc"].difference
    assert gap.value == pytest.approx(metrics.auroc(y, p) - metrics.auroc(y, q))
    assert (gap.low, gap.high) == pytest.approx(tuple(np.quantile(gaps, [0.025, 0.975])))
    apart = pair["auroc"].first.high - pair["auroc"].first.low
    assert gap.high - gap.low < apart / 2  # what is hard is hard for both


def test_a_forecast_does_not_differ_from_itself():
    y, p, patients = cohort(np.random.default_rng(6), 10, 12, 2.0)
    pair = Bootstrap(100).paired_intervals(scorer(y, p), scorer(y, p), patients)
    assert {each.difference for each in pair.values()} == {(0.0, 0.0, 0.0)}
    none = Bootstrap(100).paired_intervals(scorer([], []), scorer([], []), [])
    assert np.isnan(none["auroc"].difference).all()


def test_no_cases():
    found = Bootstrap(100).intervals(scorer([], []), [])
    assert all(np.isnan(entry).all() for entry in found.values())


def test_clopper_pearson_by_hand():
    assert metrics.clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1))
    assert metrics.clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025**0.1))
    # Published table value for 5 of 10.
    assert metrics.clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert np.isnan(metrics.clopper_pearson(0, 0)).all()


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth = metrics.auroc(*cohort(rng, 30_000, 30_000, 2.5)[:2])
    patients_hold = images_hold = 0
    for seed in range(100):
        y, p, patients = cohort(rng, 40, 60, 2.5)
        by_patient = Bootstrap(200, seed).intervals(scorer(y, p), patients)["auroc"]
        by_image = Bootstrap(200, seed).intervals(scorer(y, p), np.arange(y.size))["auroc"]
        patients_hold += by_patient.low <= truth <= by_patient.high
        images_hold += by_image.low <= truth <= by_image.high
    assert patients_hold >= 89  # nominal 95, two standard errors and the small sample off
    assert images_hold < patients_hold


def large():
    rng = np.random.default_rng(0)
    y = rng.random(5000) < 0.2
    return y, np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0, 1), rng.integers(0, 3000, 5000)


def test_two_thousand_resamples_of_five_thousand_rows_take_under_two_seconds():
    y, p, patients = large()
    start = time.process_time()  # processor seconds: other work on the machine does not count
    Bootstrap(2000).intervals(scorer(y, p), patients)
    assert time.process_time() - start < 2


def test_memory_stays_bounded():
    y, p, patients = large()
    tracemalloc.start()
    Bootstrap(300).intervals(scorer(y, p), patients)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_roc_band_surrounds_the_curve():
    y, p, patients = cohort(np.random.default_rng(5), 40, 60, 2.0)
    band = metrics.roc_band(y, p, patients, bootstrap=Bootstrap(200, 1))
    curve = metrics.roc_curve(y, p)
    middle = np.interp(band.x, curve.x, curve.y)
    inside = (band.low - 1e-9 <= middle) & (middle <= band.high + 1e-9)
    assert band.x.size == 101 and inside.mean() > 0.95
    assert (band.high - band.low)[20] > 0.05


def test_quantiles_of_eleven_numbers():
    values = np.arange(11.0)[::-1]
    found = Bootstrap(500).quantiles(values, np.arange(11), {"median": 0.5, "most": 1.0})
    assert found["median"].value == 5
    assert 2 <= found["median"].low < found["median"].high <= 8
    assert found["most"].value == 10


def test_a_standard_deviation_has_the_textbook_interval():
    """Deviation 0.01 of 5: times sqrt(4 / 11.143) and sqrt(4 / 0.4844)."""
    areas = np.array([0.8, 0.81, 0.79, 0.81, 0.79])
    found = standard_deviation_interval(areas)
    assert found.value == pytest.approx(0.01)
    assert found.low == pytest.approx(0.01 * np.sqrt(4 / 11.1433), rel=1e-4)
    assert found.high == pytest.approx(0.01 * np.sqrt(4 / 0.484419), rel=1e-4)


def test_means_by_hand_leave_out_what_is_not_measured():
    values = np.array([[1.0, np.nan], [0.0, 4.0], [0.5, np.nan]])
    mean, other = Bootstrap(200).means(values, ["a", "a", "b"])
    assert mean.value == pytest.approx(0.5)
    # patients are drawn whole: a twice 0.5, b twice 0.5, both 0.5: no spread at all
    assert (mean.low, mean.high) == pytest.approx((0.5, 0.5))
    assert other.value == 4
    (spread,) = Bootstrap(500).means(np.array([[1.0], [1.0], [0.0]]), ["a", "a", "b"])
    assert spread.value == pytest.approx(2 / 3)
    assert (spread.low, spread.high) == (0, 1)
    never = np.zeros((12, 1))
    (point,) = Bootstrap(50).means(never, list("abcdefghijkl"))
    assert (point.low, point.high) == (0, 0)
    (proportion,) = Bootstrap(50).means(never, list("abcdefghijkl"), proportions=[0])
    assert (proportion.low, proportion.high) == pytest.approx((0, 1 - 0.025 ** (1 / 12)))
