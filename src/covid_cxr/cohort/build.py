"""From data sets on disk to one cohort: every image kept, or excluded with a reason."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from covid_cxr.cohort import datasets, exclusions, schema
from covid_cxr.cohort.cells import view_of
from covid_cxr.cohort.dedup import resolution
from covid_cxr.cohort.file_names import with_files
from covid_cxr.cohort.inventory import File, Inventory, as_unicode, fingerprints
from covid_cxr.cohort.records import Record
from covid_cxr.cohort.sources import Source, locate
from covid_cxr.cohort.splits import strategies
from covid_cxr.cohort.splits.leakage import assert_no_leak
from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.imaging.raster import MAX_PIXELS

_FLAGS = {"source": "str", "flag": "str", "images": "int64", "included": "int64"}
_MISTAKES = ("modality", "label", "file")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CohortResult:
    """What `build` returns.

    Attributes:
        cohort: one row an image, columns and types as in `covid_cxr.cohort.schema`.
        attrition: `source, rule, removed, remaining`, rules in the order they were applied.
        duplicates: the rows of every duplicate group, kept copy first; `conflict` where the
            copies carry different findings.
        near_duplicates: `first, second, similarity`: the pairs of hashes that made the groups.
        boxes: `image_id, x, y, width, height` of marked opacities, pixels of the file.
        flags: `source, flag, images, included`: what reading flagged, of included rows too.
        unread: `source, column, value, images`: cells that are stated and not understood.
    """

    cohort: pd.DataFrame
    attrition: pd.DataFrame
    duplicates: pd.DataFrame
    near_duplicates: pd.DataFrame
    boxes: pd.DataFrame
    flags: pd.DataFrame
    unread: pd.DataFrame


def build(
    data_root: Path | str,
    config: CohortConfig,
    seed: int,
    *,
    files: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    processes: int = 1,
) -> CohortResult:
    """Read every source, exclude by rule, find duplicates and split.

    Rules in order: modality (no radiograph), view (not frontal; a missing view stays), label
    (unknown, or another finding), children, time window, file (missing, unreadable or blank),
    duplicates, one per patient, external (a patient or copy of an external source that is also
    in a source that is trained on), split (left out by the split strategy). What a table does
    not state of modality and view, a DICOM file may.

    Args:
        data_root: folder that holds the data sets; paths in the cohort are relative to it.
        config: sources (none: all that are recognised by layout), filters, split strategy.
        seed: of the split.
        files: database of what is known of the files, kept from build to build; None keeps none.
        max_pixels: larger images are rejected before they are decoded.
        processes: how many read files at a time. With more than one, a script that calls this
            needs `if __name__ == "__main__":`.

    Raises:
        CohortError: nothing recognised, a source without usable rows, labels in no table, or
            an external source that is not in the cohort.
        LeakError: a fixed list puts a patient or copies on two sides.
        UnknownName: no such adapter.
    """
    data_root = Path(data_root)
    sources = locate(data_root, config.datasets)
    _check_external(config, sources)
    table = _described(sources, data_root)
    own = {name: source.options.labels for name, source in sources.items()}
    exclusions.by_description(table, own, config.filters)
    with closing(Inventory(files, max_pixels=max_pixels)) as inventory:
        paths = [data_root / path for path in table["path"]]
        examined = inventory.take(paths, processes=processes)
    _add_files(table, examined, config)
    pairs = _add_groups(table, examined)
    exclusions.by_duplicates(table, config)
    _check_emptied(table)
    assigned = strategies.assign(table, config, seed, data_root)
    exclusions.exclude(table, "split", assigned["reason"])
    table["split"] = assigned["split"]
    cohort = table[list(schema.COLUMNS)]
    schema.validate(cohort)
    assert_no_leak(cohort)
    return CohortResult(
        cohort,
        exclusions.attrition(table),
        resolution.duplicates_table(cohort),
        pairs,
        _boxes(table),
        exclusions.reading_flags(table),
        exclusions.unread_cells(table),
    )


def write(result: CohortResult, out_dir: Path | str) -> None:
    """Write `cohort.csv` and its tables, each whole or not at all.

    The tables are `attrition.csv`, `duplicates.csv`, `overlap.csv` (what sources share),
    `near-duplicates.csv` (the pairs behind it), `reading-flags.csv`, `unread-cells.csv` and, where
    a source marks opacities, `boxes.csv`.
    """
    tables = {
        "attrition": result.attrition,
        "duplicates": result.duplicates,
        "overlap": resolution.overlap(result.duplicates),
        "near-duplicates": result.near_duplicates,
        "reading-flags": result.flags,
        "unread-cells": result.unread,
        **({"boxes": result.boxes} if len(result.boxes) else {}),
    }
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n", float_format="%.4g")
        atomic_write(Path(out_dir) / f"{name}.csv", text)
    schema.save(result.cohort, Path(out_dir) / "cohort.csv")  # last: where it is, all is


def read_flags(cohort: Path) -> pd.DataFrame:
    """Return `reading-flags.csv` from beside a `cohort.csv`, without rows where there is none.

    Raises:
        CohortError: the table cannot be read.
    """
    file = cohort.with_name("reading-flags.csv")
    try:
        return pd.read_csv(file, dtype=_FLAGS, keep_default_na=False)[list(_FLAGS)]
    except FileNotFoundError:
        return no_flags()
    except (OSError, ValueError, LookupError, pd.errors.ParserError) as error:
        reason = " ".join(str(error).split())
        raise CohortError(f"'{file}' is no table of flags ({reason}); build it again") from error


def no_flags() -> pd.DataFrame:
    """Return the table of `read_flags` without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _FLAGS.items()})


