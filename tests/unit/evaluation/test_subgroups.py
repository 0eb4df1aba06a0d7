"""Which groups there are, which are small, and their scores in `evaluate`."""

import numpy as np
import pandas as pd
import pytest

from covid_cxr.evaluation import evaluate, join, subgroups
from covid_cxr.evaluation.confident_errors import most_confident
from covid_cxr.metrics import Bootstrap
from covid_cxr.report import formatting
from covid_cxr.results import Estimate
from covid_cxr.results.scores import Counts
from support import joined_tables as made
from support.results import scores


def measure(table, task="binary"):
    return evaluate(
        table,
        task=task,
        threshold=0.5,
        prevalence=made.prevalence(made.cohort(), task),
        bootstrap=Bootstrap(100, 1),
    )


def test_levels_are_those_of_the_cohort():
    table = pd.DataFrame(
        {
            "source": ["a", "a", "b"],
            "site": ["a", "ward", "west"],  # a site that is the source's own name is not stated
            "view": ["PA", "", None],
            "sex": ["", "", ""],
            "age": [17.0, 80.0, np.nan],
        }
    )
    columns = subgroups.group_columns(table)
    found = {key: column.astype(str).tolist() for key, column in columns.items()}
    assert found == {
        "per_source": ["a", "a", "b"],
        "per_site": ["not stated", "ward", "west"],
        "per_view": ["PA", "not stated", "not stated"],
        "per_age_band": ["<18", "80+", "not stated"],
    }
    assert set(subgroups.group_columns(table[["source", "view"]])) == {"per_source", "per_view"}


def test_many_sites_become_one_group():
    sizes = {f"s{n:02d}": 40 - n for n in range(30)}
    site = [name for name, size in sizes.items() for _ in range(size)]
    table = pd.DataFrame({"source": "a", "site": site})
    found = subgroups.group_columns(table)["per_site"].astype(str)
    assert found.nunique() == 26
    assert (found == "(5 other sites)").sum() == sum(40 - n for n in range(25, 30))


def test_every_group_is_measured_and_small_ones_are_marked():
    rows = made.cohort(200)
    found = measure(join(made.predictions(rows), rows))
    assert list(found.per_sex) == ["F", "M", "not stated"]
    assert list(found.per_age_band)[:2] == ["18-39", "40-59"]
    assert set(found.per_site) == {"north", "south"}
    for key in subgroups.GROUPS:
        assert sum(block.n for block in found.groups(key).values()) == 200
    # A block is what the rows would score alone.
    women = rows["sex"] == "F"
    alone = measure(join(made.predictions(rows)[women.to_numpy()], rows[women]))
    assert found.per_sex["F"].auroc == alone.pooled.auroc
    assert not found.per_source["mila"].is_small
    assert set(found.within) == {"per_source", "per_site", "per_view"}


@pytest.mark.parametrize(
    ("events", "n", "small"), [(9, 100, True), (10, 20, False), (91, 100, True)]
)
def test_small_is_under_ten_of_the_rarer_class(events, n, small):
    assert Counts(n=n, patients=n, events=events).is_small is small


def test_what_no_image_states_has_no_groups():
    rows = made.cohort(40).assign(sex="", view="")
    found = measure(join(made.predictions(rows), rows))
    assert found.per_sex == {} and found.per_view == {}


def test_multiclass_groups():
    rows = made.cohort(120)
    found = measure(join(made.predictions(rows, "multiclass"), rows), "multiclass")
    assert "auroc_pneumonia" in found.per_view["PA"].named()
    assert found.calibration.slope.value > 0
    assert found.constant_prior.multiclass.auroc_macro.value == 0.5


@pytest.mark.parametrize(
    ("key", "block", "words"),
    [
        ("auroc", {"n": 4, "events": 0}, "no COVID-19 here"),
        ("auroc", {"n": 4, "events": 4}, "COVID-19 only"),
        ("sensitivity", {"n": 4, "events": 0}, "no COVID-19 here"),
        ("specificity", {"n": 4, "events": 4}, "COVID-19 only"),
        ("ppv", {"n": 4, "events": 2}, "none called"),
        ("npv", {"n": 4, "events": 2}, "all called"),
        ("brier", {"n": 0, "events": 0}, "no image answered"),
    ],
)
def test_an_empty_score_says_why(key, block, words):
    assert formatting.why(key, scores(**block, **{key: Estimate(value=None)})) == words
    assert formatting.why(key, scores(**block)) == ""


def test_words():
    assert formatting.percent(None) == "–"
    assert [formatting.percent(x) for x in (0, 0.004, 0.01, 0.0123, 0.253, 1)] == [
        *("0 %", "0.4 %", "1 %", "1.2 %", "25 %", "100 %"),
    ]
    assert formatting.listed(["a"]) == "a" and formatting.listed(["a", "b", "c"]) == "a, b and c"
    assert (
        formatting.listed(list("abcd"), most=2) == "a, b and 2 more" and formatting.listed([]) == ""
    )
    assert formatting.number(-1.5) == "-1.500"


def test_the_surest_errors_come_first():
    rows = made.cohort(32)  # findings by fours: covid, covid, normal, pneumonia
    table = made.predictions(rows)
    p = np.full(32, 0.5)
    p[rows["finding"] == "covid-19"] = 0.9
    p[rows["finding"] != "covid-19"] = 0.1
    p[[0, 1, 2]] = [0.3, 0.2, 0.49]  # three missed
    p[[8, 9, 12]] = [0.6, 0.99, 0.5]  # three false alarms: the threshold itself is called
    table["probability_covid-19"], table["probability_non-covid-19"] = p, 1 - p
    found = most_confident(join(table, rows), "binary", 0.5, 4)
    assert found["probability"].tolist() == [0.2, 0.3, 0.99, 0.6]
    assert found["kind"].tolist() == ["missed", "missed", "false alarm", "false alarm"]
    assert found["finding"].tolist() == ["covid-19", "covid-19", "normal", "normal"]
    assert len(most_confident(join(table, rows), "binary", 0.5, 3)) == 3
    assert len(most_confident(join(table, rows), "binary", 0.5, 100)) == 6
    assert most_confident(join(table, rows), "binary", 0.5, 0).empty
