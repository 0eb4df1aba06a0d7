"""Disease: the share of air replaced in each part of the lungs, and its true mask.

Appearance after Hansell et al., "Fleischner Society: Glossary of Terms for Thoracic Imaging"
(Radiology 2008) and Wong et al., "Frequency and Distribution of Chest Radiographic Findings in
COVID-19 Positive Patients" (Radiology 2020): ground-glass opacities, bilateral, peripheral, lower
zones; in contrast one lobe filled by bacterial pneumonia, with air bronchograms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, map_coordinates

from covid_cxr.phantoms.canvas import Canvas, Points
from covid_cxr.types import BoolArray, Finding, FloatArray

_COARSE = 2  # opacities are smooth: every second pixel is enough
_NOISE_GRID = 96
_NOISE_SPAN = 1.5  # chest units from the origin to the edge of the noise


class Lobe(NamedTuple):
    """The projection of one lobe: its side (-1 viewer's left), centre, radii and fissure.

    `fissure` is (y at the spine, slope, side): the opacity ends there sharply, side +1 keeps what
    lies below the line, -1 what lies above.
    """

    side: int
    centre: tuple[float, float]
    radii: tuple[float, float]
    fissure: tuple[float, float, int]


_LOBES = (
    Lobe(-1, (0.44, -0.42), (0.40, 0.36), (-0.13, 0.05, -1)),
    Lobe(-1, (0.42, 0.20), (0.36, 0.27), (-0.10, 0.05, 1)),
    Lobe(-1, (0.56, 0.38), (0.40, 0.36), (-0.10, 0.35, 1)),
    Lobe(1, (0.44, -0.38), (0.38, 0.40), (0.02, 0.25, -1)),
    Lobe(1, (0.58, 0.30), (0.38, 0.40), (-0.12, 0.30, 1)),
)


@dataclass(frozen=True)
class Opacity:
    """Diseased lung: the share of air replaced (H, W) in [0, 1], and its true mask."""

    density: FloatArray
    mask: BoolArray


def opacity(
    finding: Finding,
    canvas: Canvas,
    lungs: BoolArray,
    outlines: tuple[Points, Points],
    rng: Generator,
) -> Opacity:
    """Return the opacities of `finding` inside the visible `lungs` (H, W).

    Args:
        finding: normal gives none.
        canvas: where to draw.
        lungs: the visible lungs; the mask is limited to them.
        outlines: right and left lung, for the peripheral distribution.
        rng: the patient's, so that a patient's images show the same disease.
    """
    if finding == "normal":
        empty = np.zeros(lungs.shape, np.float32)
        return Opacity(empty, empty > 0)
    paint = _ground_glass if finding == "covid-19" else _consolidation
    shape, strength = (canvas.enlarge(part, _COARSE) for part in paint(canvas, outlines, rng))
    if finding == "pneumonia":
        strength = strength * (1 - 0.26 * _bronchograms(canvas, rng))
    return Opacity(np.asarray(shape * strength, np.float32), (shape > 0.4) & lungs)


def _ground_glass(
    canvas: Canvas, outlines: tuple[Points, Points], rng: Generator
) -> tuple[FloatArray, FloatArray]:
    x, y = canvas.grid(_COARSE)
    ragged, cloud, fine = (_noise(x, y, sigma, rng) for sigma in (4.0, 2.2, 0.8))
    severity = rng.uniform(0.0, 1.0)
    clear = np.ones_like(x)
    for side, outline in zip((-1, 1), outlines, strict=True):
        for _ in range(int(rng.integers(2, 4)) + (severity > 0.5)):
            clear *= 1 - _patch(
                side * x, y, _outer(outline, side), severity=severity, ragged=ragged, rng=rng
            )
    shape = np.clip((1 - clear) * (1 + 0.14 * cloud), 0, 1)
    strength = (0.46 + 0.16 * severity) * np.clip(1 + 0.11 * cloud + 0.14 * fine, 0.4, 1.5)
    return np.asarray(shape, np.float32), np.asarray(strength, np.float32)


def _patch(
    lateral: FloatArray,
    y: FloatArray,
    outer: Points,
    *,
    severity: float,
    ragged: FloatArray,
    rng: Generator,
) -> FloatArray:
    """Return one patch (H, W) in [0, 1] along the chest wall."""
    cy = float(np.clip(rng.normal(0.26, 0.16), -0.20, 0.50))
    cx = float(np.interp(cy, outer[:, 1], outer[:, 0])) - rng.uniform(0.06, 0.17)
    long, short = rng.uniform(0.17, 0.25) + 0.06 * severity, rng.uniform(0.13, 0.19)
    tilt = rng.normal(0.0, 0.35)
    u, v = lateral - cx, y - cy
    across = (np.cos(tilt) * u + np.sin(tilt) * v) / short
    along = (np.cos(tilt) * v - np.sin(tilt) * u) / long
    radius = np.sqrt(across**2 + along**2) + 0.22 * ragged
    return np.asarray(0.95 / (1 + np.exp((radius - 1.0) / 0.16)) * (lateral > 0), np.float32)


def _outer(outline: Points, side: int) -> Points:
    """Return the chest wall side of a lung as (lateral x, y), y growing."""
    lateral = outline * np.array([side, 1.0])
    return np.asarray(lateral[: int(np.argmin(lateral[:, 1])) + 1][::-1])


def _consolidation(
    canvas: Canvas, outlines: tuple[Points, Points], rng: Generator
) -> tuple[FloatArray, FloatArray]:
    lobe = _LOBES[int(rng.integers(len(_LOBES)))]
    x, y = canvas.grid(_COARSE)
    ragged, cloud = _noise(x, y, 4.0, rng), _noise(x, y, 2.0, rng)
    lateral = lobe.side * x
    size = rng.uniform(0.85, 1.10)
    u = (lateral - lobe.centre[0] - rng.normal(0, 0.03)) / (lobe.radii[0] * size)
    v = (y - lobe.centre[1] - rng.normal(0, 0.03)) / (lobe.radii[1] * size)
    body = 1 / (1 + np.exp((np.sqrt(u**2 + v**2) + 0.16 * ragged - 0.92) / 0.11))
    level, slope, keep = lobe.fissure
    beyond = keep * (y - level - slope * lateral)
    shape = body / (1 + np.exp(-beyond / 0.025)) * (lateral > 0)
    strength = rng.uniform(0.74, 0.90) * np.clip(1 + 0.13 * cloud, 0.5, 1.1)
    return np.asarray(np.clip(shape, 0, 1), np.float32), np.asarray(strength, np.float32)


def _bronchograms(canvas: Canvas, rng: Generator) -> FloatArray:
    """Return bronchi that stay open (H, W) in [0, 1], fanning from both hila."""
    angle = np.deg2rad(np.linspace(-75, 75, 7) + rng.normal(0, 12, (2, 7)))
    reach = 0.05 + np.linspace(0, 1, 12)[:, None, None] * rng.uniform(0.15, 0.45, (2, 7))
    bow = angle + rng.normal(0, 0.9, (2, 7)) * reach
    lines = np.stack([0.19 + reach * np.cos(bow), reach * np.sin(bow) - 0.06], axis=-1)
    lines[:, 0, :, 0] *= -1
    lines = np.moveaxis(lines.reshape(12, 14, 2), 0, 1)
    return canvas.blur(canvas.bands(lines, (0.022, 0.008)), 0.006)


def _noise(x: FloatArray, y: FloatArray, sigma: float, rng: Generator) -> FloatArray:
    """Return noise (H, W) of unit deviation, fixed to the chest; sigma in noise grid cells."""
    grid = gaussian_filter(rng.standard_normal((_NOISE_GRID, _NOISE_GRID)), sigma, mode="wrap")
    grid /= grid.std()
    scale = _NOISE_GRID / (2 * _NOISE_SPAN)
    where = np.stack([(y + _NOISE_SPAN) * scale, (x + _NOISE_SPAN) * scale])
    return np.asarray(map_coordinates(grid, where, np.float32, order=1, mode="grid-wrap"))
