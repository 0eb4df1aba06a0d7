"""Montages: pages of many explained radiographs, for review.

They hold the radiographs themselves: never publish or commit montages of patients' images. Those of
`covid_cxr.cohort.summary.montage` are drawn from a cohort table before anything is explained; both
are pages of `covid_cxr.imaging.page`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from PIL import Image

from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle, draw_overlay, panel
from covid_cxr.explain.rendering.page import Caption, method_in_words
from covid_cxr.explain.rendering.zones import fidelity_in_words, is_doubtful, mostly_outside
from covid_cxr.files import atomic_write
from covid_cxr.imaging.page import MUTED, TEXT, WARNING, Cell, Grid, png
from covid_cxr.imaging.text import Colour
from covid_cxr.types import DISCLAIMER, Explanation, FloatArray

GRID = Grid(edge=256, across=6, lines=5)
ROWS = 4
ON_A_PAGE = GRID.across * ROWS
PRIVATE = "Holds the images themselves: keep it as private as they are."


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
        note: at the head of every page; that it is private, unless the images are synthetic.
        number: of the next page.
        written: the pages so far.
    """

    folder: Path
    style: OverlayStyle = DEFAULT_STYLE
    stem: str = "montage"
    note: str = PRIVATE
    number: int = 1
    written: list[Path] = field(default_factory=list, init=False)
    _cells: list[Cell] = field(default_factory=list, init=False)

    def add(self, tile: Tile) -> None:
        """Add a radiograph.

        Raises:
            InputError: its pixels are not (H, W).
            OSError: a full page cannot be written.
        """
        self.add_cell(cell_of(tile, self.style))

    def add_cell(self, cell: Cell) -> None:
        """Add a radiograph that `cell_of` has reduced to its thumbnail.

        Raises:
            OSError: a full page cannot be written; its images are dropped.
        """
        self._cells.append(cell)
        if len(self._cells) == ON_A_PAGE:
            self.close()

    def close(self) -> list[Path]:
        """Write what is left; return all pages' paths.

        Raises:
            OSError: the page cannot be written; its images are dropped.
        """
        cells, self._cells = self._cells, []
        if cells:
            path = self.folder / f"{self.stem}-{self.number}.png"
            title = f"Explained radiographs · montage {self.number}"
            self.number += 1
            head = title, _legend(self.style), f"{DISCLAIMER} {self.note}"
            atomic_write(path, png(GRID.draw(head, cells)))
            self.written.append(path)
        return self.written

    def __enter__(self) -> MontageWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()


def cell_of(tile: Tile, style: OverlayStyle) -> Cell:
    """Return a thumbnail with its explanation, and its caption."""
    if tile.pixels is None:
        return Cell("no image", [*_lines(tile)])
    grey = panel(tile.pixels, GRID.edge)
    shaded = grey if tile.explanation is None else draw_overlay(grey, tile.explanation, style)
    return Cell(Image.fromarray(shaded), [*_lines(tile)])


def _lines(tile: Tile) -> Iterator[tuple[str, Colour]]:
    """Yield the lines of a caption."""
    explanation, caption = tile.explanation, tile.caption
    yield PurePath(caption.file).name, TEXT
    label = explanation.label if explanation else tile.label
    yield f"{label} · {caption.probability:.2f}" if label else "no prediction", TEXT
    if explanation is not None:
        fidelity = fidelity_in_words(explanation.fidelity)
        colour = WARNING if is_doubtful(explanation.fidelity) else MUTED
        yield f"{method_in_words(explanation.method)} · {fidelity}", colour
    if explanation is not None and explanation.zones is not None:
        inside = explanation.zones.inside_lungs
        colour = WARNING if mostly_outside(inside) else MUTED
        yield f"{100 * inside:.0f} % of the support inside the lungs", colour
    if caption.flags:
        yield "; ".join(caption.flags), WARNING


def _legend(style: OverlayStyle) -> str:
    support, against = style.palette.split("-")
    lined = ["the strongest evidence"] * style.contours + ["the lungs"] * style.outline
    lines = f"; lines run round {' and '.join(lined)}" if lined else ""
    colours = f"{support} speaks for the class named below an image, {against} against it"
    return f"{colours.capitalize()}{lines}."
