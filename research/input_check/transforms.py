"""What is done to upright films to get those that must be refused, and those that must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from covid_cxr import imaging
from covid_cxr.inference.input_check import INVERTED, TURNED, UPRIGHT, UPSIDE_DOWN
from covid_cxr.types import FloatArray
from research.lung_segmentation.augment import augment
from research.lung_segmentation.export import SPEC

Change = Callable[[FloatArray], FloatArray]  # of a film (H, W) in [0, 1]

# Name -> the change, and the reason it must be refused for.
WRONG: Mapping[str, tuple[Change, str]] = {
    "turned left": (lambda film: np.rot90(film, 1), TURNED),
    "turned right": (lambda film: np.rot90(film, 3), TURNED),
    "turned by 180 degrees": (lambda film: np.rot90(film, 2), UPSIDE_DOWN),
    "mirrored top to bottom": (lambda film: film[::-1], UPSIDE_DOWN),
    "inverted": (lambda film: 1 - film, INVERTED),
}
AS_IS = "as it is"


def reason_of(change: str) -> str:
    """Return why a film so changed must be refused; "" where it must not."""
    return WRONG[change][1] if change in WRONG else UPRIGHT


def changed(film: FloatArray, change: str) -> FloatArray:
    """Return a film (H, W) as it is after a change of `WRONG`."""
    return np.ascontiguousarray(WRONG[change][0](film), dtype=np.float32)


def varied(films: FloatArray, seed: int) -> FloatArray:
    """Return preprocessed films (N, 1, S, S) as other patients and detectors would give them.

    Turned a little, moved, cropped, bent, mirrored side to side, of other contrast, with noise,
    blur, haze and labels: what the lung network was trained on too.
    """
    rng = torch.Generator().manual_seed(seed)
    size = films.shape[-1]
    nothing = torch.zeros(len(films), 2, size, size)
    made, _ = augment(torch.from_numpy(films), nothing, rng)
    return np.stack([imaging.preprocess(each[0], SPEC) for each in made.numpy()])
