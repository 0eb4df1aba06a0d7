"""The region of a radiograph that a model sees: all of it, or the lungs with a margin."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from covid_cxr.config import PreprocessSpec
from covid_cxr.types import WHOLE, BoolArray, Box, FloatArray, Lungs

# The lungs on an upright frontal radiograph, margin included: the median over four sources.
_USUAL = Box(0.08, 0.08, 0.85, 0.92)

_Pixels = TypeVar("_Pixels", FloatArray, BoolArray)


def lung_box(spec: PreprocessSpec, lungs: Lungs | None) -> Box:
    """Return the region that a model of this `spec` sees: the box around both lungs and a margin.

    The whole radiograph where the spec does not crop; the usual place of the lungs where none were
    segmented.
    """
    if spec.lung_margin is None:
        return WHOLE
    if lungs is None or not lungs.both.any():
        return _USUAL
    top, bottom = _extent(lungs.both, axis=1)
    left, right = _extent(lungs.both, axis=0)
    tall, wide = spec.lung_margin * (bottom - top), spec.lung_margin * (right - left)
    return Box(
        max(0.0, top - tall), max(0.0, left - wide), min(1.0, bottom + tall), min(1.0, right + wide)
    )


def crop(pixels: _Pixels, box: Box) -> _Pixels:
    """Return the part of an array (H, W) over a radiograph within a box, at least one pixel."""
    return pixels[spans(box, pixels.shape)]


def spans(box: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of an array (H, W) that `crop` takes."""
    return span(box.top, box.bottom, shape[0]), span(box.left, box.right, shape[1])


def crop_lungs(lungs: Lungs, box: Box) -> Lungs:
    """Return the lung masks within a box."""
    return Lungs(crop(lungs.right, box), crop(lungs.left, box))


def span(start: float, end: float, length: int) -> slice:
    """Return the pixels from one share of a `length` to another, at least one."""
    first = min(round(start * length), length - 1)
    return slice(first, max(first + 1, round(end * length)))


def _extent(mask: BoolArray, axis: int) -> tuple[float, float]:
    """Return where a mask (H, W) begins and ends across `axis`, as shares of its length."""
    where = np.flatnonzero(mask.any(axis=axis))
    length = mask.shape[1 - axis]
    return float(where[0] / length), float((where[-1] + 1) / length)
