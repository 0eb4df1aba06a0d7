"""The rules that exclude an image, and the count of what each one excluded.

A table on its way to a cohort has the cohort's columns and `modality`, `offset`, `taken`,
`paediatric` and `rule`; `exclude` records the first rule that excludes a row and why.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import pandas as pd

from covid_cxr.cohort import labels
from covid_cxr.cohort.cells import is_view_understood, view_of
from covid_cxr.cohort.dedup import resolution
from covid_cxr.cohort.splits.grouped import components
from covid_cxr.cohort.splits.strategies import HELD_OUT
from covid_cxr.config import CohortConfig, FilterConfig

RULES = (
    "modality",
    "view",
    "label",
    "children",
    "time",
    "file",
    "duplicates",
    "one per patient",
    "external",
    "split",
)
# The settings that a rule follows.
SETTINGS = {"view": "cohort.filters.views", "children": "cohort.filters.min_age"}
_RADIOGRAPHY = ("", "x-ray", "xr", "cr", "dx", "dr", "rg")
# What DICOM calls a converted image of which the converter did not say more (PS3.3 C.7.3.1.1.1).
_CONVERTED = ("ot", "sc")
_WITHOUT_DATES = {
    "offset": "all its images in",
    "one_per_patient": "the first of each patient by id",
}
logger = logging.getLogger(__name__)


def exclude(table: pd.DataFrame, rule: str, reasons: pd.Series) -> None:
    """Record `rule` and reason, in place, on rows with a reason that no earlier rule excluded."""
    new = (table["exclusion"] == "") & (reasons != "")
    table.loc[new, "rule"] = rule
    table.loc[new, "exclusion"] = reasons[new]


def by_description(
    table: pd.DataFrame, own: Mapping[str, Mapping[str, str]], filters: FilterConfig
) -> None:
    """Apply, in place, the rules that need no file and set `finding`.

    Args:
        table: rows of all sources.
        own: source -> its own table of labels.
        filters: what enters.

    Raises:
        CohortError: labels in no table.
    """
    by_modality_and_view(table, filters)
    for source, rows in table[table["exclusion"] == ""].groupby("source"):
        answers = labels.resolve(rows["raw_finding"], own[str(source)], str(source))
        answer = rows["raw_finding"].map(answers)
        excluded = answer.str.startswith(labels.EXCLUDED)
        table.loc[rows.index, "finding"] = answer.mask(excluded, "")
        why = answer.str.removeprefix(labels.EXCLUDED).where(excluded, "")
        exclude(table, "label", why.reindex(table.index, fill_value=""))
    exclude(table, "children", _children(table, filters))
    if filters.offset:
        _warn_of_undated(table, "offset", table["offset"].isna())
        outside = table["offset"].notna() & ~table["offset"].between(*filters.offset)
        days = "taken on day " + table["offset"].map("{:g}".format) + ", outside the time window"
        exclude(table, "time", days.where(outside, ""))


def by_modality_and_view(table: pd.DataFrame, filters: FilterConfig) -> None:
    """Exclude, in place, what is stated to be no radiograph or not of a wanted view."""
    modality = table["modality"]
    radiograph = modality.str.casefold().isin((*_RADIOGRAPHY, *_CONVERTED))
    exclude(table, "modality", ("modality " + modality).where(~radiograph, ""))
    lateral = table["view"] == "L"
    named = "view " + table["view"].mask(table["view"] == "", "not stated")
    unwanted = ~table["view"].isin([view_of(view) for view in filters.views])
    exclude(table, "view", named.mask(lateral, "lateral view").where(unwanted, ""))


def by_duplicates(table: pd.DataFrame, config: CohortConfig) -> None:
    """Apply, in place, the rules that compare images with each other.

    `duplicate_group` must be filled in.
    """
    exclude(table, "duplicates", resolution.exclusions(table, _preferred(table, config)))
    exclude(table, "one per patient", _further(table, config.filters))
    outside = table["source"].isin(config.external)
    linked = components(table)
    inside = set(linked[(table["exclusion"] == "") & ~outside])
    shared = outside & linked.isin(inside)
    reason = "patient or copy also in a source that is trained on"
    exclude(table, "external", pd.Series(reason, index=table.index).where(shared, ""))


def unread_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return `source, column, value, images` of what is stated and was not understood.

    Views count where they leave an image out: they come from the table or from the file.
    """
    listed = table[["source", "unread"]].explode("unread").dropna()
    pairs = zip(listed["source"], listed["unread"], strict=True)
    cells = [(source, *cell) for source, cell in pairs]
    views = table[(table["rule"] == "view") & ~table["view"].map(is_view_understood)]
    cells += [(row.source, "view", row.view) for row in views.itertuples()]
    counts = pd.DataFrame(cells, columns=["source", "column", "value"], dtype="str").value_counts()
    return counts.rename("images").sort_index().reset_index()


