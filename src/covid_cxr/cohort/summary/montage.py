"""Montages: the images of a cohort, many on a page, for review by somebody who can read them.

They show the radiographs themselves. Never publish or commit them: most sources forbid it, and a
radiograph is a patient's.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from covid_cxr import imaging
from covid_cxr.cohort.dedup import resolution
from covid_cxr.errors import AlteredImage, UnreadableImage
from covid_cxr.files import atomic_write
from covid_cxr.imaging.page import MUTED, TEXT, Cell, Grid, png, thumbnail
from covid_cxr.progress import report
from covid_cxr.types import DISCLAIMER, FINDINGS

PRIVATE = "these are patients' radiographs: never publish or commit them"

GRID = Grid(edge=160, across=8, lines=4, letter=11, fewest=8)
_MOST = 5 * GRID.across  # images on a page
_MOST_GROUPS = 120


class _Image(NamedTuple):
    """One image: its file, the lines below it, and the group that it is framed with, if any."""

    path: Path
    sha256: str
    caption: tuple[str, ...]
    group: int | None = None


class _Montage(NamedTuple):
    """A page: its file's name, the title and the note above, and its images; None is a gap."""

    name: str
    title: str
    note: str
    images: list[_Image | None]


def montages(cohort: pd.DataFrame, data_root: Path, folder: Path, seed: int) -> list[Path]:
    """Write one PNG for each source and finding, and some of duplicate groups; return the paths.

    `<source>-<finding>.png` shows up to 40 included images, drawn at random; `duplicates-<n>.png`
    up to 120 duplicate groups in all, side by side, the kept copy first. Aspect is kept, on black;
    an image that cannot be read, or was replaced, is a crossed cell with the reason. One image is
    in memory at a time.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it, its rows in any order.
        data_root: folder that the paths in it are relative to.
        folder: where to; made where missing, montages of the same name are replaced.
        seed: random seed; same seed, same bytes.

    Raises:
        OSError: the folder cannot be written.
    """
    pages = [*_of_findings(cohort, data_root, seed), *_of_duplicates(cohort, data_root, seed)]
    done, total = 0, sum(image is not None for page in pages for image in page.images)
    written = []
    for page in pages:
        cells: list[Cell | None] = []
        for image in page.images:
            cells.append(image and _cell(image))
            if image:
                done += 1
                report("drawing montages", done, total)
        head = page.title, page.note, f"{DISCLAIMER} {PRIVATE.capitalize()}."
        written.append(folder / f"{page.name}.png")
        atomic_write(written[-1], png(GRID.draw(head, cells)))
    return written


def _of_findings(cohort: pd.DataFrame, data_root: Path, seed: int) -> Iterator[_Montage]:
    included = cohort[cohort["split"] != "excluded"].sort_values("image_id")
    taken: set[str] = set()
    for source, of_source in included.groupby("source"):
        stem = _stem(str(source), taken)
        for finding in FINDINGS:
            rows = of_source[of_source["finding"] == finding]
            if rows.empty:
                continue
            rng = np.random.default_rng([seed, zlib.crc32(f"{source}\n{finding}".encode())])
            chosen = rows.iloc[np.sort(rng.permutation(len(rows))[:_MOST])]
            images: list[_Image | None] = [
                _Image(data_root / row.path, row.sha256, (_short_id(row), _demographics(row)))
                for row in chosen.itertuples()
            ]
            note = (
                f"{len(images)} of {len(rows):,} images of {rows['patient_id'].nunique():,} "
                f"patients, drawn with seed {seed}; below each: id, view, age/sex"
            )
            yield _Montage(f"{stem}-{finding}", f"{source} · {finding}", note, images)


def _of_duplicates(cohort: pd.DataFrame, data_root: Path, seed: int) -> Iterator[_Montage]:
    hashes = cohort.set_index("image_id")["sha256"]
    table = resolution.duplicates_table(cohort).assign(sha256=lambda t: t["image_id"].map(hashes))
    names = table["duplicate_group"].unique()
    chosen = names[np.sort(np.random.default_rng(seed).permutation(len(names))[:_MOST_GROUPS])]
    groups = table[table["duplicate_group"].isin(chosen)].groupby("duplicate_group")
    images: list[_Image | None] = []
    for number, (_, rows) in enumerate(groups):
        members = _group(rows, data_root, number)
        room = -len(images) % GRID.across
        if len(members) > room:
            images += [None] * room  # a group that does not fit begins a new row
        images += members
    note = (
        f"{len(chosen)} of {len(names):,} groups, drawn with seed {seed}; copies stand side by side"
    )
    for start in range(0, len(images), _MOST):
        name, of = start // _MOST + 1, -(-len(images) // _MOST)
        title = f"Duplicate groups, page {name} of {of}"
        yield _Montage(f"duplicates-{name}", title, note, images[start : start + _MOST])


def _group(rows: pd.DataFrame, data_root: Path, number: int) -> list[_Image]:
    """Return the images of one group, at most a row of them."""
    images, more = [], len(rows) - GRID.across
    for position, row in enumerate(rows.head(GRID.across).itertuples(), start=1):
        finding = f"{row.source} · {row.finding or row.raw_finding or 'no finding'}"
        split = "excluded" if row.split == "excluded" else f"kept, in {row.split}"
        if position == GRID.across and more > 0:
            split += f"; {more} more copies"
        caption = (_short_id(row), finding, split)
        images.append(_Image(data_root / row.path, row.sha256, caption, number))
    return images


def _cell(image: _Image) -> Cell:
    """Read an image and return its thumbnail, or why it cannot be read, above its caption."""
    name, *others = image.caption
    caption = [(name, TEXT), *((line, MUTED) for line in others)]
    try:
        pixels = imaging.read(image.path, sha256=image.sha256 or None).pixels
        return Cell(thumbnail(pixels, GRID.edge), caption, image.group)
    except (UnreadableImage, AlteredImage) as error:
        return Cell(str(error).removeprefix(f"'{image.path}' "), caption, image.group)


def _short_id(row: Any) -> str:
    return str(row.image_id).removeprefix(f"{row.source}:")


def _demographics(row: Any) -> str:
    """Return view and age/sex of a row (a named tuple), "?" for what is not stated."""
    age = "?" if np.isnan(row.age) else f"{row.age:.0f}"
    return f"{row.view or '?'} · {age}/{row.sex or '?'}"


def _stem(source: str, taken: set[str]) -> str:
    """Return a file name for a source, whatever it is called, unlike those taken; add it there."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", source).strip("-.")[:80] or "source"
    names = (plain if not number else f"{plain}-{number + 1}" for number in range(len(taken) + 1))
    stem = next(name for name in names if name.casefold() not in taken)
    taken.add(stem.casefold())
    return stem
