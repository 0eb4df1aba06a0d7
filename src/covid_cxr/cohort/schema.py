"""The columns of `cohort.csv`, and reading and writing it so that nothing changes on the way."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from covid_cxr.cohort.splits.leakage import assert_no_leak
from covid_cxr.cohort.tables import read_table
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.types import FINDINGS

SPLITS = ("train", "val", "test", "external", "excluded")
_FILLED = pa.Check(lambda column: column != "", error="some text")
_UNIQUE = pa.Check(lambda column: ~column.duplicated(keep=False), error="a row an image, once")
_SIZE = pa.Check.ge(0, error="pixels, 0 or more")


def _one_of(*values: str) -> pa.Check:
    return pa.Check.isin(values, error=" or ".join(value or "nothing" for value in values))


def _excluded_says_why(table: pd.DataFrame) -> pd.Series:
    return (table["split"] == "excluded") == (table["exclusion"] != "")


def _included_is_complete(table: pd.DataFrame) -> pd.Series:
    complete = table["finding"].isin(FINDINGS) & (table["sha256"] != "") & (table["width"] > 0)
    return complete | (table["split"] == "excluded")


SCHEMA = pa.DataFrameSchema(
    {
        "image_id": pa.Column(str, [_FILLED, _UNIQUE]),
        "path": pa.Column(str, _FILLED),
        "source": pa.Column(str, _FILLED),
        "site": pa.Column(str, _FILLED),
        "patient_id": pa.Column(str, _FILLED),
        "finding": pa.Column(str, _one_of(*FINDINGS, "")),
        "raw_finding": pa.Column(str),
        "view": pa.Column(str),
        "sex": pa.Column(str, _one_of("M", "F", "")),
        "age": pa.Column(float, pa.Check.in_range(0, 120, error="0 to 120 years"), nullable=True),
        "width": pa.Column(int, _SIZE),
        "height": pa.Column(int, _SIZE),
        "license": pa.Column(str),
        "sha256": pa.Column(str, pa.Check.str_matches(r"^([0-9a-f]{64})?$", error="64 hex digits")),
        "duplicate_group": pa.Column(str),
        "split": pa.Column(str, _one_of(*SPLITS)),
        "exclusion": pa.Column(str),
    },
    checks=[
        pa.Check(_excluded_says_why, error="a row has an exclusion if and only if it is excluded"),
        pa.Check(_included_is_complete, error="an included row has finding, sha256 and size"),
    ],
)
COLUMNS = tuple(SCHEMA.columns)


def validate(cohort: pd.DataFrame) -> None:
    """Check the columns and their order, types, allowed values, and that exclusions have a reason.

    `width` and `height` are pixels, 0 where the file could not be read; `age` is years or NaN.

    Raises:
        CohortError: the first violation, with the first offending row.
    """
    if list(cohort.columns) != list(COLUMNS):
        raise CohortError(
            f"cohort has the columns {', '.join(cohort.columns)}; expected {', '.join(COLUMNS)}"
        )
    try:
        SCHEMA.validate(cohort, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise CohortError(_first_problem(cohort, error.failure_cases)) from error


def load(path: Path | str) -> pd.DataFrame:
    """Read `cohort.csv`, validate it and make sure that no patient or duplicate crosses a split.

    Text stays text: ids keep their leading zeros and an empty cell is "", not NaN.

    Raises:
        CohortError: no such file, not a CSV, or not according to the schema.
        LeakError: a patient or a duplicate image stands in two splits.
    """
    cohort = read(path)
    assert_no_leak(cohort)
    return cohort


def read(path: Path | str) -> pd.DataFrame:
    """Read and validate `cohort.csv` for `cohort check`; everything else uses `load`.

    Raises:
        CohortError: no such file, not a CSV, or not according to the schema.
    """
    cohort = read_table(Path(path), COLUMNS).reset_index(drop=True)
    for column, kind, empty in (("age", float, math.nan), ("width", int, 0), ("height", int, 0)):
        try:
            cohort[column] = [
                kind(cell.replace(",", ".")) if cell else empty for cell in cohort[column]
            ]
        except ValueError as error:
            raise CohortError(f"cohort '{path}' column '{column}': {error}") from error
    validate(cohort)
    return cohort


def save(cohort: pd.DataFrame, path: Path | str) -> None:
    """Validate and write `cohort.csv` whole or not at all.

    Raises:
        CohortError: the table is not according to the schema.
    """
    validate(cohort)
    atomic_write(path, cohort.to_csv(index=False, lineterminator="\n"))


def _first_problem(cohort: pd.DataFrame, cases: pd.DataFrame) -> str:
    """Return one line that names the first row, what it holds and what it should."""
    # A column of the wrong type fails other checks too; the type is what to mend.
    wrong_type = cases[cases["check"].str.startswith("dtype")]
    case = cases.iloc[0] if wrong_type.empty else wrong_type.iloc[0]
    if pd.isna(case["index"]):
        return f"cohort column '{case['column']}' holds {case['failure_case']}: {case['check']}"
    image = cohort.at[int(case["index"]), "image_id"]
    if case["schema_context"] == "DataFrameSchema":
        return f"cohort image '{image}': expected that {case['check']}"
    return (
        f"cohort image '{image}': column '{case['column']}' holds '{case['failure_case']}', "
        f"expected {case['check']}"
    )
