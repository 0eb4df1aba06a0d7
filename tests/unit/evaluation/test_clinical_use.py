"""Calibration, thresholds, decision curve and scores within groups, against numbers by hand."""

import dataclasses

import numpy as np
import pytest

from covid_cxr.evaluation import cases, join
from covid_cxr.evaluation.clinical_use import (
    calibration,
    calibration_by_source,
    decision_curve,
    operating_points,
)
from covid_cxr.evaluation.predictions import Cases
from covid_cxr.evaluation.subgroups import auroc_within_groups
from covid_cxr.metrics import Bootstrap
from covid_cxr.results.clinical_use import ReliabilityBin
from support import joined_tables as made

BOOTSTRAP = Bootstrap(200, 1)


def with_scores(events, scores, patients=None, sources="one"):
    n = len(events)
    p = np.array(scores, dtype=float)
    return Cases(
        classes=("non-covid-19", "covid-19"),
        labels=np.array(events, dtype=np.intp),
        probabilities=np.stack([1 - p, p], axis=1),
        patients=np.array(patients or [f"p{i}" for i in range(n)], dtype=object),
        sources=np.array([sources] * n, dtype=object),
    )


# Forecasts of 0.25 and 0.75 that come true as often as they say.
TRUE = with_scores([1, 0, 0, 0, 1, 1, 1, 0], [0.25] * 4 + [0.75] * 4)


def test_forecasts_that_come_true_are_calibrated():
    found = calibration(TRUE, BOOTSTRAP)
    assert found.slope.value == pytest.approx(1, abs=1e-4)
    assert found.intercept.value == pytest.approx(0, abs=1e-4)
    assert found.ece.value == 0
    more = with_scores(TRUE.events.tolist() * 5, TRUE.scores.tolist() * 5)
    found_of_more = calibration(more, BOOTSTRAP)
    assert found_of_more.slope.low < 1 < found_of_more.slope.high
    assert found_of_more.intercept.low < 0 < found_of_more.intercept.high
    assert found.bins == (
        ReliabilityBin(forecast=0.25, observed=0.25, images=4),
        ReliabilityBin(forecast=0.75, observed=0.75, images=4),
    )


def test_decision_curve_by_hand():
    found = decision_curve(TRUE, BOOTSTRAP)
    at = found.threshold.index(0.5)
    assert found.model[at] == pytest.approx((3 - 1) / 8)  # 3 hits, 1 false alarm, odds 1
    assert found.treat_all[at] == 0
    at = found.threshold.index(0.2)  # all are called; the odds are a quarter
    assert found.model[at] == found.treat_all[at] == pytest.approx((4 - 4 / 4) / 8)
    assert found.low[at] <= found.model[at] <= found.high[at]
    at = found.threshold.index(0.9)  # none is called
    assert found.model[at] == 0
    assert found.treat_all[at] == pytest.approx((4 - 4 * 9) / 8)


def test_thresholds_and_predictive_values_by_hand():
    found = operating_points(TRUE, 0.6, BOOTSTRAP)
    assert [row.threshold for row in found] == [0.6, 0.1, 0.25, 0.5, 0.75, 0.9]
    assert [row.is_frozen for row in found] == [True, *[False] * 5]
    first = found[0]
    assert first.called == 0.5
    assert first.sensitivity.value == first.specificity.value == 0.75
    ten = next(at for at in first.at if at.prevalence == 0.1)
    assert ten.ppv.value == pytest.approx(0.1 * 0.75 / (0.1 * 0.75 + 0.9 * 0.25), abs=1e-6)
    assert ten.npv.value == pytest.approx(0.9 * 0.75 / (0.9 * 0.75 + 0.1 * 0.25), abs=1e-6)
    assert ten.ppv.low < ten.ppv.value < ten.ppv.high
    everyone, nobody = found[1], found[-1]
    assert everyone.at[0].npv.value is None  # nobody is called well
    assert nobody.at[0].ppv.value is None


