"""Images that occur more than once: which copy is kept, and labels that contradict each other."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from covid_cxr.cohort.dedup import near_duplicates
from covid_cxr.cohort.dedup.fingerprint import Fingerprint

CONFLICT = "conflicting labels in duplicate group"
_METADATA = ("site", "view", "sex", "license", "age")


def group(sha256: pd.Series, prints: Fingerprint) -> tuple[pd.Series, pd.DataFrame]:
    """Return a group id for every image that occurs more than once, and the pairs behind it.

    Files of one SHA-256 are copies, and so are images whose fingerprints coincide once registered
    (`registration.COPY`); copies of copies belong to one group. The id is made of the group's least
    hash, so that the order of the rows plays no part.

    Args:
        sha256: of every image, "" where there is no file.
        prints: fingerprints (n, 64, 64) of the images that have a hash, in the order of `sha256`.

    Returns:
        The group of every row ("" for those that occur once), and pairs `first, second,
        similarity` of hashes.
    """
    filled = sha256[sha256 != ""]
    order = np.argsort(filled.to_numpy(), kind="stable")
    hashes, first = np.unique(filled.to_numpy()[order], return_index=True)
    pairs = near_duplicates.find(prints[order[first]])
    number = near_duplicates.groups(pairs, len(hashes))
    # Hashes are sorted, so that the first of a component names it.
    named = pd.Series(hashes).groupby(number).transform("first").str[:12].radd("copy-")
    names = dict(zip(hashes, named, strict=True))
    groups = sha256.map(lambda value: names.get(value, ""))
    groups = groups.where(groups.duplicated(keep=False), "").rename("duplicate_group")
    for column in ("first", "second"):
        pairs[column] = hashes[pairs[column]]
    return groups, pairs


def exclusions(cohort: pd.DataFrame, preferred: pd.Series) -> pd.Series:
    """Return why a duplicate is left out, "" for rows that stay or were excluded before.

    Of a group one copy stays: the most preferred, then that with the most pixels, then that with
    the most metadata, then that with the first `image_id`. If the copies that could stay carry
    different findings, none does.

    Args:
        cohort: with `duplicate_group`, `exclusion`, `finding`, size and metadata columns.
        preferred: a number a row, the higher the rather it stays.
    """
    reasons = pd.Series("", index=cohort.index, dtype="str")
    candidates = cohort[(cohort["exclusion"] == "") & (cohort["duplicate_group"] != "")]
    groups = candidates["duplicate_group"]
    conflict = candidates.groupby("duplicate_group")["finding"].transform("nunique") > 1
    ranked = _ranked(candidates, preferred[candidates.index])
    kept = ranked.groupby("duplicate_group")["image_id"].first()
    duplicate = ("duplicate of " + groups.map(kept)).mask(
        groups.map(kept) == candidates["image_id"], ""
    )
    reasons[candidates.index] = duplicate.mask(conflict, CONFLICT)
    return reasons


def duplicates_table(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every duplicate group, kept copy first: what `duplicates.csv` holds.

    `conflict` marks groups with several findings, counting rows excluded for another reason too.
    """
    columns = ["duplicate_group", "image_id", "path", "source", "patient_id", "finding"]
    rows = cohort[cohort["duplicate_group"] != ""]
    rows = rows.sort_values(["duplicate_group", "exclusion", "image_id"])
    stated = rows["finding"].mask(rows["finding"] == "")
    conflict = stated.groupby(rows["duplicate_group"]).transform("nunique") > 1
    rows = rows[[*columns, "raw_finding", "split", "exclusion"]].assign(conflict=conflict)
    return rows.reset_index(drop=True)


def overlap(duplicates: pd.DataFrame) -> pd.DataFrame:
    """Return, for each two sources that share images, how many groups and images of each do.

    Args:
        duplicates: as `duplicates_table` returns it.

    Returns:
        `source, other, groups, images, images_of_other`; a source with itself for copies inside.
    """
    counts = duplicates.groupby(["duplicate_group", "source"]).size().unstack(fill_value=0)
    lines = []
    for source in counts.columns:
        inside = counts[source][counts[source] > 1]
        lines.append((source, source, len(inside), int(inside.sum()), int(inside.sum())))
    for one, other in combinations(counts.columns, 2):
        both = counts[(counts[one] > 0) & (counts[other] > 0)]
        lines.append((one, other, len(both), int(both[one].sum()), int(both[other].sum())))
    names = ["source", "other", "groups", "images", "images_of_other"]
    shared = pd.DataFrame(lines, columns=names)
    return shared[shared["groups"] > 0].reset_index(drop=True)


def _ranked(candidates: pd.DataFrame, preferred: pd.Series) -> pd.DataFrame:
    """Return the copies, of each group the one to keep first."""
    filled = (candidates[list(_METADATA[:-1])] != "").sum(axis=1) + candidates["age"].notna()
    order = candidates.assign(
        preferred=preferred, pixels=candidates["width"] * candidates["height"], filled=filled
    )
    descending = ["preferred", "pixels", "filled"]
    return order.sort_values([*descending, "image_id"], ascending=[False] * 3 + [True])
