"""Ties between the label and something that is no disease, one at a time, for an audit to find.

Each stands for a mistake that public collections were made with: lettering of one ward, films cut
out of a screen or a paper, pictures of a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from covid_cxr.phantoms.radiograph import Phantom
from covid_cxr.types import BoolArray, FloatArray

Shortcut = Literal["none", "hospital", "marker", "border", "resolution"]

_WARD = "ICU 3"
_BAR = (0.035, 0.06)  # least and most height of the bar as a share of the film's
_LESS = 0.5  # of the resolution is left


def inject_shortcut(phantom: Phantom, shortcut: Shortcut, rng: np.random.Generator) -> Phantom:
    """Return a phantom as the films of the tied class look; unchanged for the other ties.

    Args:
        phantom: as drawn.
        shortcut: "marker" burns a ward's name on a black plate into a lower corner, "border" puts a
            black bar across the foot of the film, "resolution" keeps half of its pixels on a side.
        rng: of where and how much.
    """
    return SHORTCUTS[shortcut](phantom, rng) if shortcut in SHORTCUTS else phantom


def _marker(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    image = _picture(phantom.pixels)
    size = max(11.0, 0.05 * max(image.size))
    x, y = rng.normal((0.12, 0.94), 0.008) * image.size
    font = ImageFont.load_default(size=size)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = pen.textbbox((x, y), _WARD, font=font, anchor="mm")
    pen.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=6)
    pen.text((x, y), _WARD, fill=245, font=font, anchor="mm")
    return replace(phantom, pixels=_floats(image))


def _border(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    pixels = phantom.pixels.copy()
    pixels[-max(2, round(rng.uniform(*_BAR) * len(pixels))) :] = 0
    return replace(phantom, pixels=pixels)


def _resolution(phantom: Phantom, _: np.random.Generator) -> Phantom:
    height, width = phantom.pixels.shape
    size = round(_LESS * width), round(_LESS * height)
    small = _picture(phantom.pixels).resize(size, Image.Resampling.BICUBIC)

    def shrunk(mask: BoolArray) -> BoolArray:
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    lungs, opacities = shrunk(phantom.lungs), shrunk(phantom.opacities)
    return replace(phantom, pixels=_floats(small), lungs=lungs, opacities=opacities)


SHORTCUTS: dict[str, Callable[[Phantom, np.random.Generator], Phantom]] = {
    "marker": _marker,
    "border": _border,
    "resolution": _resolution,
}


def _picture(pixels: FloatArray) -> Image.Image:
    return Image.fromarray(np.asarray(pixels * 255 + 0.5, np.uint8))


def _floats(image: Image.Image) -> FloatArray:
    return np.asarray(image, np.float32) / np.float32(255)
