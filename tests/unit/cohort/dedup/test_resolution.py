"""Which images are one image, which copy of it stays, and what sources share."""

import numpy as np
import pandas as pd
import pytest

from covid_cxr.cohort.dedup.fingerprint import fingerprint
from covid_cxr.cohort.dedup.resolution import (
    CONFLICT,
    duplicates_table,
    exclusions,
    group,
    overlap,
)
from covid_cxr.phantoms import draw


def cohort(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    plain: dict[str, list[object]] = {
        "image_id": [f"i{number}" for number in range(n)],
        "path": ["x.png"] * n,
        "source": ["s"] * n,
        "patient_id": ["p"] * n,
        "finding": ["normal"] * n,
        "raw_finding": ["normal"] * n,
        "duplicate_group": ["g"] * n,
        "exclusion": [""] * n,
        "split": ["train"] * n,
        "width": [10] * n,
        "height": [10] * n,
        "age": [float("nan")] * n,
    }
    plain |= {name: [""] * n for name in ("site", "view", "sex", "license")}
    return pd.DataFrame(plain | columns)


def excluded(preferred: list[int] | None = None, **columns: list[object]) -> list[str]:
    rows = cohort(**columns)
    chosen = pd.Series(preferred or [0] * len(rows))
    return exclusions(rows, chosen).tolist()


def test_same_bytes_and_same_image_make_one_group_and_strangers_none():
    one, other = (draw("normal", seed).pixels for seed in (1, 2))
    prints = np.array([fingerprint(each) for each in (one, other, one, one**0.8)])
    hashes = ["b" * 64, "d" * 64, "b" * 64, "a" * 64]
    groups, pairs = group(pd.Series([*hashes, ""]), prints)
    # The least hash of the group names it.
    assert groups.tolist() == ["copy-aaaaaaaaaaaa", "", *["copy-aaaaaaaaaaaa"] * 2, ""]
    assert pairs[["first", "second"]].to_numpy().tolist() == [["a" * 64, "b" * 64]]
    assert pairs["similarity"][0] == pytest.approx(1, abs=0.02)
    order = [3, 2, 1, 0]
    again, _ = group(pd.Series([hashes[i] for i in order], index=order), prints[order])
    assert again.sort_index().tolist() == groups.tolist()[:4]


def test_copies_of_copies_are_one_group():
    image = draw("covid-19", 5).pixels
    prints = np.array([fingerprint(image[cut : len(image) - cut]) for cut in (0, 12, 24)])
    groups, _ = group(pd.Series(["a" * 64, "b" * 64, "c" * 64]), prints)
    assert groups.nunique() == 1


def test_no_usable_file_is_no_group():
    groups, pairs = group(pd.Series(["", ""]), np.empty((0, 64, 64), np.uint8))
    assert groups.tolist() == ["", ""]
    assert len(pairs) == 0


def test_most_pixels_stay_then_metadata_then_first_id():
    assert excluded(width=[10, 20]) == ["duplicate of i1", ""]
    assert excluded(view=["", "PA"]) == ["duplicate of i1", ""]
    assert excluded(age=[float("nan"), 50.0]) == ["duplicate of i1", ""]
    assert excluded(image_id=["b", "a", "c"]) == ["duplicate of a", "", "duplicate of a"]


def test_a_preferred_copy_stays_before_a_larger_one():
    assert excluded([0, 1], width=[20, 10]) == ["duplicate of i1", ""]
    assert excluded([0, 1, 2], width=[30, 20, 10]) == ["duplicate of i2"] * 2 + [""]


def test_conflicting_labels_leave_none():
    assert excluded(finding=["normal", "covid-19"]) == [CONFLICT, CONFLICT]


def test_rows_excluded_before_neither_stay_nor_conflict_but_are_reported():
    rows = {"finding": ["normal", "covid-19"], "exclusion": ["younger than 18 years", ""]}
    assert excluded(**rows) == ["", ""]
    assert duplicates_table(cohort(**rows))["conflict"].tolist() == [True, True]
    assert not duplicates_table(cohort(finding=["", "covid-19"]))["conflict"].any()


def test_table_lists_groups_with_the_kept_copy_first():
    rows = cohort(exclusion=["duplicate of i1", "", ""], duplicate_group=["g", "g", ""])
    assert duplicates_table(rows)["image_id"].tolist() == ["i1", "i0"]


def test_overlap_counts_groups_and_images_of_each_two_sources():
    # Group g: two images of a and one of b; group h: one of a and one of b; group k: two of b.
    rows = cohort(source=list("aababbb"), duplicate_group=list("ggghhkk"))
    found = overlap(duplicates_table(rows))
    assert found.to_numpy().tolist() == [
        ["a", "a", 1, 2, 2],
        ["b", "b", 1, 2, 2],
        ["a", "b", 2, 3, 2],
    ]
    assert overlap(duplicates_table(cohort(duplicate_group=["", ""]))).empty
