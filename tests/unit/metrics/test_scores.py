"""Scores: by hand, against scikit-learn, and as properties."""

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr import metrics
from covid_cxr.metrics.scores import cumulative_counts

LABELS = [1, 0, 1, 0]
SCORES = [0.9, 0.8, 0.8, 0.1]


def one(scores):
    return {name: float(value[0]) for name, value in scores.items()}


def test_four_cases_by_hand():
    # Pairs event > other: .9>.8, .9>.1, .8=.8 (half), .8>.1 -> 3.5 of 4.
    # Precision at .9 is 1 (recall 1/2), at .8 it is 2/3 (recall 1) -> (1 + 2/3) / 2.
    # At 0.5 three are called, two of them rightly; one of two others is left alone.
    expected = {
        "auroc": 3.5 / 4,
        "auprc": (1 + 2 / 3) / 2,
        "sensitivity": 1.0,
        "specificity": 0.5,
        "ppv": 2 / 3,
        "npv": 1.0,
        "f1": 0.8,
        "accuracy": 0.75,
        "brier": (0.01 + 0.64 + 0.04 + 0.01) / 4,
        "log_loss": -(np.log(0.9) + np.log(0.2) + np.log(0.8) + np.log(0.9)) / 4,
    }
    assert one(metrics.binary_scores(LABELS, SCORES, 0.5)) == pytest.approx(expected)


def test_a_score_on_the_threshold_is_called():
    scores = one(metrics.binary_scores(LABELS, SCORES, 0.8))
    assert (scores["sensitivity"], scores["specificity"]) == (1.0, 0.5)


def test_constant_prior_has_no_auroc_to_boast_of():
    # The micro-average over two columns gave this one 0.93.
    labels = np.repeat([0, 1], [1000, 76])
    constant = np.full(labels.size, 76 / 1076)
    assert metrics.auroc(labels, constant) == 0.5
    assert metrics.average_precision(labels, constant) == pytest.approx(76 / 1076)
    columns = np.stack([1 - constant, constant], axis=1)
    result = one(metrics.multiclass_scores(labels, columns, ["no", "yes"]))
    assert result["auroc_no"] == result["auroc_yes"] == result["auroc_macro"] == 0.5


@pytest.mark.parametrize(
    ("labels", "probabilities", "undefined"),
    [
        ([1, 1], [0.2, 0.9], {"auroc", "specificity"}),
        ([0, 0], [0.2, 0.9], {"auroc", "auprc", "sensitivity"}),
        ([1, 0], [0.2, 0.1], {"ppv"}),
        ([1, 0], [0.8, 0.9], {"npv"}),
        ([0, 0], [0.2, 0.1], {"auroc", "auprc", "sensitivity", "ppv", "f1"}),
        ([], [], set(one(metrics.binary_scores(LABELS, SCORES, 0.5)))),
    ],
)
def test_undefined_scores_are_nan_and_silent(labels, probabilities, undefined):
    scores = one(metrics.binary_scores(labels, probabilities, 0.5))
    assert {name for name, value in scores.items() if np.isnan(value)} == undefined


def test_certain_and_wrong_has_a_finite_log_loss():
    scores = one(metrics.binary_scores([1, 0], [0.0, 1.0], 0.5))
    assert scores["log_loss"] == pytest.approx(-np.log(np.finfo(float).eps), rel=1e-2)


def test_agrees_with_scikit_learn_weighted_and_tied():
    rng = np.random.default_rng(3)
    y = rng.random(400) < 0.3
    p = np.round(np.clip(rng.normal(0.3 + 0.3 * y, 0.25), 0, 1), 2)  # many ties, some 0 and 1
    weights = rng.integers(0, 4, size=(3, 400)).astype(float)
    ours = metrics.binary_scores(y, p, 0.45, weights)
    called = p >= 0.45
    for draw, w in enumerate(weights):
        theirs = {
            "auroc": reference.roc_auc_score(y, p, sample_weight=w),
            "auprc": reference.average_precision_score(y, p, sample_weight=w),
            "sensitivity": reference.recall_score(y, called, sample_weight=w),
            "specificity": reference.recall_score(~y, ~called, sample_weight=w),
            "ppv": reference.precision_score(y, called, sample_weight=w),
            "npv": reference.precision_score(~y, ~called, sample_weight=w),
            "f1": reference.f1_score(y, called, sample_weight=w),
            "accuracy": reference.accuracy_score(y, called, sample_weight=w),
            "brier": reference.brier_score_loss(y, p, sample_weight=w),
            "log_loss": reference.log_loss(y, p, sample_weight=w),
        }
        assert {name: value[draw] for name, value in ours.items()} == pytest.approx(theirs)


