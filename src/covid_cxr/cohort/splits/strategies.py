"""How the test split is chosen: at random, by holding out a source or site, or from a list.

Whatever the strategy, patients and copies stay on one side: components are assigned whole,
those that reach into what is held out are excluded, and a list that divides one is an error.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from covid_cxr.cohort.splits import grouped
from covid_cxr.cohort.splits.leakage import assert_no_leak, one_line
from covid_cxr.cohort.tables import read_table
from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError

HELD_OUT = {"leave-one-source-out": "source", "leave-one-site-out": "site"}
UNLISTED = "not in the split list"
_SIDES = ("train", "val", "test", "external")
_MOST_NAMED = 10
_MOST_IDS = 3
log = logging.getLogger(__name__)


def assign(
    table: pd.DataFrame, config: CohortConfig, seed: int, data_root: Path | str
) -> pd.DataFrame:
    """Return `split` (train, val, test, external or excluded) and `reason` of every row.

    `reason` says why the strategy leaves out a row that no rule had left out, else it is "". The
    order of rows plays no part. Strategies:

    - random: as `grouped.assign`.
    - leave-one-source-out: test is the held-out source, whole; the others are assigned to train
      and val, except that a row of a component that holds any row of the held-out source, even an
      excluded one, is excluded: of that hospital nothing is seen in training.
    - leave-one-site-out: the same with `site`. External sources stay external.
    - lists: as the CSV says; an image without a line is left out.

    Args:
        table: a cohort after all other rules; needs `site` beside what `grouped.assign` needs.
        config: strategy and what it needs; the share of test counts for "random" alone.
        seed: of the draw.
        data_root: folder that a relative `config.lists` starts from.

    Raises:
        CohortError: nothing included of what is held out, nothing besides it, or a list with
            another split, an image twice or one that the cohort does not have.
        LeakError: a list puts a patient or copies on two sides.
    """
    if config.strategy == "lists":
        return _listed(table, Path(data_root) / (config.lists or ""))
    if config.strategy in HELD_OUT:
        return _held_out(table, config, seed)
    dealt = grouped.assign(table, config, seed)
    return pd.DataFrame({"split": dealt, "reason": ""}, index=table.index, dtype="str")


def _held_out(table: pd.DataFrame, config: CohortConfig, seed: int) -> pd.DataFrame:
    column = HELD_OUT[config.strategy]
    held_out = table[column] == config.held_out
    included = table["exclusion"] == ""
    external = included & table["source"].isin(config.external)
    inside = included & ~external
    _check_present(table[inside], column, config)
    linked = grouped.components(table)
    near = inside & ~held_out & linked.isin(linked[held_out])
    rest = inside & ~held_out & ~near
    if not rest.any():
        raise CohortError(
            f"held-out {column} '{config.held_out}' leaves no image to train on: {near.sum()} "
            "others share a patient or copy with it; hold out another or add a source"
        )
    _warn_of_one_class(table.loc[inside & held_out, "finding"], column, config)
    answer = pd.DataFrame({"split": "excluded", "reason": ""}, index=table.index, dtype="str")
    answer.loc[external, "split"] = "external"
    answer.loc[inside & held_out, "split"] = "test"
    answer.loc[near, "reason"] = f"patient or copy also in the held-out {column}"
    both = config.train + config.val
    dealt = grouped.deal(table, rest, (config.train / both, config.val / both), seed)
    answer.loc[dealt.index, "split"] = dealt.map({0: "train", 1: "val"})
    return answer


def _check_present(inside: pd.DataFrame, column: str, config: CohortConfig) -> None:
    """Name the largest sources or sites if the held-out one has no row among the `inside` ones."""
    if (inside[column] == config.held_out).any():
        return
    counts = pd.DataFrame({"name": inside[column], "covid": inside["finding"] == "covid-19"})
    counts = counts.groupby("name")["covid"].agg(["size", "sum"]).reset_index()
    counts = counts.sort_values(["size", "name"], ascending=[False, True])
    named = [
        f"'{name}' ({covid} covid-19, {size - covid} others)"
        for name, size, covid in counts.head(_MOST_NAMED).itertuples(index=False)
    ]
    more = [f"{len(counts) - _MOST_NAMED} more"] if len(counts) > _MOST_NAMED else []
    raise CohortError(
        one_line(
            f"held_out '{config.held_out}' is no {column} with usable images to test on; there "
            f"are {', '.join([*named, *more]) or 'none'}"
        )
    )


def _warn_of_one_class(findings: pd.Series, column: str, config: CohortConfig) -> None:
    covid = int((findings == "covid-19").sum())
    if covid in (0, len(findings)):
        log.warning(
            "held-out %s '%s' has %d images, %s: AUROC is undefined there",
            *(column, config.held_out, len(findings), "all covid-19" if covid else "none covid-19"),
        )


def _listed(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    listed = _read_list(path, table["image_id"])
    split = table["image_id"].map(listed)
    included = table["exclusion"] == ""
    _warn_of_left_out(table[split.notna() & ~included], path)
    sides = split.where(included).fillna("excluded")
    reason = pd.Series(UNLISTED, index=table.index).where(included & split.isna(), "")
    answer = pd.DataFrame({"split": sides, "reason": reason}, dtype="str")
    # Here and not only when the cohort is whole: the mistake is in the list, which is named.
    assert_no_leak(table.assign(split=answer["split"]), f"give them one split in '{path}'")
    return answer


def _read_list(path: Path, image_ids: pd.Series) -> pd.Series:
    """Return image_id -> split of a list that holds each image of the cohort at most once."""
    rows = read_table(path, ("image_id", "split"))
    repeated = rows["image_id"].duplicated()
    if repeated.any():
        raise CohortError(
            f"split list '{path}' has more than one line for {_some(rows['image_id'][repeated])}; "
            "each image must have one"
        )
    wrong = rows[~rows["split"].isin(_SIDES)]
    if len(wrong):
        image, side = one_line(wrong["image_id"].iloc[0]), one_line(wrong["split"].iloc[0])
        raise CohortError(
            f"split list '{path}' gives image '{image}' the split '{side}', expected "
            f"{', '.join(_SIDES)}; an image without a line is left out"
        )
    unknown = ~rows["image_id"].isin(image_ids)
    if unknown.any():
        raise CohortError(
            f"split list '{path}' names what the cohort does not have: "
            f"{_some(rows['image_id'][unknown])}; write ids as in cohort.csv, source first"
        )
    return rows.set_index("image_id")["split"]


def _some(ids: pd.Series) -> str:
    """Return the first three different ids, and how many there are where that is not all."""
    unique = sorted(set(ids))
    named = ", ".join(f"'{one_line(image)}'" for image in unique[:_MOST_IDS])
    return f"{named} and {len(unique) - _MOST_IDS} more" if len(unique) > _MOST_IDS else named


def _warn_of_left_out(rows: pd.DataFrame, path: Path) -> None:
    if len(rows):
        first = rows.sort_values("image_id").iloc[0]
        log.warning(
            "split list '%s': %d of its images are left out by other rules, such as '%s' (%s)",
            *(path, len(rows), one_line(first["image_id"]), one_line(first["exclusion"])),
        )
