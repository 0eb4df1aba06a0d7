"""A radiograph's pixels -> model input: the one function for training, inference, explanation."""

from __future__ import annotations

import numpy as np
from PIL import Image

from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging.contrast import equalise
from covid_cxr.imaging.crop import crop, lung_box, spans
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.types import FloatArray, Lungs

# Longest side at which markers are detected: they still are sharp, and it is fast.
_MARKER_EDGE = 512
# CLAHE: edge of a tile as a share of the image's, and clip limit as a share of a tile.
_TILE, _CLIP = 1 / 4, 0.01
_CONSTANT = 1e-6  # range or deviation below which an image is constant


def preprocess(pixels: FloatArray, spec: PreprocessSpec, lungs: Lungs | None = None) -> FloatArray:
    """Return model input, float32 (1, S, S) in [0, 1] with S = `spec.size`.

    In order: an image larger than 512 pixels (or S) is reduced to that; burnt-in markers are
    removed there; the image is cropped to the lungs and a margin; both sides are resized to S (the
    aspect is not kept); contrast is equalised (CLAHE: Pizer et al., "Adaptive histogram
    equalization", CVGIP 1987); intensities are standardised to mean 0.5 and deviation 0.2 and
    clipped. A constant image becomes 0.5. Steps that the spec does not ask for are skipped.

    Args:
        pixels: float (H, W) in [0, 1], as `read` returns them.
        spec: which steps; stored with the model.
        lungs: the lung masks, for a spec that crops to them; None where none were segmented.
    """
    box = lung_box(spec, lungs)
    pixels = reduce(pixels, spec)
    if spec.remove_markers:
        pixels = remove_markers(pixels, spans(box, pixels.shape))
    grid = _resize(crop(pixels, box), spec.size, spec.size)
    if spec.equalise and float(np.ptp(grid)) >= _CONSTANT:
        grid = equalise(np.clip(grid, 0, 1), round(_TILE * spec.size), _CLIP)
    if spec.standardise:
        grid = _standardise(grid)
    return np.clip(grid, 0, 1)[np.newaxis]


def reduce(pixels: FloatArray, spec: PreprocessSpec) -> FloatArray:
    """Return the least of a radiograph (H, W) that `preprocess` needs, wherever its lungs are.

    `preprocess` makes the same input of it, to the last bit. The pixels themselves are returned
    where nothing can be left out before the lungs are known.
    """
    if spec.remove_markers:
        return _shrink(pixels, max(_MARKER_EDGE, spec.size))
    if spec.lung_margin is None:
        return _resize(pixels, spec.size, spec.size)
    return pixels


def _shrink(pixels: FloatArray, longest: int) -> FloatArray:
    height, width = pixels.shape
    factor = longest / max(height, width)
    if factor >= 1:
        return pixels
    return _resize(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def _resize(pixels: FloatArray, width: int, height: int) -> FloatArray:
    """Antialiased: Pillow widens its triangle filter by the reduction."""
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    resized = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.array(resized, dtype=np.float32)


def _standardise(grid: FloatArray) -> FloatArray:
    deviation = float(grid.std(dtype=np.float64))
    if deviation < _CONSTANT:
        return np.full_like(grid, 0.5)
    mean = float(grid.mean(dtype=np.float64))
    return np.float32(0.5) + (grid - np.float32(mean)) * np.float32(0.2 / deviation)
