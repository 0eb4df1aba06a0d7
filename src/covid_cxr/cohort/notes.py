"""What a person should know of a cohort that was built, a line each."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from covid_cxr.cohort.build import CohortResult
from covid_cxr.cohort.dedup import resolution
from covid_cxr.cohort.exclusions import SETTINGS
from covid_cxr.cohort.patient_ids import spelling_warnings
from covid_cxr.cohort.splits.leakage import one_line
from covid_cxr.cohort.splits.warnings import split_warnings

_MOST_VALUES = 10
# What becomes of a cell that is not understood.
_CONSEQUENCES = {
    "view": "these are left out: write PA, AP or AP Supine, or name them in cohort.filters.views",
    "sex": "they count as not stated: write M or F ('H' beside 'M' may be hombre and mujer)",
    "age": "they count as not stated, so that children may be among them: write years",
    "offset": "they count as not stated: write days",
}


def notes(result: CohortResult) -> list[str]:
    """Return what a person should know of a cohort, a line each.

    Exclusions, copies, labels that conflict, flags of reading, and `warnings`.
    """
    removed = result.attrition.groupby("rule", sort=False)["removed"].sum()
    reasons = ", ".join(f"{_rule(rule)} {count}" for rule, count in removed[removed > 0].items())
    lines = [f"{removed.sum()} rows excluded: {reasons}"] if reasons else ["no row excluded"]
    shared = resolution.overlap(result.duplicates)
    shared = shared[shared["source"] != shared["other"]]
    lines += [
        f"{row.images} images of {row.source} and {row.images_of_other} of {row.other} are copies"
        for row in shared.itertuples()
    ]
    conflicts = result.duplicates[result.duplicates["conflict"]]["duplicate_group"].nunique()
    if conflicts:
        lines.append(f"{conflicts} images carry different findings in different copies")
    lines += [
        f"{row.source}: {row.images} images read with the flag '{row.flag}', "
        f"{row.included} of them included"
        for row in result.flags.itertuples()
    ]
    return [*lines, *(f"Warning: {warning}" for warning in warnings(result))]


def warnings(result: CohortResult) -> list[str]:
    """Return what makes a cohort doubtful.

    Splits that cannot be scored, ids that may be one patient, one finding, cells not understood.
    """
    sentences = [*split_warnings(result.cohort), *spelling_warnings(result.cohort)]
    return [*sentences, *_of_one_finding(result.cohort), *_of_unread(result.unread)]


def _rule(rule: object) -> str:
    setting = SETTINGS.get(str(rule))
    return f"{rule} ({setting})" if setting else str(rule)


def _of_one_finding(cohort: pd.DataFrame) -> Iterator[str]:
    findings = cohort.loc[cohort["split"] != "excluded", "finding"].unique()
    if len(findings) == 1:
        yield (
            f"every image is {findings[0]}: nothing can be learnt or measured on this cohort "
            "alone; add a source with another finding"
        )


def _of_unread(unread: pd.DataFrame) -> Iterator[str]:
    ranked = unread.sort_values("images", ascending=False, kind="stable")
    for (source, column), rows in ranked.groupby(["source", "column"]):
        values = [f"'{one_line(row.value)}' ({row.images})" for row in rows.itertuples()]
        more = f" and {len(values) - _MOST_VALUES} more" if len(values) > _MOST_VALUES else ""
        yield (
            f"{source} states {column} in words that are not understood: "
            f"{', '.join(values[:_MOST_VALUES])}{more}; {_CONSEQUENCES[str(column)]}"
        )
