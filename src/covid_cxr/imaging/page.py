"""Pages of thumbnails, each above its caption: for review of radiographs, many at a time.

They show the radiographs themselves. Never publish or commit pages of patients' images: most
sources forbid it, and a radiograph is a patient's.
"""

from __future__ import annotations

import io
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from covid_cxr.imaging.text import Colour, printable, shorten, wrap, write
from covid_cxr.types import FloatArray

GROUND, TEXT, MUTED, WARNING = (17, 19, 23), (238, 240, 243), (156, 163, 173), (255, 196, 87)
CROSS = (190, 92, 50)  # over the place of an image that cannot be shown
GAP, HEAD = 14, 86  # pixels: between cells, and above them
_TITLE, _NOTE = 20, 13  # letter sizes
_SPACE = 4  # pixels between two lines of text

Caption = Sequence[tuple[str, Colour]]


class Cell(NamedTuple):
    """One image of a page.

    Attributes:
        image: its thumbnail, or the reason why there is none.
        caption: lines of text. The first is shortened to fit, the others are wrapped.
        group: cells of one group are framed together; None for no frame.
    """

    image: Image.Image | str
    caption: Caption
    group: Hashable = None


@dataclass(frozen=True)
class Grid:
    """How the cells of a page are laid out.

    Attributes:
        edge: of a thumbnail, in pixels.
        across: cells in a full row.
        lines: of a caption at most.
        letter: size of a caption's letters, in pixels.
        fewest: cells that a page is wide at least.
    """

    edge: int
    across: int
    lines: int
    letter: int = 13
    fewest: int = 3

    @property
    def pitch(self) -> tuple[int, int]:
        """Width and height of a cell with its caption and the gap to the next."""
        caption = self.lines * (self.letter + _SPACE) + 8
        return self.edge + GAP, self.edge + caption + GAP

    def corner(self, position: int) -> tuple[int, int]:
        """Return x and y of the cell at `position`, counted row by row."""
        row, column = divmod(position, self.across)
        return GAP + column * self.pitch[0], HEAD + row * self.pitch[1]

    def draw(self, head: Sequence[str], cells: Sequence[Cell | None]) -> Image.Image:
        """Draw a page: a title and up to two notes above the cells; None leaves a place empty."""
        columns = max(self.fewest, min(self.across, len(cells)))
        rows = -(-len(cells) // self.across)
        size = GAP + columns * self.pitch[0], HEAD + rows * self.pitch[1]
        page = Image.new("RGB", size, GROUND)
        draw = ImageDraw.Draw(page)
        for number, text in enumerate(head):
            letter, colour = (_NOTE, MUTED) if number else (_TITLE, TEXT)
            line = shorten(printable(text), letter, size[0] - 2 * GAP)
            write(draw, (GAP, 12 + 18 * number + 8 * (number > 0)), line, letter, colour)
        placed = [(cell, self.corner(number)) for number, cell in enumerate(cells) if cell]
        for cell, corner in placed:
            self._draw_cell(page, cell, corner)
        for group, members in groupby(placed, key=lambda member: member[0].group):
            if group is not None:
                (left, top), *_, (right, _) = [corner for _, corner in members] * 2
                box = left - 4, top - 4, right + self.edge + 4, top + self.pitch[1] - GAP - 2
                draw.rectangle(box, outline=MUTED)
        return page

    def _draw_cell(self, page: Image.Image, cell: Cell, corner: tuple[int, int]) -> None:
        draw, (x, y), end = ImageDraw.Draw(page), corner, self.edge - 1
        if isinstance(cell.image, str):
            box = (x, y, x + end, y + end)
            draw.rectangle(box, fill=(0, 0, 0), outline=CROSS)
            draw.line(box, CROSS)
            draw.line((x, y + end, x + end, y), CROSS)
            reason = [(line, TEXT) for line in self._wrapped(cell.image, self.edge - 12)]
            self._write(draw, (x + 6, y + self.edge // 4), reason[:6])
        else:
            page.paste(ImageOps.pad(cell.image, (self.edge, self.edge)), corner)
        (name, colour), *others = cell.caption
        lines = [(shorten(printable(name), self.letter, self.edge), colour)]
        lines += [
            (line, colour) for text, colour in others for line in self._wrapped(text, self.edge)
        ]
        if len(lines) > self.lines:
            text, colour = lines[self.lines - 1]
            lines[self.lines - 1 :] = [(f"{text[:-3]}...", colour)]
        self._write(draw, (x, y + self.edge + 5), lines)

    def _wrapped(self, text: str, room: int) -> list[str]:
        return wrap(printable(text), self.letter, room)

    def _write(self, draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Caption) -> None:
        for row, (text, colour) in enumerate(lines):
            write(draw, (at[0], at[1] + row * (self.letter + _SPACE)), text, self.letter, colour)


def thumbnail(pixels: FloatArray, edge: int) -> Image.Image:
    """Return a radiograph (H, W) as 8-bit grey of `edge` pixels a side, black beside it."""
    grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    return ImageOps.pad(grey, (edge, edge), Image.Resampling.LANCZOS)


def png(image: Image.Image, compress_level: int = 6) -> bytes:
    """Return the image as the bytes of a PNG."""
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=compress_level)
    return content.getvalue()
