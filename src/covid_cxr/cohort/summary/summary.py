"""The summary of a cohort: counts, missing fields, exclusions, overlap and confounding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from covid_cxr.cohort import build
from covid_cxr.cohort.dedup import resolution
from covid_cxr.cohort.patient_ids import spelling_warnings
from covid_cxr.cohort.splits.warnings import split_warnings
from covid_cxr.cohort.summary.confounding import confounding
from covid_cxr.cohort.summary.confounding_warnings import ConfoundingWarnings, confounding_warnings
from covid_cxr.cohort.summary.strata import NOT_STATED, strata
from covid_cxr.types import DISCLAIMER, FINDINGS

COUNTED = ("site", "view", "sex", "age band")
# Reasons that name one image or day each, and what they have in common.
_KINDS = {
    r"^duplicate of .*": "duplicate of an image that is kept",
    r"^unreadable: .*": "unreadable file",
    r"^taken on day .*": "outside the time window",
}


@dataclass(frozen=True)
class CohortSummary:
    """One cohort in numbers; every table is of included rows unless it says otherwise.

    Attributes:
        images, patients: included.
        excluded: rows excluded.
        by_source: `source, finding, train, val, test, external, total`.
        counts: site, view, sex, age band -> `<it>, normal, pneumonia, covid-19, total`.
        missing: `source, images` and the share in [0, 1] without view, sex, age, site, license;
            "all" comes last.
        reasons: `reason, source, images` of the excluded rows, most frequent first.
        groups: duplicate groups, of included and excluded rows.
        overlap: `source, other, groups, images, images_of_other`, see `resolution.overlap`.
        confounding: see `covid_cxr.cohort.summary.confounding.confounding`.
        warnings: the same in sentences.
        seed: random seed behind `confounding`.
        flags: `source, flag, images, included`: what reading the files flagged.
    """

    images: int
    patients: int
    excluded: int
    by_source: pd.DataFrame
    counts: dict[str, pd.DataFrame]
    missing: pd.DataFrame
    reasons: pd.DataFrame
    groups: int
    overlap: pd.DataFrame
    confounding: pd.DataFrame
    warnings: ConfoundingWarnings
    seed: int
    flags: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table under the name of its CSV file."""
        return {
            "source": self.by_source,
            **{name.replace(" ", "-"): table for name, table in self.counts.items()},
            "missing": self.missing,
            "excluded": self.reasons,
            "reading-flags": self.flags,
            "overlap": self.overlap,
            "confounding": self.confounding,
        }

    def record(self) -> dict[str, Any]:
        """Return the summary JSON-ready: every table as a list of rows, NaN as None."""
        return {
            "images": self.images,
            "patients": self.patients,
            "excluded": self.excluded,
            "duplicate_groups": self.groups,
            "seed": self.seed,
            "warns": self.warnings.warns,
            "words": list(self.warnings.sentences),
            "tables": {name: _rows(table) for name, table in self.tables().items()},
            "disclaimer": DISCLAIMER,
        }


def summarise(
    cohort: pd.DataFrame, *, seed: int = 0, flags: pd.DataFrame | None = None
) -> CohortSummary:
    """Summarise a cohort; the order of its rows plays no part.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it.
        seed: random seed behind the confounding table.
        flags: as `build.read_flags` returns them; None for none.
    """
    included = cohort[cohort["split"] != "excluded"]
    columns = strata(included)
    said = [*split_warnings(cohort), *spelling_warnings(cohort)]
    confounded = confounding(cohort, seed)
    by_source = _cross_table(columns["source"], included["finding"])
    repeated = resolution.duplicates_table(cohort)
    return CohortSummary(
        images=len(included),
        patients=included["patient_id"].nunique(),
        excluded=len(cohort) - len(included),
        by_source=build.split_counts(cohort),
        counts={
            name: _cross_table(columns[name], included["finding"]).reset_index() for name in COUNTED
        },
        missing=_missing(included, columns),
        reasons=_reasons(cohort[cohort["split"] == "excluded"]),
        groups=repeated["duplicate_group"].nunique(),
        overlap=resolution.overlap(repeated),
        confounding=confounded,
        warnings=confounding_warnings(confounded, by_source).after(said),
        seed=seed,
        flags=build.no_flags() if flags is None else flags,
    )


def shortened(counts: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the `most` rows with the highest `total`, and the sum of the rest as "N others"."""
    ranked = counts.sort_values("total", ascending=False, kind="stable")
    if len(ranked) <= most + 1:  # one other takes as much room as its name
        return ranked.reset_index(drop=True)
    name, rest = ranked.columns[0], ranked.iloc[most:]
    others = rest.drop(columns=name).sum().to_frame().T.assign(**{name: f"{len(rest)} others"})
    return pd.concat([ranked.head(most).astype({name: "object"}), others], ignore_index=True)


def _cross_table(level: pd.Series, finding: pd.Series) -> pd.DataFrame:
    """Return image counts: a row a level, a column a finding, and `total`."""
    counts = pd.crosstab(level, finding).reindex(columns=list(FINDINGS), fill_value=0)
    counts.index = counts.index.astype(str)
    counts.columns.name = None
    return counts.assign(total=counts.sum(axis=1)).rename_axis(index=level.name)


def _missing(included: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    empty = pd.DataFrame(
        {
            "view": included["view"] == "",
            "sex": included["sex"] == "",
            "age": included["age"].isna(),
            "site": columns["site"] == NOT_STATED,
            "license": included["license"] == "",
        }
    )
    groups = empty.groupby(included["source"])
    shares = groups.mean()
    shares.insert(0, "images", groups.size())
    whole = pd.DataFrame([{"images": len(empty), **empty.mean()}], index=["all"])
    return pd.concat([shares, whole]).rename_axis("source").reset_index()


def _reasons(excluded: pd.DataFrame) -> pd.DataFrame:
    kinds = excluded["exclusion"].replace(_KINDS, regex=True).rename("reason")
    counts = kinds.groupby([kinds, excluded["source"]]).size().rename("images").reset_index()
    every = counts.groupby("reason")["images"].transform("sum")
    order = counts.assign(every=every).sort_values(
        ["every", "reason", "images", "source"], ascending=[False, True, False, True]
    )
    return order[["reason", "source", "images"]].reset_index(drop=True)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=6))
    return rows
