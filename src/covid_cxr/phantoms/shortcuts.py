"""Injected shortcuts: spurious features of one class, which an audit must detect.

Each imitates a confounder of public collections: text of one ward, screenshots and figures cropped
from publications, photographs of an image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from PIL import Image

from covid_cxr.phantoms.canvas import to_image, to_pixels
from covid_cxr.phantoms.hospitals import Marker, burn
from covid_cxr.phantoms.radiograph import Phantom
from covid_cxr.types import BoolArray

Shortcut = Literal["none", "hospital", "marker", "border", "resolution"]

_WARD = "ICU 3"
_BAR = (0.035, 0.06)  # least and most height of the bar as a share of the image's
_SCALE = 0.5  # of the resolution


def inject_shortcut(phantom: Phantom, shortcut: Shortcut, rng: np.random.Generator) -> Phantom:
    """Return a phantom with one of `SHORTCUTS`; unchanged for any other name.

    Args:
        phantom: as drawn.
        shortcut: "marker" burns a ward's name on a black plate into a lower corner, "border" puts a
            black bar across the foot of the image, "resolution" keeps half of its pixels on a side.
        rng: of position and strength.
    """
    return SHORTCUTS[shortcut](phantom, rng) if shortcut in SHORTCUTS else phantom


def _marker(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    image = to_image(phantom.pixels)
    across, down = rng.normal((0.12, 0.94), 0.008)
    burn(image, Marker(_WARD, (across, down), 0.05, 245 / 255, "plate"), phantom.view)
    return replace(phantom, pixels=to_pixels(image))


def _border(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    pixels = phantom.pixels.copy()
    pixels[-max(2, round(rng.uniform(*_BAR) * len(pixels))) :] = 0
    return replace(phantom, pixels=pixels)


def _resolution(phantom: Phantom, _: np.random.Generator) -> Phantom:
    height, width = phantom.pixels.shape
    size = round(_SCALE * width), round(_SCALE * height)
    small = to_image(phantom.pixels).resize(size, Image.Resampling.BICUBIC)

    def shrink(mask: BoolArray) -> BoolArray:
        return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))

    lungs, opacities = shrink(phantom.lungs), shrink(phantom.opacities)
    return replace(phantom, pixels=to_pixels(small), lungs=lungs, opacities=opacities)


SHORTCUTS: dict[str, Callable[[Phantom, np.random.Generator], Phantom]] = {
    shortcut.__name__.removeprefix("_"): shortcut for shortcut in (_marker, _border, _resolution)
}