def split_counts(cohort: pd.DataFrame) -> pd.DataFrame:
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
    for record in with_files(_once(records, name), base, name):
        path = _relative(base / record.path, data_root)
        yield {
            **asdict(record),
            "source": name,
            # Two sources may number their images and patients alike.
            "image_id": f"{name}:{as_unicode(record.image_id)}",
            "patient_id": f"{name}:{as_unicode(record.patient_id)}",
            "site": record.site or name,
            "path": as_unicode(path),
            "misnamed": as_unicode(path) != path,
        }


def _once(records: Sequence[Record], source: str) -> list[Record]:
    """Return the records without those that repeat another in everything."""
    once = list({repr(record): record for record in records}.values())  # NaN is not equal to NaN
    if len(once) < len(records):
        logger.warning(
            "source '%s': %d rows repeat another in all that is read and are passed over",
            *(source, len(records) - len(once)),
        )
    return once


def _relative(path: Path, data_root: Path) -> str:
    """Return `path` relative to the data root where it lies in it, else absolute."""
    # Not Path.resolve(): a data set that is linked into the data root lies in it.
    full, root = map(Path, map(os.path.abspath, (path, data_root)))
    return (full.relative_to(root) if full.is_relative_to(root) else full).as_posix()


def _add_files(table: pd.DataFrame, files: Sequence[File], config: CohortConfig) -> None:
    """Fill in, in place, what the files say, and apply the rules on it."""
    for column in ("sha256", "width", "height"):
        table[column] = [getattr(file, column) for file in files]
    table["flags"] = [file.flag_list for file in files]
    reasons = pd.Series([file.reason for file in files], index=table.index)
    reasons = reasons.mask(table["misnamed"], "unreadable: its name is no Unicode, rename it")
    exclusions.exclude(table, "file", reasons)
    for column, read in (("view", view_of), ("modality", str)):
        stated = pd.Series([read(getattr(file, column)) for file in files], index=table.index)
        table[column] = table[column].where(table[column] != "", stated)
    exclusions.by_modality_and_view(table, config.filters)


def _add_groups(table: pd.DataFrame, files: Sequence[File]) -> pd.DataFrame:
    """Fill in `duplicate_group`, in place, and return the pairs of near-duplicates."""
    # A file that is not decodable has a hash but no fingerprint: its copies are unknown.
    usable = [file for file in files if file.fingerprint]
    hashes = table["sha256"].where([bool(file.fingerprint) for file in files], "")
    table["duplicate_group"], pairs = resolution.group(hashes, fingerprints(usable))
    return pairs


def _boxes(table: pd.DataFrame) -> pd.DataFrame:
    marked = table.loc[table["boxes"].map(len) > 0, ["image_id", "boxes"]].explode("boxes")
    boxes = pd.DataFrame(marked["boxes"].tolist(), columns=["x", "y", "width", "height"])
    boxes.insert(0, "image_id", marked["image_id"].to_numpy())
    return boxes


def _check_external(config: CohortConfig, sources: dict[str, Source]) -> None:
    unknown = sorted(set(config.external) - set(sources))
    if unknown:
        raise CohortError(
            f"external source '{unknown[0]}' is not in the cohort; it has {', '.join(sources)}"
        )


def _check_emptied(table: pd.DataFrame) -> None:
    """Warn of a source of which filters leave nothing; a source without usable files is an error.

    Labels, modality and files are what a source is; the other rules are what was asked for, and a
    source may well be another's copy from end to end.
    """
    for name, rows in table.groupby("source", sort=False):
        if (rows["exclusion"] == "").any():
            continue
        counts = rows["exclusion"].value_counts()
        reasons = ", ".join(f"{why} ({count})" for why, count in counts.head(3).items())
        settings = [
            setting for rule, setting in exclusions.SETTINGS.items() if (rows["rule"] == rule).any()
        ]
        hint = f"; see the setting {' and '.join(settings)}" if settings else ""
        message = f"source '{name}' has no usable image left of {len(rows)}: {reasons}{hint}"
        if (rows["exclusion"] == "file missing").all():
            message += f", such as '{rows['path'].iloc[0]}'"
        if rows["rule"].isin(_MISTAKES).all() or (table["exclusion"] != "").all():
            raise CohortError(message)
        logger.warning("%s", message)
