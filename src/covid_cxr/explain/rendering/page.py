"""An explanation's page: the radiograph beside its overlay, a header above, a legend below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from covid_cxr.explain.rendering import overlay
from covid_cxr.explain.rendering.contours import strongest
from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle
from covid_cxr.explain.rendering.zones import fidelity_in_words, is_doubtful, mostly_outside
from covid_cxr.imaging.page import GROUND, MUTED, TEXT, WARNING
from covid_cxr.imaging.text import Colour, length, printable, shorten, wrap, write
from covid_cxr.types import COVID, DISCLAIMER, Explanation, FloatArray

SMALL = 0.85  # of a letter
_BAR_GREY = 110
_NARROWEST = 54  # letters across a page at least, so that the legend fits
_NAMES = {"lime": "LIME", "cam": "CAM", "gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++"}


@dataclass(frozen=True)
class Caption:
    """What a page says beside the map.

    Attributes:
        probability: of the explained class.
        threshold: probability from which `covid-19` is called, None where there is no such rule.
        file: the radiograph's name, as in `predictions.csv`.
        truth: the image's true class where it is known; for the JSON, not the page.
        flags: warnings, as in `predictions.csv`.
        more: further entries of the JSON, such as similar cases.
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
    """Positions in pixels. All follow from the size of the panels and the lines of the header.

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
    def of(cls, panel: tuple[int, int], explanation: Explanation, caption: Caption) -> Layout:
        """Lay out a page for two panels of (height, width)."""
        height, width = panel
        letter = int(np.clip((2 * width) / 80, 15, 52))
        pair = 2 * width + letter
        page = max(pair, _NARROWEST * letter) + 2 * letter
        left = (page - pair) // 2
        lines = tuple(_header(explanation, caption, letter, page - 2 * letter))
        top = round(letter * (1.6 + sum(line.above + line.scale for line in lines)))
        bottom = top + height
        size = (page, bottom + round(4.8 * letter))
        return cls(letter, size, left, left + width + letter, top, bottom, lines)


def draw_page(
    pixels: FloatArray,
    explanation: Explanation,
    caption: Caption,
    style: OverlayStyle = DEFAULT_STYLE,
) -> Image.Image:
    """Draw the radiograph, and beside it the same with the explanation laid over it.

    Above stand class, probability, method, where the support lies in a sentence, flags and the
    file; below, what the colours and lines mean.

    Args:
        pixels: the radiograph as read, (H, W) in [0, 1]; drawn as `panel` says.
        explanation: the map, on the model's input grid.
        caption: the numbers for the header.
        style: palette, opacity and lines.

    Raises:
        InputError: `pixels` is not (H, W).
    """
    grey = overlay.panel(pixels, style.longest)
    layout = Layout.of((grey.shape[0], grey.shape[1]), explanation, caption)
    page = Image.new("RGB", layout.page, GROUND)
    draw = ImageDraw.Draw(page)
    letter, y = layout.letter, 0.7 * layout.letter
    for line in layout.header:
        y += line.above * letter
        write(draw, (letter, y), line.text, line.scale * letter, line.colour)
        y += line.scale * letter
    shaded = overlay.draw_overlay(grey, explanation, style)
    for x, picture in ((layout.left, grey), (layout.right, shaded)):
        page.paste(Image.fromarray(picture), (x, layout.top))
    middle = layout.bottom + round(1.5 * letter)
    _draw_lines(draw, (letter, middle), letter, _legend(explanation, style))
    _draw_bar(page, (layout.page[0] - letter, middle), letter, explanation, style)
    size = SMALL * letter
    footer = shorten(DISCLAIMER, size, layout.page[0] - 2 * letter)
    write(draw, (letter, layout.bottom + 3.1 * letter), footer, size, MUTED)
    return page


def _header(explanation: Explanation, caption: Caption, letter: int, room: int) -> Iterator[Line]:
    title = printable(f"{explanation.label} · probability {caption.probability:.2f}")
    yield Line(shorten(title, 1.5 * letter, room), 1.5, TEXT, 0)
    for text, scale, colour in _details(explanation, caption):
        for number, line in enumerate(wrap(printable(text), scale * letter, room)):
            yield Line(line, scale, colour, 0.4 if number else 0.65)
    model = f"model {explanation.bundle}" if explanation.bundle else ""
    tail = f" · {model}" if caption.file and model else model
    source = shorten(printable(caption.file), SMALL * letter, room, tail)
    yield Line(source, SMALL, MUTED, 0.65)


def _details(explanation: Explanation, caption: Caption) -> Iterator[tuple[str, float, Colour]]:
    zones, fidelity = explanation.zones, explanation.fidelity
    parts = [method_in_words(explanation.method)]
    if zones is None:
        parts.append(fidelity_in_words(fidelity))
    if caption.threshold is not None:
        parts.append(f"called {COVID} from {caption.threshold:.2f}")
    doubtful = is_doubtful(fidelity)
    yield " · ".join(parts), 1.0, WARNING if doubtful and zones is None else TEXT
    if zones is not None:
        doubtful |= mostly_outside(zones.inside_lungs)
        yield zones.sentence, 1.0, WARNING if doubtful else TEXT
    if caption.flags:
        yield f"Flags: {'; '.join(caption.flags)}", SMALL, WARNING


def method_in_words(method: str) -> str:
    """Return a method's name as its paper writes it.

    >>> method_in_words("gradcam++"), method_in_words("integrated-gradients")
    ('Grad-CAM++', 'Integrated gradients')
    """
    return _NAMES.get(method, method.replace("-", " ").capitalize())


def _legend(
    explanation: Explanation, style: OverlayStyle
) -> Iterator[tuple[str, tuple[Colour, ...]]]:
    """Yield what each kind of line on the overlay means, and its colours."""
    if style.outline and explanation.lungs is not None:
        yield "lungs", (overlay.LUNG,)
    directions = zip((1, -1), style.colours, strict=True)
    visible = [c for d, c in directions if strongest(explanation, d) is not None]
    if style.contours and visible:
        yield "strongest evidence", tuple(map(overlay.line_colour, visible))


def _draw_lines(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    letter: int,
    legend: Iterator[tuple[str, tuple[Colour, ...]]],
) -> None:
    """Draw what the lines mean, from `at` to the right."""
    (x, y), size, thick = at, SMALL * letter, max(2, round(letter / 8))
    for text, colours in legend:
        for colour in colours:
            draw.line((x, y, x + letter, y), colour, thick)
            x += round(1.2 * letter)
        x += round(0.2 * letter)
        write(draw, (x, y), text, size, TEXT, anchor="lm")
        x += round(length(text, size) + 1.2 * letter)


def _draw_bar(
    page: Image.Image,
    at: tuple[int, int],
    letter: int,
    explanation: Explanation,
    style: OverlayStyle,
) -> None:
    """Draw the signed colour bar and its ends in numbers, from `at` to the left."""
    (x, y), size = at, SMALL * letter
    draw, full = ImageDraw.Draw(page), overlay.limit(explanation.attribution)
    label = shorten(printable(explanation.label), size, 8 * letter)
    against, support = f"against {label}  {-full:+.2g}", f"{full:+.2g}  for {label}"
    if full == 0:
        against, support = "no region speaks", "for or against"
    write(draw, (x, y), support, size, TEXT, anchor="rm")
    width, height, space = 12 * letter, round(0.8 * letter), letter // 2
    ramp = np.linspace(-1, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    bar = overlay.blend(np.full((height, width), _BAR_GREY, dtype=np.uint8), ramp, style)
    middle, half = width // 2, max(1, height // 12)
    bar[:, middle - half : middle + half] = TEXT  # a tick at 0
    x -= round(length(support, size)) + space + width
    page.paste(Image.fromarray(bar.round().astype(np.uint8)), (x, y - height // 2))
    write(draw, (x - space, y), against, size, TEXT, anchor="rm")