def test_multiclass_agrees_with_scikit_learn():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 300)
    p = rng.dirichlet([1, 1, 1], 300) + 0.7 * np.eye(3)[y]
    p /= p.sum(axis=1, keepdims=True)
    ours = one(metrics.multiclass_scores(y, p, ["a", "b", "c"]))
    truth = np.eye(3)[y]
    assert ours == pytest.approx(
        {
            **{f"auroc_{n}": reference.roc_auc_score(y == i, p[:, i]) for i, n in enumerate("abc")},
            **{
                f"auprc_{n}": reference.average_precision_score(y == i, p[:, i])
                for i, n in enumerate("abc")
            },
            "auroc_macro": reference.roc_auc_score(y, p, multi_class="ovr", average="macro"),
            "auprc_macro": reference.average_precision_score(truth, p, average="macro"),
            "multiclass_accuracy": reference.accuracy_score(y, p.argmax(axis=1)),
            "multiclass_brier": np.mean(((p - truth) ** 2).sum(axis=1)),
            "multiclass_log_loss": reference.log_loss(y, p),
        }
    )


def test_multiclass_by_hand_and_a_missing_class():
    p = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1]]
    scores = one(metrics.multiclass_scores([0, 1, 1], p, ["a", "b", "c"]))
    assert scores["multiclass_accuracy"] == pytest.approx(2 / 3)
    # (.16+.09+.01) + (.04+.25+.09) + (.25+.36+.01) = 1.26
    assert scores["multiclass_brier"] == pytest.approx(1.26 / 3)
    assert scores["multiclass_log_loss"] == pytest.approx(-np.log(0.6 * 0.5 * 0.4) / 3)
    assert np.isnan(scores["auroc_c"]) and np.isnan(scores["auroc_macro"])
    assert scores["auroc_b"] == 1.0


def test_confusion_matrix_rows_are_the_truth():
    found = metrics.confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


cases = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=25)


@given(cases, st.data())
@settings(max_examples=60, deadline=None)
def test_a_weight_is_a_repetition(rows, data):
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))))
    y, s = np.array(rows).T
    weighted = one(metrics.binary_scores(y, s / 6, 0.5, times[None].astype(float)))
    repeated = one(metrics.binary_scores(np.repeat(y, times), np.repeat(s, times) / 6, 0.5))
    assert weighted == pytest.approx(repeated, nan_ok=True)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_auroc_depends_on_order_only_and_mirrors(rows):
    y, s = np.array(rows).T
    area = metrics.auroc(y, s)
    assert metrics.auroc(y, np.exp(s)) == pytest.approx(area, nan_ok=True)
    assert metrics.auroc(y, -s) == pytest.approx(1 - area, nan_ok=True)
    curve = metrics.roc_curve(y, s)
    if curve.x.size:
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(area)
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


def test_curves_by_hand():
    distinct, true, false = cumulative_counts(LABELS, SCORES)
    assert distinct.tolist() == [0.9, 0.8, 0.1]
    assert (true.tolist(), false.tolist()) == ([[0, 1, 2, 2]], [[0, 0, 1, 2]])
    curve = metrics.precision_recall_curve(LABELS, SCORES)
    assert curve.x.tolist() == [0.5, 1, 1]
    assert curve.y.tolist() == pytest.approx([1, 2 / 3, 0.5])
    assert metrics.roc_curve([1, 1], [0.1, 0.2]).x.size == 0
    assert metrics.precision_recall_curve([0, 0], [0.1, 0.2]).x.size == 0
