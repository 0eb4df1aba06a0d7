"""Where things stand on an explanation's page, and what is written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from covid_cxr.explain.rendering.contours import strongest
from covid_cxr.explain.rendering.overlay import LUNG, OverlayStyle, blend, limit, line_colour
from covid_cxr.explain.rendering.sentence import fidelity_in_words, is_doubtful, mostly_outside
from covid_cxr.imaging.text import Colour, length, printable, shorten, wrap, write
from covid_cxr.types import COVID, DISCLAIMER, Explanation

GROUND, TEXT, MUTED, WARNING = (17, 19, 23), (238, 240, 243), (156, 163, 173), (255, 196, 87)
SMALL = 0.85  # of a letter
_BAR_GREY = 110
_NARROWEST = 54  # letters across a page at least, so that the legend fits
_NAMES = {"lime": "LIME", "cam": "CAM", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}


@dataclass(frozen=True)
class Caption:
    """What the picture says beside the map.

    Attributes:
        probability: of the explained class.
        threshold: probability from which `covid-19` is called, None where there is no such rule.
        file: the radiograph's name, as in `predictions.csv`.
        truth: the image's true class where it is known; for the JSON, not the picture.
        flags: remarks that a reader should know, as in `predictions.csv`.
        more: further entries of the JSON, such as the neighbours.
    """

    probability: float
    threshold: float | None = None
    file: str = ""
    truth: str | None = None
    flags: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


class Line(NamedTuple):
    """One line of the header: its text, letter size in letters, colour, room above in letters."""

    text: str
    scale: float
    colour: Colour
    above: float


@dataclass(frozen=True)
class Layout:
    """Places in pixels. All follow from the size of the panels and the lines of the header.

    Attributes:
        letter: size of a letter: an eightieth of both panels, so that a page reads the same at
            any resolution once it is fitted to a screen; at least 15.
        page: width and height.
        left, right: x of the radiograph and of the overlay.
        top, bottom: y of both panels and below them.
        header: the lines above the panels.
    """

    letter: int
    page: tuple[int, int]
    left: int
    right: int
    top: int
    bottom: int
    header: tuple[Line, ...]

    @classmethod
    def of(cls, panel: tuple[int, int], explanation: Explanation, facts: Caption) -> Layout:
        """Lay out a page for two panels of (height, width)."""
        height, width = panel
        letter = int(np.clip((2 * width) / 80, 15, 52))
        pair = 2 * width + letter
        page = max(pair, _NARROWEST * letter) + 2 * letter
        left = (page - pair) // 2
        lines = tuple(_header(explanation, facts, letter, page - 2 * letter))
        top = round(letter * (1.6 + sum(line.above + line.scale for line in lines)))
        bottom = top + height
        size = (page, bottom + round(4.8 * letter))
        return cls(letter, size, left, left + width + letter, top, bottom, lines)

    def write_header(self, draw: ImageDraw.ImageDraw) -> None:
        """Write the lines above the panels."""
        y = 0.7 * self.letter
        for line in self.header:
            y += line.above * self.letter
            write(draw, (self.letter, y), line.text, line.scale * self.letter, line.colour)
            y += line.scale * self.letter

    def write_footer(self, draw: ImageDraw.ImageDraw) -> None:
        """Write that this is research, on every page."""
        size = SMALL * self.letter
        text = shorten(DISCLAIMER, size, self.page[0] - 2 * self.letter)
        write(draw, (self.letter, self.bottom + 3.1 * self.letter), text, size, MUTED)


def _header(explanation: Explanation, facts: Caption, letter: int, room: int) -> Iterator[Line]:
    title = printable(f"{explanation.label} · probability {facts.probability:.2f}")
    yield Line(shorten(title, 1.5 * letter, room), 1.5, TEXT, 0)
    for text, scale, colour in _remarks(explanation, facts):
        for number, line in enumerate(wrap(printable(text), scale * letter, room)):
            yield Line(line, scale, colour, 0.4 if number else 0.65)
    model = f"model {explanation.bundle}" if explanation.bundle else ""
    tail = f" · {model}" if facts.file and model else model
    source = shorten(printable(facts.file), SMALL * letter, room, tail)
    yield Line(source, SMALL, MUTED, 0.65)


def _remarks(explanation: Explanation, facts: Caption) -> Iterator[tuple[str, float, Colour]]:
    zones, fidelity = explanation.zones, explanation.fidelity
    doubted = is_doubtful(fidelity)
    parts = [method_in_words(explanation.method)]
    if zones is None:
        parts.append(fidelity_in_words(fidelity))
    if facts.threshold is not None:
        parts.append(f"called {COVID} from {facts.threshold:.2f}")
    yield " · ".join(parts), 1.0, WARNING if doubted and zones is None else TEXT
    if zones is not None:
        warned = doubted or mostly_outside(zones.inside_lungs)
        yield zones.sentence, 1.0, WARNING if warned else TEXT
    if facts.flags:
        yield f"Flags: {'; '.join(facts.flags)}", SMALL, WARNING


def method_in_words(method: str) -> str:
    """Return a method's name as its paper writes it.

    >>> method_in_words("gradcam++"), method_in_words("integrated-gradients")
    ('Grad-CAM++', 'Integrated gradients')
    """
    return _NAMES.get(method, method.replace("-", " ").capitalize())


def draw_legend(
    page: Image.Image, at: Layout, explanation: Explanation, style: OverlayStyle
) -> None:
    """Draw what the lines mean on the left, and on the right the signed colour bar."""
    draw = ImageDraw.Draw(page)
    y = at.bottom + round(1.5 * at.letter)
    _lines(draw, at, y, _drawn(explanation, style))
    full = limit(explanation.attribution)
    label = shorten(printable(explanation.label), SMALL * at.letter, 8 * at.letter)
    against, support = f"against {label}  {-full:+.2g}", f"{full:+.2g}  for {label}"
    if full == 0:
        against, support = "no region speaks", "for or against"
    size, space = SMALL * at.letter, at.letter // 2
    x = at.page[0] - at.letter
    write(draw, (x, y), support, size, TEXT, anchor="rm")
    bar = _bar(12 * at.letter, round(0.8 * at.letter), style)
    x -= round(length(support, size)) + space + bar.width
    page.paste(bar, (x, y - bar.height // 2))
    write(draw, (x - space, y), against, size, TEXT, anchor="rm")


def _drawn(
    explanation: Explanation, style: OverlayStyle
) -> Iterator[tuple[str, tuple[Colour, ...]]]:
    """Yield what each kind of line on the overlay means, and its colours."""
    if style.outline and explanation.lungs is not None:
        yield "lungs", (LUNG,)
    signs = ((1, style.colours.support), (-1, style.colours.against))
    found = tuple(
        line_colour(colour) for sign, colour in signs if strongest(explanation, sign) is not None
    )
    if style.contours and found:
        yield "strongest evidence", found


def _lines(
    draw: ImageDraw.ImageDraw,
    at: Layout,
    y: int,
    drawn: Iterator[tuple[str, tuple[Colour, ...]]],
) -> None:
    x, size, thick = at.letter, SMALL * at.letter, max(2, round(at.letter / 8))
    for text, colours in drawn:
        for colour in colours:
            draw.line((x, y, x + at.letter, y), colour, thick)
            x += round(1.2 * at.letter)
        x += round(0.2 * at.letter)
        write(draw, (x, y), text, size, TEXT, anchor="lm")
        x += round(length(text, size) + 1.2 * at.letter)


def _bar(width: int, height: int, style: OverlayStyle) -> Image.Image:
    """Return the colour bar: against, nothing, for, with a tick at nothing."""
    ramp = np.linspace(-1, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    bar = blend(np.full((height, width), _BAR_GREY, dtype=np.uint8), ramp, style)
    middle, half = width // 2, max(1, height // 12)
    bar[:, middle - half : middle + half] = TEXT
    return Image.fromarray(bar.round().astype(np.uint8))
