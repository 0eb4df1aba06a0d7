"""Runs compared: the same images, the same resamples, one truth; errors in one line."""

import numpy as np
import pytest

from covid_cxr import metrics
from covid_cxr.errors import InputError
from covid_cxr.evaluation.compare import compare
from covid_cxr.report.comparison_page import sentences
from support.compared_runs import cohort, make_run, noisy, two_runs


@pytest.fixture
def runs(tmp_path):
    return two_runs(tmp_path)


def test_numbers_are_those_of_the_metrics(runs):
    rows = cohort()
    truth, patients = rows["finding"] == "covid-19", rows["patient_id"]
    a, b = noisy(rows, 0.6, 1), noisy(rows, 3.0, 2)
    found = compare(runs)
    assert [run.name for run in found.runs] == ["a/run", "b/run"]
    assert (found.n_resamples, found.seed) == (150, 5)  # of the first run's configuration
    pooled = found.groups["pooled"]
    assert (pooled.n, pooled.patients, pooled.events) == (60, 30, 14)
    for name, scores, threshold in (("a/run", a, 0.4), ("b/run", b, 0.6)):
        plain = {k: v[0] for k, v in metrics.binary_scores(truth, scores, threshold).items()}
        for score in ("auroc", "sensitivity", "specificity", "brier"):
            assert pooled.runs[name].named()[score].value == pytest.approx(plain[score], abs=1e-6)
    gap = pooled.differences["b/run"]
    assert set(pooled.differences) == {"b/run"}
    expected = metrics.clustered_difference(truth, b, a, patients)
    assert gap.auroc_delong.model_dump() == pytest.approx(expected._asdict(), abs=1e-6)
    pair = metrics.Bootstrap(150, 5).paired_intervals(
        lambda w: metrics.binary_scores(truth, b, 0.6, w),
        lambda w: metrics.binary_scores(truth, a, 0.4, w),
        patients,
    )
    for score in ("auroc", "sensitivity", "specificity", "brier"):
        assert gap.named()[score].model_dump() == pytest.approx(
            pair[score].difference._asdict(), abs=1e-6
        )
    assert gap.auroc.high < 0
    assert "the AUROC of b/run is lower than that of a/run" in sentences(found)[0]


def test_inside_a_source_and_where_a_source_has_one_class(runs):
    groups = compare(runs).groups
    assert list(groups) == ["pooled", "inside mixed", "inside plain"]
    rows = cohort()
    inside = rows["source"] == "mixed"
    area = metrics.auroc(rows["finding"][inside] == "covid-19", noisy(rows, 3.0, 2)[inside])
    assert groups["inside mixed"].runs["b/run"].auroc.value == pytest.approx(area, abs=1e-6)
    plain = groups["inside plain"]
    assert plain.runs["a/run"].auroc.value is None
    assert plain.runs["a/run"].specificity.value is not None
    assert "Inside plain: one class only, so no AUROC to compare." in sentences(compare(runs))


def test_only_images_that_all_answered(tmp_path):
    rows = cohort()
    a = make_run(tmp_path / "a", rows, noisy(rows, 1, 1))
    status = np.where(np.arange(55) < 5, "abstained", "ok")
    fewer = rows.iloc[5:].reset_index(drop=True)
    b = make_run(tmp_path / "b", fewer, noisy(fewer, 1, 2), status=status)
    shuffled = rows.sample(frac=1, random_state=1).reset_index(drop=True)
    c = make_run(tmp_path / "c", shuffled, noisy(rows, 1, 1)[shuffled.index])
    found = compare([a, b, c])
    assert found.groups["pooled"].n == 50
    assert [run.images for run in found.runs] == [60, 55, 60]
    assert "2 runs were compared with a" in sentences(found)[-1]


def test_the_same_ranking_is_called_the_same(tmp_path):
    rows = cohort()
    a = make_run(tmp_path / "a", rows, noisy(rows, 1, 1))
    b = make_run(tmp_path / "b", rows, noisy(rows, 1, 1) ** 2)
    found = compare([a, b])
    assert sentences(found)[0] == "Pooled: b and a rank these images the same."
    gap = found.groups["pooled"].differences["b"]
    assert gap.auroc_delong.model_dump() == {"value": 0, "low": 0, "high": 0, "p": 1}
    assert gap.brier.value != 0


def test_the_order_of_rows_plays_no_part(tmp_path, runs):
    rows = cohort()
    order = np.random.default_rng(0).permutation(len(rows))
    turned = make_run(
        tmp_path / "c" / "run",
        rows.iloc[order].reset_index(drop=True),
        noisy(rows, 3.0, 2)[order],
        threshold=0.6,
    )
    one, two = compare(runs), compare([runs[0], turned])
    pair = (one.groups["pooled"].differences, two.groups["pooled"].differences)
    assert pair[0]["b/run"] == pair[1]["c/run"]


def test_each_fold_has_its_own_threshold(tmp_path):
    rows = cohort(split="train")
    first = noisy(rows, 1, 1)
    folds = np.where(np.arange(60) < 30, 0.2, 0.9)
    a = make_run(tmp_path / "a", rows, first, split="oof", threshold=folds)
    b = make_run(tmp_path / "b", rows, noisy(rows, 1, 2), split="oof")
    found = compare([a, b], "oof").groups["pooled"].runs["a"]
    truth = rows["finding"] == "covid-19"
    assert found.sensitivity.value == pytest.approx((first >= folds)[truth].mean(), abs=1e-6)


def test_what_cannot_be_compared_is_rejected_in_one_line(tmp_path, runs):
    rows = cohort()
    multi = make_run(tmp_path / "multi", rows, noisy(rows, 1, 1), task="multiclass")
    renamed = rows.assign(image_id=[f"other-{n}" for n in rows["image_id"]])
    apart = make_run(tmp_path / "apart", renamed, noisy(rows, 1, 1))
    turned = rows.assign(finding=["covid-19", *rows["finding"][1:-1], "covid-19"])
    truth = make_run(tmp_path / "truth", turned, noisy(rows, 1, 1))
    moved = rows.assign(patient_id=["p99", "p99", *rows["patient_id"][2:]])
    patient = make_run(tmp_path / "patient", moved, noisy(rows, 1, 1))
    validation = make_run(
        tmp_path / "val", rows.assign(split="val"), noisy(rows, 1, 1), split="val"
    )
    rejected = {
        "two run folders or more": runs[:1],
        "is named twice": [runs[0], runs[0]],
        "is binary and .* is multiclass": [runs[0], multi],
        "no image of split test in common": [runs[0], apart],
        "truth of image 'i059' is 'non-covid-19' in .* and 'covid-19'": [runs[0], truth],
        "patient of image 'i000' is 'p0' in .* and 'p99'": [runs[0], patient],
        r"has no predictions-test\.csv: choose --split val": [runs[0], validation],
        "is no run folder": [runs[0], tmp_path / "none"],
    }
    for message, paths in rejected.items():
        with pytest.raises(InputError, match=message) as caught:
            compare(paths)
        assert "\n" not in str(caught.value)
