"""The rules that leave an image out, and the count of what each one left out.

A table on its way to a cohort has the cohort's columns and `modality` and `rule`; `exclude` notes
the first rule that a row falls to and why.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

from covid_cxr import images
from covid_cxr.cohort import duplicates, labels
from covid_cxr.cohort.split import components
from covid_cxr.errors import UnreadableImage

RULES = ("modality", "view", "label", "file", "duplicates", "external")
_RADIOGRAPHY = ("", "x-ray", "xr", "cr", "dx", "dr", "rg")
_FRONTAL = ("PA", "AP", "AP Supine", "")


def exclude(table: pd.DataFrame, rule: str, reasons: pd.Series) -> None:
    """Note `rule` and reason, in place, on rows with a reason that no earlier rule left out."""
    new = (table["exclusion"] == "") & (reasons != "")
    table.loc[new, "rule"] = rule
    table.loc[new, "exclusion"] = reasons[new]


def by_description(table: pd.DataFrame, own: dict[str, dict[str, str]]) -> None:
    """Apply, in place, the rules that need no file (modality, view, label) and set `finding`.

    Args:
        table: rows of all sources.
        own: source -> its own table of labels.

    Raises:
        CohortError: labels in no table.
    """
    modality = table["modality"]
    radiograph = modality.str.casefold().isin(_RADIOGRAPHY)
    exclude(table, "modality", ("modality " + modality).where(~radiograph, ""))
    lateral = table["view"] == "L"
    other = "view " + table["view"]
    other = other.where(~table["view"].isin(_FRONTAL), "").mask(lateral, "lateral view")
    exclude(table, "view", other)
    for source, rows in table[table["exclusion"] == ""].groupby("source"):
        answers = labels.resolve(rows["raw_finding"], own[str(source)], str(source))
        answer = rows["raw_finding"].map(answers)
        excluded = answer.str.startswith(labels.EXCLUDED)
        table.loc[rows.index, "finding"] = answer.mask(excluded, "")
        why = answer.str.removeprefix(labels.EXCLUDED).where(excluded, "")
        exclude(table, "label", why.reindex(table.index, fill_value=""))


def read_file(path: Path) -> tuple[str, int, int, str]:
    """Return sha256, width and height in pixels, and why the file cannot be used ("" if it can).

    The image is decoded whole, so that nothing in a cohort stops a training that takes hours.
    """
    if not path.is_file():
        return "", 0, 0, "file missing"
    try:
        data = path.read_bytes()
    except OSError as error:
        return "", 0, 0, f"unreadable: {error.strerror}"
    digest = hashlib.sha256(data).hexdigest()
    try:
        radiograph = images.read(data)
    except UnreadableImage as error:
        reason = str(error).removeprefix("'<bytes>' ")
        return digest, 0, 0, f"unreadable: {reason}"
    return digest, radiograph.width, radiograph.height, ""


def by_duplicates(table: pd.DataFrame, external: tuple[str, ...]) -> None:
    """Group duplicates and apply, in place, the rules that compare images with each other."""
    table["duplicate_group"] = duplicates.group(table)
    exclude(table, "duplicates", duplicates.exclusions(table))
    included = table["exclusion"] == ""
    outside = table["source"].isin(external)
    linked = components(table)
    inside = set(linked[included & ~outside])
    shared = outside & linked.isin(inside)
    reason = "patient also in a source that is trained on"
    exclude(table, "external", pd.Series(reason, index=table.index).where(shared, ""))


def attrition(table: pd.DataFrame) -> pd.DataFrame:
    """Return `source, rule, removed, remaining`: per source the table's rows, then each rule."""
    lines = []
    for source, rows in table.groupby("source", sort=False):
        remaining = len(rows)
        lines.append((source, "rows in the source", 0, remaining))
        for rule in RULES:
            removed = int((rows["rule"] == rule).sum())
            remaining -= removed
            lines.append((source, rule, removed, remaining))
    return pd.DataFrame(lines, columns=["source", "rule", "removed", "remaining"])
