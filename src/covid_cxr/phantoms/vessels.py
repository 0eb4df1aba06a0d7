"""Pulmonary vessels: trees that branch from each hilum and thin out towards the pleura."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter

from covid_cxr.phantoms.canvas import Canvas, Points
from covid_cxr.types import FloatArray

_COARSE = 4
_GENERATIONS = 6
_STEPS = np.linspace(0.0, 1.0, 7)
# Degrees from the outward horizontal, positive downwards: main branches of one hilum.
_FANS = np.array([-78.0, -60.0, -38.0, -12.0, 12.0, 34.0, 54.0, 72.0])


def vessels(canvas: Canvas, rng: Generator) -> FloatArray:
    """Return vessel and hilar shadows (H, W), about 1 at the hila; the caller clips to lung."""
    parts = [_tree(side, rng) for side in (-1, 1)]
    lines, widths, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(widths[:, 0], kind="stable")
    tree = canvas.bands(lines[order], widths[order], values[order])
    return canvas.blur(tree, 0.0045) + _hila(canvas, rng)


def _tree(side: int, rng: Generator) -> tuple[Points, Points, Points]:
    """Return lines (S, K, 2), widths (S, 2) and strengths (S,) of one lung's vessels."""
    angle = np.deg2rad(_FANS + rng.normal(0, 7, _FANS.size))
    start = np.stack([np.full_like(angle, 0.19), 0.12 * np.sin(angle)], axis=1)
    start += np.array([0.0, -0.04 if side < 0 else -0.08]) + rng.normal(0, 0.012, start.shape)
    # Erect, the lower vessels carry more blood than the upper ones.
    width = rng.uniform(0.011, 0.022, angle.size) * np.where(_FANS > 0, 1.25, 0.9)
    grown: list[tuple[Points, Points, Points]] = []
    for generation in range(_GENERATIONS):
        grown.append(_grow(start, angle, width, generation, rng))
        angle = np.repeat(_heading(grown[-1][0]), 2)
        angle += np.tile([-1.0, 1.0], len(start)) * rng.uniform(0.12, 0.45, angle.size)
        start = np.repeat(grown[-1][0][:, -1], 2, axis=0)
        width = np.repeat(grown[-1][1][:, 1], 2) * rng.uniform(0.55, 1.0, angle.size)
    lines, widths, values = (np.concatenate(part) for part in zip(*grown, strict=True))
    return lines * np.array([side, 1.0]), widths, values


def _grow(
    start: Points, angle: Points, width: Points, generation: int, rng: Generator
) -> tuple[Points, Points, Points]:
    length = rng.uniform(0.08, 0.19, angle.size) * 0.90**generation
    bow = angle[:, None] + rng.normal(0, 0.30, (angle.size, 1)) * _STEPS
    step = np.stack([np.cos(bow), np.sin(bow)], axis=-1)
    step *= (length / (_STEPS.size - 1))[:, None, None]
    line = start[:, None] + np.cumsum(step, axis=1) - step[:, :1]
    return line, np.stack([width, 0.78 * width], axis=1), np.clip(0.12 + width / 0.024, 0, 1)


def _heading(lines: Points) -> Points:
    along = lines[:, -1] - lines[:, -2]
    return np.arctan2(along[:, 1], along[:, 0])


def _hila(canvas: Canvas, rng: Generator) -> FloatArray:
    x, y = canvas.grid(_COARSE)
    total = np.zeros_like(x)
    for cx, cy in ((-0.225, -0.10), (-0.25, 0.04), (0.24, -0.15), (0.25, -0.02)):
        across = ((x - cx - rng.normal(0, 0.008)) / 0.055) ** 2
        total += np.exp(-across - ((y - cy - rng.normal(0, 0.015)) / 0.085) ** 2)
    return canvas.enlarge(np.asarray(0.85 * total, np.float32), _COARSE)


def interstitium(canvas: Canvas, rng: Generator) -> FloatArray:
    """Return the fine net of lung tissue and small vessels (H, W), zero mean, unit deviation."""
    fine, coarse = mottle(canvas, 0.008, rng), mottle(canvas, 0.02, rng)
    return fine * np.float32(0.8) + coarse * np.float32(0.6)


def mottle(canvas: Canvas, grain: float, rng: Generator) -> FloatArray:
    """Return noise (H, W) of unit deviation; grain is its sigma in chest units."""
    step = max(1, int(grain * canvas.unit // 1.5))
    shape = (-(-canvas.height // step), -(-canvas.width // step))
    noise = rng.standard_normal(shape, np.float32)
    noise = gaussian_filter(noise, grain * canvas.unit / step, mode="wrap", truncate=3)
    return canvas.enlarge(noise / noise.std(), step)
