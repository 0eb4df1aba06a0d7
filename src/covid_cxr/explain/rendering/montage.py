"""Montages: many explained radiographs on a page, to be looked through.

They hold the radiographs themselves. Never publish or commit montages of patients' images. Those of
`covid_cxr.cohort.summary.montage` are drawn from a cohort table before anything is explained; both
write through `covid_cxr.imaging.text`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from types import TracebackType
from typing import NamedTuple

from PIL import Image, ImageDraw

from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle, draw_overlay
from covid_cxr.explain.rendering.page import GROUND, MUTED, TEXT, WARNING, Caption, method_in_words
from covid_cxr.explain.rendering.sentence import fidelity_in_words, is_doubtful, mostly_outside
from covid_cxr.explain.rendering.writing import panel
from covid_cxr.files import atomic_write
from covid_cxr.imaging.text import Colour, printable, shorten, wrap, write
from covid_cxr.types import DISCLAIMER, Explanation, FloatArray

ACROSS, DOWN = 6, 4
PRIVATE = "Holds the images themselves: keep it as private as they are."
_FILM, _GAP, _LINE, _LETTER = 256, 16, 17, 13  # pixels
_LINES = 5  # of a caption
_HEAD, _FOOT, _CAPTION = 72, 32, _LINES * _LINE + 8


class Tile(NamedTuple):
    """One radiograph of a montage.

    Attributes:
        pixels: the radiograph as read, (H, W) in [0, 1]; None where it could not be.
        explanation: drawn over the film; None leaves it grey.
        facts: file, probability and flags.
        label: the class that was called, where there is no explanation to tell; empty where
            none was.
    """

    pixels: FloatArray | None
    explanation: Explanation | None
    facts: Caption
    label: str = ""


class _Cell(NamedTuple):
    picture: Image.Image
    caption: tuple[tuple[str, Colour], ...]


class MontageWriter:
    """Writes `<stem>-1.png`, `<stem>-2.png`, ... as films are added, 24 on a page.

    A film is reduced to its thumbnail at once and a page is written when it is full, so that
    any number of films takes the memory of one page. Each is its overlay above file name, class
    and probability, method and fidelity, and flags. Use it in a `with` block: leaving that writes
    the last page.

    Args:
        folder: made where missing; montages of the same name are replaced.
        style: palette, opacity and lines.
        stem: of the file names.
        note: at the foot of every page; that it is private, unless the films are drawn.
    """

    def __init__(
        self,
        folder: Path,
        style: OverlayStyle = DEFAULT_STYLE,
        stem: str = "montage",
        note: str = PRIVATE,
    ) -> None:
        self.written: list[Path] = []
        self._folder, self._style, self._stem, self._note = folder, style, stem, note
        self._cells: list[_Cell] = []

    def add(self, tile: Tile) -> None:
        """Add a film.

        Raises:
            InputError: its pixels are not (H, W).
            OSError: a full page cannot be written.
        """
        self._cells.append(_cell(tile, self._style))
        if len(self._cells) == ACROSS * DOWN:
            self._write()

    def close(self) -> list[Path]:
        """Write what is left; return all pages' paths."""
        if self._cells:
            self._write()
        return self.written

    def _write(self) -> None:
        picture = io.BytesIO()
        _page(self._cells, len(self.written) + 1, self._style, self._note).save(picture, "PNG")
        path = self._folder / f"{self._stem}-{len(self.written) + 1}.png"
        atomic_write(path, picture.getvalue())
        self.written.append(path)
        self._cells = []

    def __enter__(self) -> MontageWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()


def _cell(tile: Tile, style: OverlayStyle) -> _Cell:
    """Return a film's thumbnail with its explanation, and the lines below it."""
    if tile.pixels is None:
        picture = Image.new("RGB", (_FILM, _FILM))
        write(ImageDraw.Draw(picture), (_FILM / 2, _FILM / 2), "no image", 13, MUTED, anchor="mm")
    else:
        grey = panel(tile.pixels, _FILM)
        film = grey if tile.explanation is None else draw_overlay(grey, tile.explanation, style)
        picture = Image.fromarray(film)
    caption = [
        (shorten(printable(text), _LETTER, _FILM), colour) for text, colour in _caption(tile)
    ]
    flags = wrap(printable("; ".join(tile.facts.flags)), _LETTER, _FILM)
    room = _LINES - len(caption)
    if len(flags) > room:
        flags[room - 1 :] = [f"{flags[room - 1][:-3]}..."]
    return _Cell(picture, (*caption, *((line, WARNING) for line in flags if line)))


def _caption(tile: Tile) -> Iterator[tuple[str, Colour]]:
    explanation, facts = tile.explanation, tile.facts
    yield PurePath(facts.file).name, TEXT
    label = explanation.label if explanation else tile.label
    yield f"{label} · {facts.probability:.2f}" if label else "no prediction", TEXT
    if explanation is not None:
        trust = fidelity_in_words(explanation.fidelity)
        colour = WARNING if is_doubtful(explanation.fidelity) else MUTED
        yield f"{method_in_words(explanation.method)} · {trust}", colour
    zones = explanation.zones if explanation else None
    if zones is not None:
        colour = WARNING if mostly_outside(zones.inside_lungs) else MUTED
        yield f"{100 * zones.inside_lungs:.0f} % of the support inside the lungs", colour


def _page(cells: Sequence[_Cell], number: int, style: OverlayStyle, note: str) -> Image.Image:
    across, down = max(3, min(ACROSS, len(cells))), -(-len(cells) // ACROSS)
    width = _GAP + across * (_FILM + _GAP)
    height = _HEAD + down * (_FILM + _CAPTION + _GAP) + _FOOT
    page = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(page)
    room = width - 2 * _GAP
    for y, text, size, colour in (
        (14, f"Explained radiographs · montage {number}", 20, TEXT),
        (42, _legend(style), _LETTER, MUTED),
        (height - _FOOT + 6, f"{DISCLAIMER} {note}", _LETTER, MUTED),
    ):
        write(draw, (_GAP, y), shorten(text, size, room), size, colour)
    for place, cell in enumerate(cells):
        column, row = place % ACROSS, place // ACROSS
        corner = (_GAP + column * (_FILM + _GAP), _HEAD + row * (_FILM + _CAPTION + _GAP))
        _draw(page, draw, cell, corner)
    return page


def _legend(style: OverlayStyle) -> str:
    support, against = style.palette.split("-")
    lined = ["the strongest evidence"] * style.contours + ["the lungs"] * style.outline
    lines = f"; lines run round {' and '.join(lined)}" if lined else ""
    told = f"{support} speaks for the class named below an image, {against} against it"
    return f"{told.capitalize()}{lines}."


def _draw(
    page: Image.Image, draw: ImageDraw.ImageDraw, cell: _Cell, corner: tuple[int, int]
) -> None:
    x, y = corner
    draw.rectangle((x, y, x + _FILM - 1, y + _FILM - 1), fill=(0, 0, 0))
    left, top = ((_FILM - edge) // 2 for edge in cell.picture.size)
    page.paste(cell.picture, (x + left, y + top))
    for number, (text, colour) in enumerate(cell.caption):
        write(draw, (x, y + _FILM + 5 + number * _LINE), text, _LETTER, colour)
