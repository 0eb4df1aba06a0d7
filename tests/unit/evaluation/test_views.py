"""Scores with the view held fixed, by hand; a model that reads the view is found out."""

import numpy as np
import pytest

from covid_cxr.evaluation import join
from covid_cxr.evaluation.subgroups import by_view
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import verdict
from support import joined_tables as made
from support.results import changed
from unit.evaluation.test_measure import ROWS, measure, table

BOOTSTRAP = Bootstrap(100, 1)


def test_within_views_by_hand():
    rows = [
        ("mila", "1", "covid-19", "AP Supine", 0.9),
        ("mila", "2", "covid-19", "AP", 0.3),
        ("mila", "3", "normal", "AP", 0.5),
        ("mila", "4", "covid-19", "PA", 0.2),
        ("mila", "5", "normal", "PA", 0.1),
        ("mila", "6", "normal", "PA", 0.4),
        ("mila", "7", "normal", "", 0.99),  # no known view: in no score here
        ("mila", "8", "covid-19", "AP", None),  # not answered
    ]
    found = by_view(table(rows), "binary", BOOTSTRAP)
    counts = {name: getattr(found, name) for name in ("n", "events", "ap", "pa")}
    assert counts == {"n": 6, "events": 3, "ap": 3, "pa": 3}
    assert found.within_ap.value == 1 / 2
    assert found.within_pa.value == 1 / 2
    assert found.within.value == 1 / 2  # 1 of 2 pairs and 1 of 2
    assert (found.within.groups, found.within.pairs) == (2, 4)
    # of 9 pairs the view has 2 * 2 right and 2 + 2 tied
    assert found.view_alone.value == pytest.approx(6 / 9, abs=1e-6)
    # 0.9 beats three, 0.3 and 0.2 the 0.1: 5 of 9
    assert found.auroc.value == pytest.approx(5 / 9, abs=1e-6)


def test_pooled_and_every_source_hold_it():
    found = measure()
    assert found.pooled.views.n == 4
    assert found.per_source["nih"].views.view_alone.value is None
    assert found.per_source["lost"].views is None
    assert found.per_view["PA"].views is None
    many = made.metrics().splits["test"]  # AP Supine is not among its views
    for view in ("ap", "pa"):
        within = getattr(many.pooled.views, f"within_{view}")
        assert within == many.per_view[view.upper()].auroc
    unknown = measure([(*row[:3], "", row[4]) for row in ROWS])
    assert unknown.pooled.views is None and "per_view" not in unknown.within


def test_a_model_that_reads_the_view_scores_nothing_within_it():
    rows = made.cohort(200)
    positives = rows["finding"].eq("covid-19").to_numpy()
    bed = np.where(np.random.default_rng(0).random(200) < 0.8, positives, ~positives)
    rows = rows.assign(view=np.where(bed, "AP", "PA"))
    predicted = made.predictions(rows)
    predicted["probability_covid-19"] = np.where(bed, 0.9, 0.1)
    predicted["probability_non-covid-19"] = 1 - predicted["probability_covid-19"]
    found = by_view(join(predicted, rows), "binary", BOOTSTRAP)
    assert found.auroc.value == found.view_alone.value > 0.7
    assert found.within.value == found.within_ap.value == 0.5


def test_it_stands_beside_the_scores_inside_sources():
    text = " ".join(verdict(made.metrics()).sentences)
    assert text.count("the view position alone, AP or PA, scores 0.") == 3  # pooled, two sources
    reference_values = made.metrics()
    pooled = reference_values.splits["test"].pooled
    assert f"On the {pooled.views.n} images of a known view it is 0." in text
    every = changed(reference_values, "splits.test.pooled.views.n", pooled.n)
    assert "There, the view position alone" in " ".join(verdict(every).sentences)
    blind = changed(reference_values, "splits.test.pooled.views", None)
    for source in reference_values.splits["test"].per_source:
        blind = changed(blind, f"splits.test.per_source.{source}.views", None)
    assert "view position" not in " ".join(verdict(blind).sentences)
