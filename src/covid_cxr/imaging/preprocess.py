"""A radiograph's pixels -> model input. Training, inference and explanation all call this."""

from __future__ import annotations

import numpy as np
from PIL import Image

from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging.contrast import equalise
from covid_cxr.imaging.crop import crop, lung_box, spans
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.types import FloatArray, Lungs

# Markers are looked for at this longest side: they still are sharp, and it is fast.
_MARKER_EDGE = 512
# Of the equalisation: a tile is a quarter of the edge, and no grey level takes more than 1 % of it.
_TILE, _CLIP = 1 / 4, 0.01


def preprocess(pixels: FloatArray, spec: PreprocessSpec, lungs: Lungs | None = None) -> FloatArray:
    """Return model input, float32 (1, S, S) in [0, 1] with S = `spec.size`.

    In order: a picture larger than 512 pixels (or S) is reduced to that; markers are removed
    there; the film is cut to the lungs and a margin; both sides are resized to S (the aspect is
    not kept); contrast is equalised tile by tile (Pizer et al., "Adaptive histogram equalization",
    CVGIP 1987); brightness and contrast are standardised to mean 0.5 and deviation 0.2 and
    clipped. A constant picture becomes 0.5. What the spec does not ask for is left out.

    Args:
        pixels: float (H, W) in [0, 1], as `read` returns them.
        spec: what to do; travels with the model.
        lungs: where they lie, for a spec that cuts to them; None where they were not found.
    """
    field = lung_box(spec, lungs)
    if spec.remove_markers:
        pixels = _shrink(pixels, max(_MARKER_EDGE, spec.size))
        pixels = remove_markers(pixels, spans(field, pixels.shape))
    grid = _resize(crop(pixels, field), spec.size, spec.size)
    if spec.equalise:
        grid = _equalise(grid)
    if spec.standardise:
        grid = _standardise(grid)
    return np.clip(grid, 0, 1)[np.newaxis]


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


def _equalise(grid: FloatArray) -> FloatArray:
    if float(np.ptp(grid)) < 1e-6:
        return grid
    tile = max(1, round(_TILE * len(grid)))
    return equalise(np.clip(grid, 0, 1), tile, _CLIP)


def _standardise(grid: FloatArray) -> FloatArray:
    deviation = float(grid.std(dtype=np.float64))
    if deviation < 1e-6:
        return np.full_like(grid, 0.5)
    mean = float(grid.mean(dtype=np.float64))
    return np.float32(0.5) + (grid - np.float32(mean)) * np.float32(0.2 / deviation)
