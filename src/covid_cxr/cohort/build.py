"""From data sets on disk to one cohort: every image kept, or excluded with a reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from covid_cxr.cohort import datasets, duplicates, rules, schema, split
from covid_cxr.cohort.check import assert_no_leak
from covid_cxr.cohort.sources import Source, locate
from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CohortResult:
    """What `build` found.

    Attributes:
        cohort: one row an image, columns and types as in `covid_cxr.cohort.schema`.
        attrition: `source, rule, removed, remaining`, rules in the order they were applied.
        duplicates: the rows of every duplicate group, kept copy first.
    """

    cohort: pd.DataFrame
    attrition: pd.DataFrame
    duplicates: pd.DataFrame


def build(
    data_root: Path | str, config: CohortConfig, seed: int, *, progress: Progress | None = None
) -> CohortResult:
    """Read every source, exclude by rule, find duplicates and split.

    Rules in order: modality (no radiograph), view (not frontal; a missing view stays), label
    (unknown, or another finding), file (missing or unreadable), duplicates, external (a patient
    of an external source who is also in a source that is trained on).

    Args:
        data_root: folder that holds the data sets; paths in the cohort are relative to it.
        config: sources (none: all that are recognised by layout), external ones, shares.
        seed: of the split.
        progress: called with (files read, files in all).

    Raises:
        CohortError: nothing recognised, a source without usable rows, labels in no table, or
            an external source that is not in the cohort.
        UnknownName: no such adapter.
    """
    data_root = Path(data_root)
    sources = locate(data_root, config.datasets)
    _refuse_unknown_external(config, sources)
    table = _described(sources, data_root)
    rules.by_description(table, {name: s.options.labels for name, s in sources.items()})
    _read_files(table, data_root, progress)
    rules.by_duplicates(table, config.external)
    _refuse_emptied(table)
    table["split"] = split.assign(table, config, seed)
    cohort = table[list(schema.COLUMNS)]
    schema.validate(cohort)
    assert_no_leak(cohort)
    return CohortResult(cohort, rules.attrition(table), duplicates.table(cohort))


def write(result: CohortResult, out_dir: Path | str) -> None:
    """Write `cohort.csv`, `attrition.csv` and `duplicates.csv`, each whole or not at all."""
    for name, table in (("attrition", result.attrition), ("duplicates", result.duplicates)):
        text = table.to_csv(index=False, lineterminator="\n")
        atomic_write(Path(out_dir) / f"{name}.csv", text)
    schema.save(result.cohort, Path(out_dir) / "cohort.csv")  # last: where it is, all is


def summary(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return image counts: a row a source and finding, a column a split, and `total`."""
    included = cohort[cohort["split"] != "excluded"]
    counts = pd.crosstab([included["source"], included["finding"]], included["split"])
    counts = counts.reindex(columns=list(schema.SPLITS[:-1]), fill_value=0)
    counts["total"] = counts.sum(axis=1)
    counts.columns.name = None
    return counts.reset_index()


def _described(sources: dict[str, Source], data_root: Path) -> pd.DataFrame:
    """Return the rows of all sources, their ids prefixed, before any file is opened."""
    rows = [row for name, source in sources.items() for row in _rows(name, source, data_root)]
    table = pd.DataFrame(rows).astype({"age": "float64"})
    repeated = table.loc[table["image_id"].duplicated(), "image_id"]
    if len(repeated):
        raise CohortError(
            f"image_id '{repeated.iloc[0]}' occurs twice ({len(repeated)} repeated in all); "
            "each image must have one row"
        )
    return table.assign(finding="", exclusion="", rule="")


def _rows(name: str, source: Source, data_root: Path) -> Iterator[dict[str, object]]:
    records = datasets.adapter(source.options.adapter)(source.root, source.options)
    if not records:
        raise CohortError(f"source '{name}' in '{source.root}' has no images")
    base = source.root if source.root.is_dir() else source.root.parent
    for record in records:
        yield {
            **asdict(record),
            "source": name,
            # Two sources may number their images and patients alike.
            "image_id": f"{name}:{record.image_id}",
            "patient_id": f"{name}:{record.patient_id}",
            "site": record.site or name,
            "path": _relative(base / record.path, data_root),
        }


def _relative(path: Path, data_root: Path) -> str:
    """Return `path` relative to the data root where it lies in it, else absolute."""
    # Not Path.resolve(): a data set that is linked into the data root lies in it.
    full, root = (Path(os.path.abspath(each)) for each in (path, data_root))  # noqa: PTH100
    return (full.relative_to(root) if full.is_relative_to(root) else full).as_posix()


def _read_files(table: pd.DataFrame, data_root: Path, progress: Progress | None) -> None:
    """Fill in sha256, width and height, in place, and apply the rule on files."""
    facts = []
    # Threads, because decoding and hashing leave the interpreter's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        paths = [data_root / path for path in table["path"]]
        for done, fact in enumerate(pool.map(rules.read_file, paths), start=1):
            facts.append(fact)
            if progress:
                progress(done, len(paths))
    columns = ["sha256", "width", "height", "reason"]
    found = pd.DataFrame(facts, columns=columns, index=table.index)
    table[columns[:3]] = found[columns[:3]]
    rules.exclude(table, "file", found["reason"])


def _refuse_unknown_external(config: CohortConfig, sources: dict[str, Source]) -> None:
    unknown = sorted(set(config.external) - set(sources))
    if unknown:
        raise CohortError(
            f"external source '{unknown[0]}' is not in the cohort; it has {', '.join(sources)}"
        )


def _refuse_emptied(table: pd.DataFrame) -> None:
    for name, rows in table.groupby("source", sort=False):
        if (rows["exclusion"] != "").all():
            counts = rows["exclusion"].value_counts()
            reasons = ", ".join(f"{why} ({count})" for why, count in counts.head(3).items())
            raise CohortError(f"source '{name}' has no usable image left of {len(rows)}: {reasons}")
