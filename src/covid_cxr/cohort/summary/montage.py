"""Montages: the images of a cohort, many on a page, for review by somebody who can read them.

They show the radiographs themselves. Never publish or commit them: most sources forbid it, and a
radiograph is a patient's.
"""

from __future__ import annotations

import io
import re
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageOps

from covid_cxr import imaging
from covid_cxr.cohort.dedup import resolution
from covid_cxr.errors import UnreadableImage
from covid_cxr.files import atomic_write
from covid_cxr.imaging.text import Colour, printable, shorten, write
from covid_cxr.progress import report
from covid_cxr.types import DISCLAIMER, FINDINGS

PRIVATE = "these are patients' radiographs: never publish or commit them"

_ACROSS, _DOWN = 8, 5
_MOST = _ACROSS * _DOWN
_MOST_GROUPS = 120
_EDGE, _GAP, _LINE = 160, 12, 14  # pixels: edge of a cell, space between cells, a line of text
_CAPTION = 3 * _LINE + 6
_HEAD = 78
_GROUND, _TEXT, _MUTED, _CROSS = (17, 19, 23), (238, 240, 243), (156, 163, 173), (190, 92, 50)
_Point = tuple[int, int]
_Style = tuple[int, Colour]  # letter size


@dataclass(frozen=True)
class _Cell:
    """One image: its file, the lines below it, and the group that it is placed in."""

    path: Path
    caption: tuple[str, ...]
    group: int


@dataclass(frozen=True)
class _Montage:
    name: str
    title: str
    note: str
    cells: tuple[_Cell, ...]
    framed: bool = False


def montages(cohort: pd.DataFrame, data_root: Path, folder: Path, seed: int) -> list[Path]:
    """Write one PNG for each source and finding, and some of duplicate groups; return the paths.

    `<source>-<finding>.png` shows up to 40 included images, drawn at random; `duplicates-<n>.png`
    up to 120 duplicate groups in all, side by side, the kept copy first. Aspect is kept, on black;
    an image that cannot be read is a crossed cell with the reason. One image is in memory at a
    time.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it, its rows in any order.
        data_root: folder that the paths in it are relative to.
        folder: where to; made where missing, montages of the same name are replaced.
        seed: random seed; same seed, same bytes.

    Raises:
        OSError: the folder cannot be written.
    """
    pages = [*_of_findings(cohort, data_root, seed), *_of_duplicates(cohort, data_root, seed)]
    done, total = 0, sum(len(page.cells) for page in pages)
    written = []
    for page in pages:
        picture, draw = _page(page)
        for cell, position in zip(page.cells, _positions(page.cells), strict=True):
            _draw_cell(picture, draw, cell, _corner(position))
            done += 1
            report("drawing montages", done, total)
        content = io.BytesIO()
        picture.save(content, "PNG")
        written.append(folder / f"{page.name}.png")
        atomic_write(written[-1], content.getvalue())
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
            cells = tuple(
                _Cell(data_root / row.path, (_short_id(row), _demographics(row)), number)
                for number, row in enumerate(chosen.itertuples())
            )
            note = (
                f"{len(cells)} of {len(rows):,} images of {rows['patient_id'].nunique():,} "
                f"patients, drawn with seed {seed}; below each: id, view, age/sex"
            )
            yield _Montage(f"{stem}-{finding}", f"{source} · {finding}", note, cells)


def _of_duplicates(cohort: pd.DataFrame, data_root: Path, seed: int) -> Iterator[_Montage]:
    table = resolution.duplicates_table(cohort)
    names = table["duplicate_group"].unique()
    chosen = names[np.sort(np.random.default_rng(seed).permutation(len(names))[:_MOST_GROUPS])]
    groups = table[table["duplicate_group"].isin(chosen)].groupby("duplicate_group")
    pages: list[list[_Cell]] = [[]]
    for number, (_, rows) in enumerate(groups):
        cells = _group(rows, data_root, number)
        if _rows(_positions([*pages[-1], *cells])) > _DOWN:
            pages.append([])
        pages[-1] += cells
    note = (
        f"{len(chosen)} of {len(names):,} groups, drawn with seed {seed}; copies stand side by side"
    )
    for number, page in enumerate(filter(None, pages), start=1):
        title = f"Duplicate groups, page {number} of {len(pages)}"
        yield _Montage(f"duplicates-{number}", title, note, tuple(page), framed=True)


