"""The public sets, where they are at hand: those of the seed protocol, and all together."""

from pathlib import Path

import pandas as pd
import pytest

from covid_cxr.cohort.build import CohortResult, build, split_counts
from covid_cxr.cohort.dedup.resolution import overlap
from covid_cxr.cohort.splits.leakage import find_leaks
from covid_cxr.config import CohortConfig, DatasetConfig


@pytest.fixture(scope="module")
def result(real_data: Path) -> CohortResult:
    names = ("mila", "figure1", "nih")
    chosen = {name: DatasetConfig(adapter=name) for name in names}
    return build(real_data, CohortConfig(datasets=chosen), seed=2020)


def test_counts_are_those_of_the_tables(result: CohortResult):
    """Counted in the tables themselves, less the rows that the next test names.

    Mila: 319 frontal radiographs of COVID-19 less a child and 8 duplicates, 162 of other
    pneumonias less a duplicate. NIH: 336 and 366 adults less a duplicate.
    """
    counts = split_counts(result.cohort).set_index(["source", "finding"])["total"]
    assert counts["mila"].to_dict() == {"covid-19": 310, "normal": 13, "pneumonia": 161}
    assert counts["figure1"].to_dict() == {"covid-19": 24, "normal": 3, "pneumonia": 2}
    assert counts["nih"].to_dict() == {"normal": 335, "pneumonia": 366}


def test_what_is_left_out_says_why(result: CohortResult):
    why = result.cohort.groupby("source")["exclusion"].value_counts()
    assert why["mila"]["lateral view"] == 65
    assert why["mila"]["modality CT"] == 56
    assert why["mila"]["other finding"] == 10
    assert why["mila"]["label unknown"] == 3
    assert why["mila"]["younger than 18 years"] == 1
    assert why["mila"].filter(like="duplicate of").sum() == 9
    assert why["figure1"]["label unknown"] == 11
    assert why["nih"]["younger than 18 years"] == 64 + 19
    assert why["nih"]["duplicate of nih:00002658_001"] == 1


def test_shares_are_near_the_configured_ones(result: CohortResult):
    included = result.cohort[result.cohort["split"] != "excluded"]
    shares = included["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.72, abs=0.01)
    assert shares["val"] == pytest.approx(0.08, abs=0.01)
    assert shares["test"] == pytest.approx(0.20, abs=0.01)
    covid = included[included["finding"] == "covid-19"]
    assert pd.crosstab(covid["source"], covid["split"]).loc["mila", "test"] >= 50


@pytest.fixture(scope="module")
def everything(real_data: Path) -> CohortResult:
    return build(real_data, CohortConfig(), seed=2020, processes=2)


def test_copies_across_sources_are_found(everything: CohortResult):
    shared = overlap(everything.duplicates).set_index(["source", "other"])
    assert shared.loc[("covid-cxnet", "mila"), "images"] >= 150
    assert shared.loc[("figure1", "kaggle-covid19"), "groups"] >= 30


def test_everything_at_once_is_leak_free_and_keeps_one_copy_of_an_image(everything: CohortResult):
    cohort = everything.cohort
    assert find_leaks(cohort) == []
    included = cohort[cohort["split"] != "excluded"]
    near_copies = included[included["duplicate_group"] != ""]
    assert near_copies["duplicate_group"].is_unique
    assert "kaggle-covid19" not in set(included["source"])
