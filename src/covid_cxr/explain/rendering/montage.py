"""Montages: pages of many explained radiographs, for review.

They hold the radiographs themselves: never publish or commit montages of patients' images. Those of
`covid_cxr.cohort.summary.montage` are drawn from a cohort table before anything is explained; both
write through `covid_cxr.imaging.text`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from PIL import Image, ImageDraw

from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle, draw_overlay, panel
from covid_cxr.explain.rendering.page import GROUND, MUTED, TEXT, WARNING, Caption, method_in_words
from covid_cxr.explain.rendering.sentence import fidelity_in_words, is_doubtful, mostly_outside
from covid_cxr.files import atomic_write
from covid_cxr.imaging.text import Colour, printable, shorten, wrap, write
from covid_cxr.types import DISCLAIMER, Explanation, FloatArray

ACROSS, DOWN = 6, 4
PRIVATE = "Holds the images themselves: keep it as private as they are."
_EDGE, _GAP, _LINE, _LETTER = 256, 16, 17, 13  # pixels
_LINES = 5  # of a caption
_HEAD, _FOOT, _CAPTION = 72, 32, _LINES * _LINE + 8


class Tile(NamedTuple):
    """One radiograph of a montage.

    Attributes:
        pixels: the radiograph as read, (H, W) in [0, 1]; None where it could not be.
        explanation: drawn over the radiograph; None leaves it grey.
        caption: file, probability and flags.
        label: the predicted class, if there is no explanation that holds it; empty if there is
            no prediction.
    """

    pixels: FloatArray | None
    explanation: Explanation | None
    caption: Caption
    label: str = ""


@dataclass
class MontageWriter:
    """Writes `<stem>-1.png`, `<stem>-2.png`, ... as tiles are added, 24 on a page.

    A radiograph is reduced to its thumbnail at once and a page is written when it is full, so that
    any number of tiles takes the memory of one page. Each is its overlay above file name, class and
    probability, method and fidelity, and flags. Use it in a `with` block: leaving that writes the
    last page.

    Attributes:
        folder: made where missing; montages of the same name are replaced.
        style: palette, opacity and lines.
        stem: of the file names.
        note: at the foot of every page; that it is private, unless the images are synthetic.
        written: the pages so far.
    """

    folder: Path
    style: OverlayStyle = DEFAULT_STYLE
    stem: str = "montage"
    note: str = PRIVATE
    written: list[Path] = field(default_factory=list, init=False)
    _cells: list[Image.Image] = field(default_factory=list, init=False)

    def add(self, tile: Tile) -> None:
        """Add a radiograph.

        Raises:
            InputError: its pixels are not (H, W).
            OSError: a full page cannot be written.
        """
        self._cells.append(_cell(tile, self.style))
        if len(self._cells) == ACROSS * DOWN:
            self._write()

    def close(self) -> list[Path]:
        """Write what is left; return all pages' paths."""
        if self._cells:
            self._write()
        return self.written

    def _write(self) -> None:
        number, content = len(self.written) + 1, io.BytesIO()
        _page(self._cells, number, self.style, self.note).save(content, "PNG")
        path = self.folder / f"{self.stem}-{number}.png"
        atomic_write(path, content.getvalue())
        self.written.append(path)
        self._cells = []

    def __enter__(self) -> MontageWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()


def _cell(tile: Tile, style: OverlayStyle) -> Image.Image:
    """Return a thumbnail with its explanation, above its caption."""
    cell = Image.new("RGB", (_EDGE, _EDGE + _CAPTION), GROUND)
    draw = ImageDraw.Draw(cell)
    draw.rectangle((0, 0, _EDGE - 1, _EDGE - 1), fill=(0, 0, 0))
    if tile.pixels is None:
        write(draw, (_EDGE / 2, _EDGE / 2), "no image", _LETTER, MUTED, anchor="mm")
    else:
        grey = panel(tile.pixels, _EDGE)
        shaded = grey if tile.explanation is None else draw_overlay(grey, tile.explanation, style)
        left, top = ((_EDGE - size) // 2 for size in (grey.shape[1], grey.shape[0]))
        cell.paste(Image.fromarray(shaded), (left, top))
    lines = [(shorten(printable(text), _LETTER, _EDGE), colour) for text, colour in _lines(tile)]
    flags = wrap(printable("; ".join(tile.caption.flags)), _LETTER, _EDGE)
    room = _LINES - len(lines)
    if len(flags) > room:
        flags[room - 1 :] = [f"{flags[room - 1][:-3]}..."]
    for row, (text, colour) in enumerate([*lines, *((line, WARNING) for line in flags if line)]):
        write(draw, (0, _EDGE + 5 + row * _LINE), text, _LETTER, colour)
    return cell


def _lines(tile: Tile) -> Iterator[tuple[str, Colour]]:
    """Yield the lines of a caption, without the flags."""
    explanation, caption = tile.explanation, tile.caption
    yield PurePath(caption.file).name, TEXT
    label = explanation.label if explanation else tile.label
    yield f"{label} · {caption.probability:.2f}" if label else "no prediction", TEXT
    if explanation is None:
        return
    fidelity = fidelity_in_words(explanation.fidelity)
    colour = WARNING if is_doubtful(explanation.fidelity) else MUTED
    yield f"{method_in_words(explanation.method)} · {fidelity}", colour
    if explanation.zones is not None:
        inside = explanation.zones.inside_lungs
        colour = WARNING if mostly_outside(inside) else MUTED
        yield f"{100 * inside:.0f} % of the support inside the lungs", colour


def _page(cells: Sequence[Image.Image], number: int, style: OverlayStyle, note: str) -> Image.Image:
    across, down = max(3, min(ACROSS, len(cells))), -(-len(cells) // ACROSS)
    width = _GAP + across * (_EDGE + _GAP)
    height = _HEAD + down * (_EDGE + _CAPTION + _GAP) + _FOOT
    page = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(page)
    for y, text, size, colour in (
        (14, f"Explained radiographs · montage {number}", 20, TEXT),
        (42, _legend(style), _LETTER, MUTED),
        (height - _FOOT + 6, f"{DISCLAIMER} {note}", _LETTER, MUTED),
    ):
        write(draw, (_GAP, y), shorten(text, size, width - 2 * _GAP), size, colour)
    for position, cell in enumerate(cells):
        row, column = divmod(position, ACROSS)
        left, top = _GAP + column * (_EDGE + _GAP), _HEAD + row * (_EDGE + _CAPTION + _GAP)
        page.paste(cell, (left, top))
    return page


def _legend(style: OverlayStyle) -> str:
    support, against = style.palette.split("-")
    lined = ["the strongest evidence"] * style.contours + ["the lungs"] * style.outline
    lines = f"; lines run round {' and '.join(lined)}" if lined else ""
    colours = f"{support} speaks for the class named below an image, {against} against it"
    return f"{colours.capitalize()}{lines}."
