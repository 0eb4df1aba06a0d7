"""Signed attribution as colour on a radiograph: support for the shown class, and against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.rendering.contours import coverage, distance, smooth_mask, strongest
from covid_cxr.explain.resampling import enlarge
from covid_cxr.types import Explanation, FloatArray

ByteArray = NDArray[np.uint8]
Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """The colours (red, green, blue) of what supports the class and what speaks against it."""

    support: Colour
    against: Colour


# Of the original, a bluish green and an orange red; and a pair that all readers can tell apart. The
# CIEDE2000 difference of a pair on a radiograph, to readers with all cones, without red, green or
# blue ones (simulated as Machado et al., IEEE TVCG 2009, do), is at least 54, 13, 10 and 56 for
# green and red, 49, 51, 54 and 49 for blue and orange.
PALETTES: dict[str, Palette] = {
    "green-red": Palette((20, 190, 110), (235, 70, 40)),
    "blue-orange": Palette((40, 120, 255), (255, 165, 30)),
}
LUNG = (255, 255, 255)  # outline of the lungs: of no palette
_SEAM, _CONTOUR, _OUTLINE = 0.5, 1.0, 0.8  # opacities of lines
_SEAM_WIDTH = 1.6  # pixels, both sides together
_BRIGHTER = 0.3  # of the way from a palette's colour to white, for a line over that very colour
_SMALLEST = 512  # longest edge of a panel at least


@dataclass(frozen=True)
class OverlayStyle:
    """How an explanation is drawn.

    Attributes:
        palette: a name in `PALETTES`; "blue-orange" is safe for colour-blind readers.
        opacity: of the strongest colour, over 0 to 1. Anatomy must stay visible beneath it.
        contours: draw lines round the strongest evidence.
        outline: draw the outline of the lungs where they are known.
        longest: edge in pixels to which larger radiographs are reduced; smaller ones keep their own
            pixels, so that nothing on the picture is an artefact of resizing.

    Raises:
        UnknownName: no such palette.
        InputError: an opacity or an edge out of range.
    """

    palette: str = "green-red"
    opacity: float = 0.6
    contours: bool = True
    outline: bool = True
    longest: int = 2048

    def __post_init__(self) -> None:
        """Reject values that cannot be drawn."""
        if self.palette not in PALETTES:
            raise UnknownName("palette", self.palette, PALETTES)
        if not 0 < self.opacity <= 1:
            raise InputError(f"opacity is {self.opacity}, expected over 0 and up to 1")
        if self.longest < 64:
            raise InputError(f"longest edge is {self.longest}, expected at least 64 pixels")

    @property
    def colours(self) -> Palette:
        """The palette's colours."""
        return PALETTES[self.palette]


DEFAULT_STYLE = OverlayStyle()


def panel(pixels: FloatArray, longest: int) -> ByteArray:
    """Return a radiograph as 8-bit grey at its own resolution, reduced only if over `longest`.

    One whose longest edge is under 512 pixels is enlarged to that (or to `longest`), so that lines
    and letters have room. The aspect is kept.

    Raises:
        InputError: `pixels` is not (H, W).
    """
    if pixels.ndim != 2 or not pixels.size:
        raise InputError(f"radiograph has shape {pixels.shape}, expected (H, W)")
    height, width = pixels.shape
    edge = max(height, width)
    scale = min(max(edge, _SMALLEST), longest) / edge
    grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(grey if size == grey.size else grey.resize(size, Image.Resampling.LANCZOS))


def limit(attribution: FloatArray) -> float:
    """Return the magnitude shown at full colour: the 99th percentile, or the largest if that is 0.

    One extreme pixel would otherwise leave all others pale.
    """
    strength = np.abs(attribution)
    return float(np.percentile(strength, 99)) or float(strength.max())


def draw_overlay(
    grey: ByteArray, explanation: Explanation, style: OverlayStyle = DEFAULT_STYLE
) -> ByteArray:
    """Draw the explanation over a grey radiograph (H, W); return RGB (H, W, 3).

    Opacity is proportional to magnitude. The strongest evidence and the lungs are outlined where
    the style says so.
    """
    shape = (grey.shape[0], grey.shape[1])
    signed = explanation.attribution / (limit(explanation.attribution) or 1.0)
    # Each sign is enlarged by itself: between two opposed regions a sum would pass through 0 and
    # leave a pale seam.
    support, against = (enlarge(np.clip(part, 0, None), shape) for part in (signed, -signed))
    canvas = _mix(grey, support, against, style)
    width = line_width(shape)
    if style.outline and (lungs := explanation.lungs):
        for lung in (lungs.right, lungs.left):
            _draw_line(canvas, smooth_mask(lung), max(1.2, 0.6 * width), LUNG, _OUTLINE)
    if style.contours:
        for direction, colour in ((-1, style.colours.against), (1, style.colours.support)):
            field = strongest(explanation, direction)
            if field is not None:
                _draw_line(canvas, field, width, line_colour(colour), _CONTOUR)
    return canvas.round().astype(np.uint8)


def blend(grey: ByteArray, signed: FloatArray, style: OverlayStyle = DEFAULT_STYLE) -> FloatArray:
    """Mix grey (H, W) with the palette by `signed` (H, W), full colour at -1 and 1."""
    return _mix(grey, np.clip(signed, 0, None), np.clip(-signed, 0, None), style)


def _mix(
    grey: ByteArray, support: FloatArray, against: FloatArray, style: OverlayStyle
) -> FloatArray:
    both = support + against
    share = (style.opacity * np.minimum(both, 1) / np.where(both > 0, both, 1))[..., None]
    mixed = grey[..., None].astype(np.float32) * (1 - share * both[..., None])
    for strength, colour in zip((support, against), style.colours, strict=True):
        mixed = mixed + share * strength[..., None] * np.array(colour, dtype=np.float32)
    return np.asarray(mixed, dtype=np.float32)


def line_width(shape: tuple[int, ...]) -> float:
    """Return how many pixels wide a contour is drawn on a radiograph (H, W)."""
    return max(1.6, max(shape[:2]) / 560)


def line_colour(colour: Colour) -> Colour:
    """Return the colour of a line round a region that is shaded with `colour`."""
    red, green, blue = (round(value + _BRIGHTER * (255 - value)) for value in colour)
    return red, green, blue


def _draw_line(
    canvas: FloatArray, field: FloatArray, width: float, colour: Colour, opacity: float
) -> None:
    """Draw the line along which `field` is 0.5, in place, with a dark seam.

    The seam separates it from bright bone.
    """
    far = distance(field, (canvas.shape[0], canvas.shape[1]))
    near = far < (width + _SEAM_WIDTH) / 2 + 0.5  # all that the seam covers
    for breadth, ink, strength in (
        (width + _SEAM_WIDTH, (0, 0, 0), _SEAM * opacity),
        (width, colour, opacity),
    ):
        share = strength * coverage(far[near], breadth)[:, None]
        canvas[near] += share * (np.array(ink, dtype=np.float32) - canvas[near])
