"""Lines on a radiograph: round the strongest evidence, and round the lungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from covid_cxr.explain.resampling import enlarge
from covid_cxr.types import BoolArray, Explanation, FloatArray

_MOST = 6  # regions that are outlined at most
_SHARE = 0.5  # of the largest magnitude, from which a map without regions is outlined
_SMOOTH_MASK, _SMOOTH_MAP = 1 / 240, 1 / 56  # standard deviations, as shares of the grid's edge


def strongest_regions(weights: Sequence[float]) -> list[int]:
    """Return up to six regions with at least a third of the largest magnitude, strongest first."""
    strength = np.abs(np.asarray(weights, dtype=np.float64))
    if not strength.any():
        return []
    order = np.argsort(-strength, kind="stable")[:_MOST]
    return [int(region) for region in order if strength[region] >= strength.max() / 3]


def strongest(explanation: Explanation, direction: int) -> FloatArray | None:
    """Return a field (S, S) that is above 0.5 where the map is strongest; None if nowhere.

    Those are its strongest regions, adjacent ones joined. A map without regions is smoothed
    a little, so that no speck gets a line, and is above 0.5 where it has half of the largest
    magnitude.

    Args:
        explanation: the map.
        direction: 1 for what supports the class, -1 for what speaks against it.
    """
    if explanation.segments is not None:
        chosen = strongest_regions(explanation.weights)
        chosen = [region for region in chosen if explanation.weights[region] * direction > 0]
        return smooth_mask(np.isin(explanation.segments, chosen)) if chosen else None
    sigma = _SMOOTH_MAP * max(explanation.attribution.shape)
    smooth = scipy.ndimage.gaussian_filter(
        explanation.attribution.astype(np.float32), sigma, mode="nearest"
    )
    highest = float(np.abs(smooth).max())
    if highest == 0 or (direction * smooth).max() <= _SHARE * highest:
        return None
    return np.asarray(direction * smooth * (0.5 / _SHARE / highest), dtype=np.float32)


def smooth_mask(mask: BoolArray) -> FloatArray:
    """Return a field (h, w) that is above 0.5 inside the mask, without the steps of its pixels."""
    sigma = max(0.6, _SMOOTH_MASK * max(mask.shape))
    return np.asarray(scipy.ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest"))


def distance(field: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return how many pixels (H, W) lie from the line along which a field (h, w) is 0.5.

    It is the field's distance from 0.5 over its slope, which is right near the line and makes it
    smooth at any enlargement; where the field is flat there is no line, and it is infinite. Along
    the radiograph's own edge there is none either.
    """
    far = np.full(shape, np.inf, dtype=np.float32)
    if min(shape) < 2:  # too narrow for a slope
        return far
    fine = enlarge(field, shape)
    slope = np.hypot(*np.gradient(fine))
    np.divide(np.abs(fine - 0.5), slope, out=far, where=slope > 1e-7)
    return far


def coverage(far: FloatArray, width: float) -> FloatArray:
    """Return the share of each pixel that a line of `width` pixels covers, from its distance."""
    return np.asarray(np.clip(width / 2 + 0.5 - far, 0, 1), dtype=np.float32)
