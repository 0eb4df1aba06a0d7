"""Contact sheets: the films of a cohort, many on a page, to be looked at by someone who can.

They hold the films themselves. Never publish or commit them: most sources forbid it, and a film is
a patient's.
"""

from __future__ import annotations

import io
import re
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from covid_cxr import imaging
from covid_cxr.cohort.dedup import resolution
from covid_cxr.errors import UnreadableImage
from covid_cxr.files import atomic_write
from covid_cxr.imaging.text import Colour, printable, shorten, write
from covid_cxr.progress import report
from covid_cxr.types import DISCLAIMER, FINDINGS, FloatArray

PRIVATE = "these are the films themselves: never publish or commit them"

_ACROSS, _DOWN = 8, 5
_MOST = _ACROSS * _DOWN
_MOST_GROUPS = 120
_FILM, _GAP, _LINE = 160, 12, 14  # pixels: edge of a cell, space between cells, a line of text
_CAPTION = 3 * _LINE + 6
_HEAD = 78
_GROUND, _TEXT, _MUTED, _CROSS = (17, 19, 23), (238, 240, 243), (156, 163, 173), (190, 92, 50)
_Place = tuple[int, int]
_Style = tuple[int, Colour]  # letter size


@dataclass(frozen=True)
class _Film:
    """One cell: where the file lies, what stands below it, and what it stands beside."""

    path: Path
    caption: tuple[str, ...]
    group: int


@dataclass(frozen=True)
class _Sheet:
    name: str
    title: str
    note: str
    films: tuple[_Film, ...]
    framed: bool = False


def montages(
    cohort: pd.DataFrame,
    data_root: Path,
    folder: Path,
    seed: int,
) -> list[Path]:
    """Write one PNG for each source and finding, and some of duplicate groups; return the paths.

    `<source>-<finding>.png` shows up to 40 included films, drawn at random; `copies-<n>.png` up to
    120 groups of copies in all, side by side, the kept one first. Aspect is kept, on black; a
    film that cannot be read is a crossed cell with the reason. One film is in memory at a time.

    Args:
        cohort: as `covid_cxr.cohort.schema.load` returns it, its rows in any order.
        data_root: folder that the paths in it are relative to.
        folder: where to; made where missing, sheets of the same name are replaced.
        seed: of the draw; same seed, same bytes.

    Raises:
        OSError: the folder cannot be written.
    """
    sheets = [*_of_findings(cohort, data_root, seed), *_of_copies(cohort, data_root, seed)]
    done, total = 0, sum(len(sheet.films) for sheet in sheets)
    written = []
    for sheet in sheets:
        page, draw = _page(sheet)
        for film, place in zip(sheet.films, _places(sheet.films), strict=True):
            _cell(page, draw, film, place)
            done += 1
            report("drawing montages", done, total)
        picture = io.BytesIO()
        page.save(picture, "PNG")
        written.append(folder / f"{sheet.name}.png")
        atomic_write(written[-1], picture.getvalue())
    return written


def _of_findings(cohort: pd.DataFrame, data_root: Path, seed: int) -> Iterator[_Sheet]:
    included = cohort[cohort["split"] != "excluded"].sort_values("image_id")
    taken: set[str] = set()
    for source, of_source in included.groupby("source"):
        stem = _stem(str(source), taken)
        for finding in FINDINGS:
            rows = of_source[of_source["finding"] == finding]
            if rows.empty:
                continue
            rng = np.random.default_rng([seed, zlib.crc32(f"{source}\n{finding}".encode())])
            chosen = np.sort(rng.permutation(len(rows))[:_MOST])
            films = [
                _Film(data_root / row.path, (_own(row.image_id, source), _who(row)), number)
                for number, row in enumerate(rows.iloc[chosen].itertuples())
            ]
            note = (
                f"{len(films)} of {len(rows):,} images of {rows['patient_id'].nunique():,} "
                f"patients, drawn with seed {seed}; below each: id, view, age/sex"
            )
            yield _Sheet(f"{stem}-{finding}", f"{source} · {finding}", note, tuple(films))


def _of_copies(cohort: pd.DataFrame, data_root: Path, seed: int) -> Iterator[_Sheet]:
    table = resolution.table(cohort)
    names = table["duplicate_group"].unique()
    chosen = np.sort(np.random.default_rng(seed).permutation(len(names))[:_MOST_GROUPS])
    groups = dict(
        iter(table[table["duplicate_group"].isin(names[chosen])].groupby("duplicate_group"))
    )
    pages: list[list[_Film]] = [[]]
    for number, rows in enumerate(groups.values()):
        films = _copies(rows, data_root, number)
        if _rows(_places([*pages[-1], *films])) > _DOWN:
            pages.append([])
        pages[-1] += films
    note = (
        f"{len(groups)} of {len(names):,} groups, drawn with seed {seed}; copies stand side by side"
    )
    for number, films in enumerate(filter(None, pages), start=1):
        title = f"Groups of copies, sheet {number} of {len(pages)}"
        yield _Sheet(f"copies-{number}", title, note, tuple(films), framed=True)


