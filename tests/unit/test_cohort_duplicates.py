import pandas as pd

from covid_cxr.cohort.duplicates import CONFLICT, exclusions, group, table


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


def test_groups_only_what_repeats():
    ids = group(cohort(sha256=["a" * 64, "b" * 64, "a" * 64, "", ""]))
    assert ids.tolist() == ["sha256-aaaaaaaaaaaa", "", "sha256-aaaaaaaaaaaa", "", ""]


def test_most_pixels_stay_then_metadata_then_first_id():
    assert exclusions(cohort(width=[10, 20])).tolist() == ["duplicate of i1", ""]
    assert exclusions(cohort(view=["", "PA"])).tolist() == ["duplicate of i1", ""]
    assert exclusions(cohort(age=[float("nan"), 50.0])).tolist() == ["duplicate of i1", ""]
    assert exclusions(cohort(image_id=["b", "a", "c"])).tolist() == [
        "duplicate of a",
        "",
        "duplicate of a",
    ]


def test_conflicting_labels_leave_none():
    both = exclusions(cohort(finding=["normal", "covid-19"]))
    assert both.tolist() == [CONFLICT, CONFLICT]


def test_rows_excluded_before_neither_stay_nor_conflict():
    rows = cohort(finding=["", "covid-19"], exclusion=["label unknown", ""])
    assert exclusions(rows).tolist() == ["", ""]


def test_table_lists_groups_with_the_kept_copy_first():
    rows = cohort(exclusion=["duplicate of i1", "", ""], duplicate_group=["g", "g", ""])
    assert table(rows)["image_id"].tolist() == ["i1", "i0"]
