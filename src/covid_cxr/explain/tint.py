"""Signed attribution as colour: green supports the shown class, red speaks against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from covid_cxr.explain.grid import enlarge
from covid_cxr.types import BoolArray, Explanation, FloatArray

ByteArray = NDArray[np.uint8]
# A bluish green and an orange red stay apart for most colour-blind readers.
GREEN = np.array((20, 190, 110), dtype=np.float32)
RED = np.array((235, 70, 40), dtype=np.float32)
_STRONGEST = 0.6  # opacity of the strongest colour: anatomy must stay visible beneath it
_OUTLINED = 6
_LINE = 0.75  # opacity of the outline


def limit(attribution: FloatArray) -> float:
    """Return the magnitude shown at full colour: the 99th percentile, or the largest if that is 0.

    One extreme pixel would otherwise pale all others.
    """
    strength = np.abs(attribution)
    return float(np.percentile(strength, 99)) or float(strength.max())


def tint(grey: ByteArray, explanation: Explanation) -> ByteArray:
    """Lay the explanation over a grey radiograph (H, W); return RGB (H, W, 3).

    Opacity is proportional to magnitude. The strongest regions are outlined.
    """
    full = limit(explanation.attribution)
    signed = enlarge(explanation.attribution, grey.shape) / (full or 1.0)
    film = blend(grey, signed)
    if explanation.segments is not None:
        for region in strongest_regions(explanation.weights):
            edge = _outline(np.equal(explanation.segments, region), grey.shape)
            colour = GREEN if explanation.weights[region] > 0 else RED
            film[edge] = (1 - _LINE) * film[edge] + _LINE * colour
    return film.round().astype(np.uint8)


def blend(grey: ByteArray, signed: FloatArray) -> FloatArray:
    """Mix grey (H, W) with green or red by `signed` (H, W), full colour at -1 and 1."""
    opacity = _STRONGEST * np.clip(np.abs(signed), 0, 1)[..., None]
    colour = np.where((signed > 0)[..., None], GREEN, RED)
    mixed = (1 - opacity) * grey[..., None].astype(np.float32) + opacity * colour
    return np.asarray(mixed, dtype=np.float32)


def strongest_regions(weights: Sequence[float]) -> list[int]:
    """Return up to six regions with at least a third of the largest magnitude, strongest first."""
    strength = np.abs(np.asarray(weights, dtype=np.float64))
    if not strength.any():
        return []
    order = np.argsort(-strength, kind="stable")[:_OUTLINED]
    return [int(region) for region in order if strength[region] >= strength.max() / 3]


def _outline(mask: BoolArray, shape: tuple[int, int]) -> BoolArray:
    inside = enlarge(mask.astype(np.float32), shape) > 0.5
    width = 1 if max(shape) <= 512 else 2
    edge: BoolArray = inside & ~binary_erosion(inside, iterations=width, border_value=0)
    return edge
