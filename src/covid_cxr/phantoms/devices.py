"""Monitoring leads on some bedside patients: bright lines that mean nothing for the finding."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from covid_cxr.phantoms.canvas import Bands, Canvas, curve
from covid_cxr.types import FloatArray


def leads(canvas: Canvas, rng: Generator) -> FloatArray:
    """Return electrodes and cables (H, W) in [0, 1], in about half of the calls."""
    cables, pads = [], []
    for _ in range(int(rng.choice([0, 2, 3], p=[0.5, 0.25, 0.25]))):
        end = np.array([rng.uniform(-0.75, 0.75), rng.uniform(-0.55, 0.75)])
        start = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.1), -1.3])
        middle = (start + end) / 2 + rng.normal(0, 0.14, 2)
        cables.append(curve([start, middle, end], 60))
        turn = np.arange(12) * (2 * np.pi / 12)
        pads.append(end + 0.024 * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    if not cables:
        return np.zeros((canvas.height, canvas.width), np.float32)
    lines = Bands(np.stack(cables), np.full((len(cables), 2), 0.011), np.full(len(cables), 0.45))
    return np.asarray(np.maximum(canvas.bands(lines), canvas.fill(*pads)), np.float32)