def test_a_specificity_of_one_claims_no_certain_predictive_value():
    perfect = with_scores([1] * 6 + [0] * 6, [0.9] * 6 + [0.1] * 6)
    half = operating_points(perfect, 0.5, BOOTSTRAP)[0].at[-1]
    assert half.ppv.value == 1 and half.ppv.high == 1
    # Clopper and Pearson give 6 of 6 a lower end of 0.025 ** (1 / 6), for both.
    low = 0.025 ** (1 / 6)
    assert half.ppv.low == pytest.approx(low / (low + 1 - low), abs=1e-6)


def test_within_counts_pairs_of_one_group_only():
    chosen = with_scores([1, 1, 0, 1, 0, 0, 0], [0.9, 0.4, 0.6, 0.3, 0.1, 0.2, 0.99])
    groups = np.array(["a", "a", "a", "b", "b", "b", "none"])
    found = auroc_within_groups(chosen, groups, BOOTSTRAP)
    # a: 0.9 beats 0.6, 0.4 does not; b: 0.3 beats both; the group without COVID-19 has no pair.
    assert found.value == pytest.approx(3 / 4)
    assert (found.groups, found.pairs) == (2, 4)


def test_telling_groups_apart_is_worth_nothing_within_them():
    rows = made.cohort(200)
    rows = rows[(rows["source"] == "mila") | (rows["finding"] != "covid-19")]
    rows = rows.assign(source=np.where(rows["finding"] == "normal", "nih", rows["source"]))
    table = join(made.predictions(rows, gain=0), rows)
    table["probability_covid-19"] = np.where(table["source"] == "mila", 0.8, 0.2)
    chosen = cases(table, "binary")
    assert auroc_within_groups(chosen, chosen.sources.astype(str), BOOTSTRAP).value == 0.5


def test_one_class_or_one_group_has_none():
    alone = with_scores([1, 1], [0.1, 0.9])
    assert calibration(alone, BOOTSTRAP) is None
    assert decision_curve(alone, BOOTSTRAP) is None
    assert operating_points(alone, 0.5, BOOTSTRAP) == ()
    assert auroc_within_groups(TRUE, np.array(["a"] * 8, dtype=str), BOOTSTRAP) is None
    apart = np.array(["a" if event else "b" for event in TRUE.events])
    assert auroc_within_groups(TRUE, apart, BOOTSTRAP) is None


def test_calibration_is_told_source_by_source():
    """On the whole the forecasts come true; one source's are too high, the other's too low."""
    events = [1, 0, 0, 0] * 5 + [1, 1, 1, 0] * 5
    chosen = with_scores(events, [0.5] * 40)
    low_high = np.array(["a"] * 20 + ["b"] * 20, dtype=object)
    two = dataclasses.replace(chosen, sources=low_high)
    found = calibration_by_source(two, BOOTSTRAP)
    assert set(found) == {"a", "b"}
    assert calibration(two, BOOTSTRAP).intercept.value == pytest.approx(0, abs=1e-6)
    # shares of 1 / 4 and 3 / 4 where an even chance was forecast
    assert found["a"].intercept.value == pytest.approx(-np.log(3), abs=1e-5)
    assert found["b"].intercept.value == pytest.approx(np.log(3), abs=1e-5)
    assert found["a"].ece.value == pytest.approx((0.25**2 - 0.25 * 0.75 / 19) ** 0.5, abs=1e-6)
    assert (found["a"].n, found["a"].events, found["a"].patients) == (20, 5, 20)
    assert calibration_by_source(chosen, BOOTSTRAP) == {}
    apart = dataclasses.replace(chosen, sources=np.where(chosen.events, "a", "b").astype(object))
    assert calibration_by_source(apart, BOOTSTRAP) == {}


def test_a_prevalence_of_ones_own_is_another_column():
    rows = operating_points(TRUE, 0.6, BOOTSTRAP, prevalences=(0.003, 0.5))
    assert [at.prevalence for at in rows[0].at] == [0.003, 0.5]
    assert rows[0].at[0].ppv.value == pytest.approx(
        0.003 * 0.75 / (0.003 * 0.75 + 0.997 * 0.25), abs=1e-6
    )
