"""Images that occur more than once: which copy is kept, and labels that contradict each other."""

from __future__ import annotations

import pandas as pd

CONFLICT = "conflicting labels in duplicate group"
_METADATA = ("site", "view", "sex", "license", "age")


def group(cohort: pd.DataFrame) -> pd.Series:
    """Return a group id for every row whose file occurs more than once, "" for all others.

    Files are compared by SHA-256. The id is made of the hash, so that it stays the same whatever
    else the cohort holds.
    """
    repeated = cohort["sha256"].duplicated(keep=False) & (cohort["sha256"] != "")
    return ("sha256-" + cohort["sha256"].str[:12]).where(repeated, "")


def exclusions(cohort: pd.DataFrame) -> pd.Series:
    """Return why a duplicate is left out, "" for rows that stay or were excluded before.

    Of a group the copy with the most pixels stays, then the one with the most metadata, then the
    one with the first `image_id`. If its copies carry different findings, none stays.

    Args:
        cohort: with `duplicate_group`, `exclusion`, `finding`, size and metadata columns.
    """
    reasons = pd.Series("", index=cohort.index, dtype="str")
    candidates = cohort[(cohort["exclusion"] == "") & (cohort["duplicate_group"] != "")]
    for _, copies in candidates.groupby("duplicate_group"):
        if copies["finding"].nunique() > 1:
            reasons[copies.index] = CONFLICT
            continue
        kept = _best(copies)
        reasons[copies.index.drop(kept)] = f"duplicate of {copies.at[kept, 'image_id']}"
    return reasons


def table(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every duplicate group, kept copy first: what `duplicates.csv` holds."""
    columns = ["duplicate_group", "image_id", "path", "source", "patient_id", "finding"]
    rows = cohort[cohort["duplicate_group"] != ""]
    rows = rows.sort_values(["duplicate_group", "exclusion", "image_id"])
    return rows[[*columns, "raw_finding", "split", "exclusion"]].reset_index(drop=True)


def _best(copies: pd.DataFrame) -> int:
    """Return the index of the copy to keep."""
    filled = (copies[list(_METADATA[:-1])] != "").sum(axis=1) + copies["age"].notna()
    order = copies.assign(pixels=copies["width"] * copies["height"], filled=filled)
    order = order.sort_values(["pixels", "filled", "image_id"], ascending=[False, False, True])
    return int(order.index[0])
