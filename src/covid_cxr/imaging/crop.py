"""The part of a film that a model sees: all of it, or the lungs with a margin."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from covid_cxr.config import PreprocessSpec
from covid_cxr.types import WHOLE, BoolArray, Box, FloatArray, Lungs

# Where lungs lie on an upright frontal film, margin included: the median over four sources.
_USUAL = Box(0.08, 0.08, 0.85, 0.92)

_Pixels = TypeVar("_Pixels", FloatArray, BoolArray)


def lung_box(spec: PreprocessSpec, lungs: Lungs | None) -> Box:
    """Return what a model of this `spec` sees of a film: the box around both lungs and a margin.

    The whole film where the spec does not crop; where lungs are on most films if none were found.
    """
    if spec.lung_margin is None:
        return WHOLE
    if lungs is None or not lungs.both.any():
        return _USUAL
    top, bottom = _reach(lungs.both, axis=1)
    left, right = _reach(lungs.both, axis=0)
    tall, wide = spec.lung_margin * (bottom - top), spec.lung_margin * (right - left)
    return Box(
        max(0.0, top - tall), max(0.0, left - wide), min(1.0, bottom + tall), min(1.0, right + wide)
    )


def crop(pixels: _Pixels, field: Box) -> _Pixels:
    """Return the part of an array (H, W) that spans a film, at least one pixel a side."""
    return pixels[spans(field, pixels.shape)]


def spans(field: Box, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of an array (H, W) that `cut` takes."""
    return span(field.top, field.bottom, shape[0]), span(field.left, field.right, shape[1])


def crop_lungs(lungs: Lungs, field: Box) -> Lungs:
    """Return the lungs as they lie within a field."""
    return Lungs(crop(lungs.right, field), crop(lungs.left, field))


def span(start: float, end: float, length: int) -> slice:
    """Return the pixels from one share of a `length` to another, at least one."""
    first = min(round(start * length), length - 1)
    return slice(first, max(first + 1, round(end * length)))


def _reach(mask: BoolArray, axis: int) -> tuple[float, float]:
    """Return where a mask (H, W) begins and ends across `axis`, as shares of the film."""
    where = np.flatnonzero(mask.any(axis=axis))
    length = mask.shape[1 - axis]
    return float(where[0] / length), float((where[-1] + 1) / length)