def _copies(rows: pd.DataFrame, data_root: Path, number: int) -> list[_Film]:
    """Return the cells of one group, at most a row of them."""
    films = []
    for row in rows.head(_ACROSS).itertuples():
        what = f"{row.source} · {row.finding or row.raw_finding or 'no finding'}"
        fate = "left out" if row.split == "excluded" else f"kept, in {row.split}"
        caption = (_own(row.image_id, row.source), what, fate)
        films.append(_Film(data_root / row.path, caption, number))
    if len(rows) > _ACROSS:
        *lines, fate = films[-1].caption
        more = f"{fate}; {len(rows) - _ACROSS} more copies"
        films[-1] = replace(films[-1], caption=(*lines, more))
    return films


def _own(image_id: str, source: object) -> str:
    return image_id.removeprefix(f"{source}:")


def _who(row: object) -> str:
    """Return view and age/sex of a row (a named tuple), "?" for what is not stated."""
    view, age, sex = (getattr(row, name) for name in ("view", "age", "sex"))
    return f"{view or '?'} · {'?' if np.isnan(age) else f'{age:.0f}'}/{sex or '?'}"


def _stem(source: str, taken: set[str]) -> str:
    """Return a file name for a source, whatever it is called, unlike those taken; note it there."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", source).strip("-.")[:80] or "source"
    names = (plain if not number else f"{plain}-{number + 1}" for number in range(len(taken) + 1))
    stem = next(name for name in names if name.casefold() not in taken)
    taken.add(stem.casefold())
    return stem


def _places(films: Sequence[_Film]) -> list[_Place]:
    """Return column and row of each film; a group that does not fit begins a new row."""
    places: list[_Place] = []
    column, row, group = 0, 0, None
    for number, film in enumerate(films):
        if film.group != group:
            size = sum(other.group == film.group for other in films[number : number + _ACROSS])
            if column + size > _ACROSS:
                column, row = 0, row + 1
            group = film.group
        places.append((column, row))
        column += 1
    return places


def _rows(places: Sequence[_Place]) -> int:
    return max((row for _, row in places), default=-1) + 1


def _page(sheet: _Sheet) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return the page with its head, and frames round groups that stand together."""
    places = _places(sheet.films)
    width = _GAP + _ACROSS * (_FILM + _GAP)
    page = Image.new("RGB", (width, _HEAD + _rows(places) * (_FILM + _CAPTION + _GAP)), _GROUND)
    draw = ImageDraw.Draw(page)
    room = width - 2 * _GAP
    for y, text, style in (
        (10, sheet.title, (20, _TEXT)),
        (36, sheet.note, (13, _TEXT)),
        (54, f"{DISCLAIMER} {PRIVATE.capitalize()}.", (13, _MUTED)),
    ):
        _write(draw, (_GAP, y), text, style, room)
    if sheet.framed:
        for group in {film.group for film in sheet.films}:
            own = [at for film, at in zip(sheet.films, places, strict=True) if film.group == group]
            (left, top), (right, _) = _corner(own[0]), _corner(own[-1])
            box = (left - 4, top - 4, right + _FILM + 4, top + _FILM + _CAPTION - 2)
            draw.rectangle(box, outline=_MUTED)
    return page, draw


def _corner(place: _Place) -> _Place:
    column, row = place
    return _GAP + column * (_FILM + _GAP), _HEAD + row * (_FILM + _CAPTION + _GAP)


def _cell(page: Image.Image, draw: ImageDraw.ImageDraw, film: _Film, place: _Place) -> None:
    x, y = _corner(place)
    draw.rectangle((x, y, x + _FILM - 1, y + _FILM - 1), fill=(0, 0, 0))
    try:
        small = _small(imaging.read(film.path).pixels)
        page.paste(small, (x + (_FILM - small.width) // 2, y + (_FILM - small.height) // 2))
    except UnreadableImage as error:
        _cross(draw, (x, y), str(error).removeprefix(f"'{film.path}' "))
    for number, line in enumerate(film.caption):
        at = (x, y + _FILM + 3 + number * _LINE)
        _write(draw, at, line, (11, _MUTED if number else _TEXT), _FILM)


def _small(pixels: FloatArray) -> Image.Image:
    grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    scale = _FILM / max(grey.size)
    width, height = (max(1, round(edge * scale)) for edge in grey.size)
    return grey.resize((width, height), Image.Resampling.LANCZOS)


def _cross(draw: ImageDraw.ImageDraw, corner: _Place, reason: str) -> None:
    x, y = corner
    end = _FILM - 1
    draw.rectangle((x, y, x + end, y + end), outline=_CROSS)
    draw.line((x, y, x + end, y + end), fill=_CROSS)
    draw.line((x, y + end, x + end, y), fill=_CROSS)
    for number, line in enumerate(textwrap.wrap(reason, 25)[:6]):
        at = (x + 6, y + 40 + number * _LINE)
        _write(draw, at, line, (11, _TEXT), _FILM - 12)


def _write(draw: ImageDraw.ImageDraw, at: _Place, text: str, style: _Style, room: int) -> None:
    """Write one line, its middle left out where it is longer than `room` pixels."""
    size, colour = style
    write(draw, at, shorten(printable(text), size, room), size, colour)
