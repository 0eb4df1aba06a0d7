"""A small picture of a radiograph that copies of it share, whatever was done to its grey values.

Flat borders are cut off, the rest is squeezed to 64 x 64 and each pixel replaced by its rank. So
resizing, JPEG, brightness, contrast and gamma leave it nearly as it was; crops and written text
change a part of it, which `covid_cxr.cohort.dedup.registration` allows for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covid_cxr.types import FloatArray

EDGE = 64
Fingerprint = NDArray[np.uint8]

_BORDER_EDGE = 256  # edge of the picture in which borders are searched
_FLAT = 0.06  # a border's grey values spread less than this share of the radiograph's
_DEEPEST = 0.3  # share of the radiograph that a border may take on one side


def fingerprint(pixels: FloatArray) -> Fingerprint:
    """Return ranks 0..255, uint8 (64, 64), of a radiograph float32 (H, W) in [0, 1]."""
    grey = Image.fromarray((pixels * 255).astype(np.uint8))
    top, bottom, left, right = _inside(_squeezed(grey, _BORDER_EDGE) / np.float32(255))
    scale_y, scale_x = grey.height / _BORDER_EDGE, grey.width / _BORDER_EDGE
    box = (left * scale_x, top * scale_y, right * scale_x, bottom * scale_y)
    return _ranks(_squeezed(grey, EDGE, box))


def _squeezed(
    grey: Image.Image, edge: int, box: tuple[float, float, float, float] | None = None
) -> FloatArray:
    small = grey.resize((edge, edge), Image.Resampling.BOX, box=box)
    return np.asarray(small, dtype=np.float32)


def _ranks(small: FloatArray) -> Fingerprint:
    """Ranks undo every change of grey values that keeps their order; equal values share a rank."""
    _, level, counts = np.unique(small, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    ranks = np.floor(middle / small.size * 256).astype(np.uint8)
    return np.asarray(ranks[level.reshape(small.shape)])


def _inside(small: FloatArray) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of what is left when flat borders are cut off."""
    low, high = np.percentile(small, (1, 99))
    spread = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1)
    top, bottom = _content(spread)
    left, right = _content(spread[top:bottom].T)
    # A frame on all sides shows as flat rows only once its columns are gone.
    top, bottom = _content(spread[:, left:right])
    return top, bottom, left, right


def _content(lines: FloatArray) -> tuple[int, int]:
    """Return the first line and the end of those that are no border."""
    low, middle, high = np.quantile(lines, (0.05, 0.5, 0.95), axis=1)
    flat = high - low < _FLAT
    first = flat & (np.abs(middle - middle[0]) < _FLAT)
    last = flat & (np.abs(middle - middle[-1]) < _FLAT)
    return _run(first), len(lines) - _run(last[::-1])


def _run(is_border: NDArray[np.bool_]) -> int:
    """Return how many lines the border takes from the start, at most `_DEEPEST` of all."""
    most = int(len(is_border) * _DEEPEST)
    inside = np.flatnonzero(~is_border[:most])
    return int(inside[0]) if len(inside) else most