def _group(rows: pd.DataFrame, data_root: Path, number: int) -> list[_Cell]:
    """Return the cells of one group, at most a row of them."""
    cells = []
    for row in rows.head(_ACROSS).itertuples():
        finding = f"{row.source} · {row.finding or row.raw_finding or 'no finding'}"
        split = "excluded" if row.split == "excluded" else f"kept, in {row.split}"
        cells.append(_Cell(data_root / row.path, (_short_id(row), finding, split), number))
    if len(rows) > _ACROSS:
        *lines, split = cells[-1].caption
        more = f"{split}; {len(rows) - _ACROSS} more copies"
        cells[-1] = replace(cells[-1], caption=(*lines, more))
    return cells


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


def _positions(cells: Sequence[_Cell]) -> list[_Point]:
    """Return column and row of each cell; a group that does not fit begins a new row."""
    positions: list[_Point] = []
    column, row, group = 0, 0, None
    for number, cell in enumerate(cells):
        if cell.group != group:
            size = sum(other.group == cell.group for other in cells[number : number + _ACROSS])
            if column + size > _ACROSS:
                column, row = 0, row + 1
            group = cell.group
        positions.append((column, row))
        column += 1
    return positions


def _rows(positions: Sequence[_Point]) -> int:
    return max((row for _, row in positions), default=-1) + 1


def _page(page: _Montage) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return the picture with its head, and frames round groups that stand together."""
    positions = _positions(page.cells)
    width = _GAP + _ACROSS * (_EDGE + _GAP)
    height = _HEAD + _rows(positions) * (_EDGE + _CAPTION + _GAP)
    picture = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(picture)
    for y, text, style in (
        (10, page.title, (20, _TEXT)),
        (36, page.note, (13, _TEXT)),
        (54, f"{DISCLAIMER} {PRIVATE.capitalize()}.", (13, _MUTED)),
    ):
        _write(draw, (_GAP, y), text, style, width - 2 * _GAP)
    if page.framed:
        groups: dict[int, list[_Point]] = {}
        for cell, position in zip(page.cells, positions, strict=True):
            groups.setdefault(cell.group, []).append(_corner(position))
        for (left, top), *_, (right, _) in ([*own, own[-1]] for own in groups.values()):
            box = (left - 4, top - 4, right + _EDGE + 4, top + _EDGE + _CAPTION - 2)
            draw.rectangle(box, outline=_MUTED)
    return picture, draw


def _corner(position: _Point) -> _Point:
    column, row = position
    return _GAP + column * (_EDGE + _GAP), _HEAD + row * (_EDGE + _CAPTION + _GAP)


def _draw_cell(
    picture: Image.Image, draw: ImageDraw.ImageDraw, cell: _Cell, corner: _Point
) -> None:
    x, y = corner
    draw.rectangle((x, y, x + _EDGE - 1, y + _EDGE - 1), fill=(0, 0, 0))
    try:
        pixels = imaging.read(cell.path).pixels
        grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
        picture.paste(ImageOps.pad(grey, (_EDGE, _EDGE), Image.Resampling.LANCZOS), corner)
    except UnreadableImage as error:
        _cross_out(draw, corner, str(error).removeprefix(f"'{cell.path}' "))
    for number, line in enumerate(cell.caption):
        at = (x, y + _EDGE + 3 + number * _LINE)
        _write(draw, at, line, (11, _MUTED if number else _TEXT), _EDGE)


def _cross_out(draw: ImageDraw.ImageDraw, corner: _Point, reason: str) -> None:
    x, y = corner
    end = _EDGE - 1
    draw.rectangle((x, y, x + end, y + end), outline=_CROSS)
    draw.line((x, y, x + end, y + end), fill=_CROSS)
    draw.line((x, y + end, x + end, y), fill=_CROSS)
    for number, line in enumerate(textwrap.wrap(reason, 25)[:6]):
        at = (x + 6, y + 40 + number * _LINE)
        _write(draw, at, line, (11, _TEXT), _EDGE - 12)


def _write(draw: ImageDraw.ImageDraw, at: _Point, text: str, style: _Style, room: int) -> None:
    """Write one line, its middle omitted where it is longer than `room` pixels."""
    size, colour = style
    write(draw, at, shorten(printable(text), size, room), size, colour)
