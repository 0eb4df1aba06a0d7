"""Explanations and lungs whose every number is known."""

from __future__ import annotations

import numpy as np

from covid_cxr.types import Explanation, Lungs


def halves(left: float = 0.5, right: float = -0.25) -> Explanation:
    """Two regions: the left half and the right half of a 16 x 16 grid."""
    segments = np.zeros((16, 16), dtype=np.int32)
    segments[:, 8:] = 1
    weights = (left, right)
    return Explanation(
        method="lime",
        label="covid-19",
        attribution=np.asarray(weights, dtype=np.float32)[segments],
        segments=segments,
        weights=weights,
        fidelity=0.83,
        parameters={"samples": 1000},
        seed=3,
        bundle="abc123",
    )


def cloud(direction: float = 1) -> Explanation:
    """A smooth map without regions: a round cloud left of the middle of a 64 x 64 grid."""
    row, column = np.mgrid[:64, :64]
    cloud = np.exp(-((row - 32) ** 2 + (column - 20) ** 2) / (2 * 8**2))
    return Explanation("cam", "covid-19", (direction * cloud).astype(np.float32))


def lungs(size: int = 64) -> Lungs:
    """A lung on either side of the radiograph, rows 1/4 to 3/4."""
    right = np.zeros((size, size), dtype=bool)
    right[size // 4 : 3 * size // 4, size // 8 : 3 * size // 8] = True
    return Lungs(right, np.fliplr(right))