def reading_flags(table: pd.DataFrame) -> pd.DataFrame:
    """Return `source, flag, images, included`: what reading said of files, per source."""
    listed = table.assign(included=table["exclusion"] == "").explode("flags").dropna(subset="flags")
    counts = listed.groupby(["source", "flags"])["included"].agg(["size", "sum"]).reset_index()
    counts.columns = pd.Index(["source", "flag", "images", "included"])
    return counts.astype({"images": "int64", "included": "int64"})


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return `source, rule, removed, remaining`: per source the table's rows, then each rule."""
    lines = []
    for source, rows in table.groupby("source", sort=False):
        remaining = len(rows)
        lines.append((source, "rows in the source", 0, remaining))
        counts = rows["rule"].value_counts()
        for rule in RULES:
            removed = int(counts.get(rule, 0))
            remaining -= removed
            lines.append((source, rule, removed, remaining))
    return pd.DataFrame(lines, columns=["source", "rule", "removed", "remaining"])


def _children(table: pd.DataFrame, filters: FilterConfig) -> pd.Series:
    young = table["age"] < filters.min_age
    reasons = pd.Series(f"younger than {filters.min_age:g} years", index=table.index)
    reasons = reasons.where(young, "")
    if filters.paediatric_sources:
        return reasons
    return reasons.mask(table["paediatric"] & ~young, "source suspected to hold children")


def _preferred(table: pd.DataFrame, config: CohortConfig) -> pd.Series:
    """Rank copies: 2 of a held-out source or site, 1 of one that is trained on, 0 external.

    An external copy would be excluded in the end, because its patient is trained on: if it were
    kept instead of the other, both would be lost.
    """
    inside = ~table["source"].isin(config.external)
    rank = inside.astype("int64")
    if config.strategy in HELD_OUT:
        rank += inside & (table[HELD_OUT[config.strategy]] == config.held_out)
    return rank


def _further(table: pd.DataFrame, filters: FilterConfig) -> pd.Series:
    """Return why of a person's images all but one are excluded; undated ones come last.

    A person who is in two sources is known by a copy in both, so persons are components. Days
    since symptoms go before dates.
    """
    reasons = pd.Series("", index=table.index, dtype="str")
    if filters.one_per_patient is None:
        return reasons
    first = filters.one_per_patient == "first"
    order = table.assign(
        person=components(table), uncounted=table["offset"].isna(), undated=table["taken"] == ""
    )
    order = order[order["exclusion"] == ""].sort_values(
        ["uncounted", "offset", "undated", "taken", "image_id"],
        ascending=[True, first, True, first, True],
    )
    _warn_of_undated(order, "one_per_patient", order["uncounted"] & order["undated"])
    further = order.index[order["person"].duplicated()]
    reasons[further] = f"not the patient's {filters.one_per_patient} image"
    return reasons


def _warn_of_undated(table: pd.DataFrame, filter_name: str, undated: pd.Series) -> None:
    for source, silent in undated.groupby(table["source"]):
        if silent.all():
            logger.warning(
                "filters.%s knows no date of source '%s' and leaves %s; give its table a column "
                "offset, days since symptoms or admission",
                *(filter_name, source, _WITHOUT_DATES[filter_name]),
            )
