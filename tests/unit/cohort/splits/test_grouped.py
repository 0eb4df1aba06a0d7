import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.cohort.splits.grouped import assign, components, grouped_folds
from covid_cxr.cohort.splits.leakage import find_leaks
from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError

CONFIG = CohortConfig()


def table(patients: list[str], **columns: list[str]) -> pd.DataFrame:
    n = len(patients)
    plain = {
        "image_id": [f"i{number:04}" for number in range(n)],
        "source": ["s"] * n,
        "patient_id": patients,
        "finding": ["normal"] * n,
        "sha256": [f"{number:064x}" for number in range(n)],
        "duplicate_group": [""] * n,
        "exclusion": [""] * n,
    }
    return pd.DataFrame(plain | columns)


@st.composite
def cohorts(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(1, 60))
    column = {
        "patient_id": st.sampled_from([f"p{number}" for number in range(40)]),
        "source": st.sampled_from(["a", "b", "c"]),
        "finding": st.sampled_from(["normal", "pneumonia", "covid-19"]),
        "sha256": st.sampled_from(["", "", *(f"{number:064x}" for number in range(200))]),
        "exclusion": st.sampled_from(["", "", "label unknown"]),
    }
    synthetic = {
        name: draw(st.lists(what, min_size=n, max_size=n)) for name, what in column.items()
    }
    return table(synthetic.pop("patient_id"), **synthetic)


def test_duplicates_chain_patients_together():
    cohort = table(["p", "p", "q", "r", "s"], sha256=["1", "2", "2", "3", ""])
    groups = components(cohort)
    assert groups[0] == groups[1] == groups[2]
    assert len({groups[2], groups[3], groups[4]}) == 3


def test_empty_hash_connects_nothing():
    assert components(table(["p", "q"], sha256=["", ""])).nunique() == 2


@settings(max_examples=60, deadline=None)
@given(cohort=cohorts(), seed=st.integers(0, 99))
def test_no_component_crosses_and_row_order_plays_no_part(cohort: pd.DataFrame, seed: int):
    split = assign(cohort, CONFIG, seed)
    cohort["split"] = split
    assert find_leaks(cohort) == []
    assert set(split[cohort["exclusion"] == ""]) <= {"train", "val", "test"}
    assert set(split[cohort["exclusion"] != ""]) <= {"excluded"}
    shuffled = cohort.sample(frac=1, random_state=seed)
    assert assign(shuffled, CONFIG, seed).sort_index().equals(split)


def test_row_order_of_many_patients_plays_no_part():
    cohort = table([f"p{number // 3}" for number in range(300)])
    shuffled = cohort.sample(frac=1, random_state=4)
    assert assign(shuffled, CONFIG, 1).sort_index().equals(assign(cohort, CONFIG, 1))


def test_shares_of_100_single_images_are_exact_in_every_stratum():
    cohort = table(
        [f"p{number}" for number in range(200)], finding=["normal"] * 100 + ["covid-19"] * 100
    )
    split = assign(cohort, CONFIG, seed=1)
    for half in (split[:100], split[100:]):
        assert half.value_counts().to_dict() == {"train": 72, "test": 20, "val": 8}


def test_patients_with_many_images_go_to_every_split():
    patients = [f"p{number // 5}" for number in range(500)]
    split = assign(table(patients), CONFIG, seed=1)
    assert split.value_counts().to_dict() == {"train": 360, "test": 100, "val": 40}


def test_seed_changes_the_split_and_another_source_does_not():
    cohort = table([f"p{number}" for number in range(50)])
    one = assign(cohort, CONFIG, seed=1)
    assert one.equals(assign(cohort, CONFIG, seed=1))
    assert not one.equals(assign(cohort, CONFIG, seed=2))
    other = table([f"q{number}" for number in range(30)], source=["t"] * 30).assign(
        image_id=[f"j{number}" for number in range(30)], sha256=""
    )
    both = pd.concat([other, cohort], ignore_index=True)
    assert assign(both, CONFIG, seed=1)[30:].tolist() == one.tolist()


def test_one_large_patient_and_50_others_still_give_the_shares():
    # Whenever the 50 images of one patient go to train first, the others can fill up the rest.
    patients = ["large"] * 50 + [f"p{number}" for number in range(50)]
    for seed in range(5):
        split = assign(table(patients), CONFIG, seed)
        assert split.value_counts().to_dict() == {"train": 72, "test": 20, "val": 8}


@pytest.mark.parametrize(
    ("patients", "counts"),
    [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [2, 0, 1]), (5, [4, 0, 1]), (10, [7, 1, 2])],
)
def test_small_strata_by_hand(patients: int, counts: list[int]):
    # Sainte-Lague: the next goes where (n + 1/2) / share is least; at first 0.69, 6.25, 2.5.
    for seed in range(5):
        split = assign(table([f"p{number}" for number in range(patients)]), CONFIG, seed)
        assert [(split == name).sum() for name in ("train", "val", "test")] == counts


def test_patient_with_two_findings_counts_as_the_worse():
    # Two patients with both and two with COVID-19 alone: one stratum of four, 3 / 0 / 1. Were
    # they two strata of two, all would be in train.
    findings = ["normal", "covid-19"] * 2 + ["covid-19"] * 4
    cohort = table([f"p{number // 2}" for number in range(8)], finding=findings)
    assert assign(cohort, CONFIG, seed=3).value_counts().to_dict() == {"train": 6, "test": 2}


def test_leftovers_of_small_strata_spread_over_the_folds():
    sources = [f"s{number}" for number in range(60)]
    cohort = table([f"p{number}" for number in range(60)], source=sources).assign(split="train")
    assert np.bincount(grouped_folds(cohort, 5, seed=1), minlength=5).min() >= 5


def test_external_source_stays_out():
    cohort = table(["p", "q", "r"], source=["s", "x", "x"], exclusion=["", "", "lateral view"])
    split = assign(cohort, CohortConfig(external=("x",)), seed=1)
    assert split.tolist() == ["train", "external", "excluded"]


def test_folds_are_even_whole_and_only_of_train_and_val():
    patients = [f"p{number // 2}" for number in range(120)]
    cohort = table(patients, finding=(["normal"] * 60 + ["covid-19"] * 60))
    cohort["split"] = ["train"] * 80 + ["val"] * 20 + ["test"] * 20
    folds = grouped_folds(cohort, 5, seed=1)
    assert folds.index.tolist() == list(range(100))
    assert np.bincount(folds[:60]).tolist() == [12] * 5
    assert np.bincount(folds[60:]).tolist() == [8] * 5
    assert folds.groupby(cohort["patient_id"]).nunique().max() == 1


@pytest.mark.parametrize("k", [1, 4])
def test_more_folds_than_patients_is_an_error(k: int):
    cohort = table(["p", "p", "q", "r"]).assign(split=["train", "train", "val", "train"])
    with pytest.raises(CohortError, match="expected 2 to 3 folds"):
        grouped_folds(cohort, k, seed=1)
