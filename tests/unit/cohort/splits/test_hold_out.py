"""Tasks that leave sources and sites out: who is trained on, who is scored, and nobody on both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from covid_cxr.cohort.splits import hold_out
from covid_cxr.cohort.splits.hold_out import hold_outs
from covid_cxr.errors import CohortError
from covid_cxr.training.hold_out_validation import summarise


def rows(**sources: dict[str, tuple[int, int]]) -> pd.DataFrame:
    """Return a cohort: source -> site -> patients with and without COVID-19."""
    table = [
        {"source": source, "site": site, "finding": finding, "patient_id": f"{site}-{finding}-{n}"}
        for source, sites in sources.items()
        for site, counts in sites.items()
        for finding, count in zip(("covid-19", "pneumonia"), counts, strict=True)
        for n in range(count)
    ]
    made = pd.DataFrame(table).assign(duplicate_group="", view="PA")
    made["image_id"] = made["source"] + ":" + made["patient_id"]
    made["patient_id"] = made["image_id"]
    return made.assign(sha256=made["image_id"])


MIXED = {"a": (10, 10), "b": (10, 10), "c": (6, 1), "d": (1, 6)}
COHORT = rows(mixed=MIXED, ill={"e": (30, 0)}, well={"f": (0, 30)})


def test_sites_of_a_mixed_source_are_left_out_in_turn() -> None:
    within = [each for each in hold_outs(COHORT) if each.kind == "within"]
    # c and d hold fewer than five of one kind, so that they are one part together.
    assert [each.part for each in within] == ["a", "b", "other sites"]
    assert {each.name for each in within} == {"within mixed"}
    assert sum(each.scored for each in within).tolist() == (COHORT["source"] == "mixed").tolist()
    first = within[0]
    assert set(COHORT["site"][first.scored]) == {"a"}
    assert set(COHORT["site"][first.train]) == {"b", "c", "d", "e", "f"}


def test_across_leaves_both_sources_out_wholly() -> None:
    across = [each for each in hold_outs(COHORT) if each.kind == "across"]
    # Only the mixed source can train alone; without it "ill" and "well" are one kind each.
    assert [each.name for each in across] == ["ill with against well without"]
    assert set(COHORT["source"][across[0].train]) == {"mixed"}
    assert across[0].scored.tolist() == (COHORT["source"] != "mixed").tolist()


def test_sites_or_sources_alone_can_be_left_out() -> None:
    assert [each.part for each in hold_outs(COHORT, "sites")] == ["a", "b", "other sites"]
    assert [each.kind for each in hold_outs(COHORT, "sources")] == ["across"]


def test_copies_of_scored_images_are_not_trained_on() -> None:
    copied = COHORT.copy()
    twins = [0, copied.index[copied["source"] == "ill"][0]]
    copied.loc[twins, "duplicate_group"] = "g1"
    for task in hold_outs(copied):
        groups = {
            name: set(copied["duplicate_group"][task._asdict()[name]])
            for name in ("train", "scored")
        }
        assert not groups["train"] & groups["scored"] - {""}


def test_nothing_to_hold_out_is_an_error() -> None:
    with pytest.raises(CohortError, match="no source or site can be held out"):
        hold_outs(rows(one={"a": (30, 30)}))
    assert hold_out.LEAST == 15


def test_the_protocols_numbers_by_hand() -> None:
    table = rows(mixed={"a": (2, 2)})
    table["view"] = ["AP", "PA", "PA", "PA"]
    scores = pd.DataFrame(
        {
            "image_id": list(table["image_id"]) * 2,
            "task": "within mixed",
            "kind": "within",
            "seed": [1] * 4 + [2] * 4,
            # First seed 4 of 4 pairs right, second 2 of 4; the mean 3 of 4.
            "score": [3.0, 2.0, 1.0, 0.0, 3.0, 0.0, 1.0, 2.0],
        }
    )
    found = summarise(scores, table).comparisons["within mixed"]
    assert found.auroc.seeds == (1.0, 0.5)
    # Means 3, 1 against 1, 1: two pairs right and two tied.
    assert found.auroc.value == pytest.approx(0.75)
    assert found.view_alone.value == pytest.approx(0.75)  # AP of one of two ill
    assert found.within_ap.value is None
    assert found.within_pa.value == pytest.approx(0.5)


def test_the_objective_is_the_mean_of_both_kinds() -> None:
    table = rows(mixed={"a": (2, 2)})
    names = [("within x", "within"), ("a", "across"), ("b", "across")]
    orders = ([3, 2, 1, 0], [3, 2, 1, 0], [0, 1, 2, 3])  # 1, 1 and 0
    scores = pd.concat(
        pd.DataFrame(
            {"image_id": table["image_id"], "task": task, "kind": kind, "seed": 0, "score": order}
        )
        for (task, kind), order in zip(names, np.array(orders, float), strict=True)
    )
    found = summarise(scores, table)
    assert (found.within, found.across, found.objective) == (1.0, 0.5, 0.75)
