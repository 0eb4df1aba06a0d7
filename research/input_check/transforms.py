"""What makes an upright radiograph one that must be rejected, and what must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from covid_cxr import imaging
from covid_cxr.inference.input_check import INVERTED, TURNED, UPRIGHT, UPSIDE_DOWN
from covid_cxr.types import FloatArray
from research.lung_segmentation.augment import augment
from research.lung_segmentation.export import SPEC

Transform = Callable[[FloatArray], FloatArray]  # of a radiograph (H, W) in [0, 1]

# Name -> the transform, and the reason for which its result must be rejected.
TRANSFORMS: Mapping[str, tuple[Transform, str]] = {
    "turned left": (lambda pixels: np.rot90(pixels, 1), TURNED),
    "turned right": (lambda pixels: np.rot90(pixels, 3), TURNED),
    "turned by 180 degrees": (lambda pixels: np.rot90(pixels, 2), UPSIDE_DOWN),
    "mirrored top to bottom": (lambda pixels: pixels[::-1], UPSIDE_DOWN),
    "inverted": (lambda pixels: 1 - pixels, INVERTED),
}
UNCHANGED = "as it is"


def reason_of(transform: str) -> str:
    """Return why a radiograph so transformed must be rejected; "" where it must not."""
    return TRANSFORMS[transform][1] if transform in TRANSFORMS else UPRIGHT


def transformed(pixels: FloatArray, transform: str) -> FloatArray:
    """Return a radiograph (H, W) after one of `TRANSFORMS`."""
    return np.ascontiguousarray(TRANSFORMS[transform][0](pixels), dtype=np.float32)


def varied(inputs: FloatArray, seed: int) -> FloatArray:
    """Return preprocessed radiographs (N, 1, S, S) as other patients and detectors would give them.

    Turned a little, moved, cropped, bent, mirrored side to side, of other contrast, with noise,
    blur, haze and labels: what the lung network was trained on too.
    """
    rng = torch.Generator().manual_seed(seed)
    size = inputs.shape[-1]
    no_masks = torch.zeros(len(inputs), 2, size, size)
    augmented, _ = augment(torch.from_numpy(inputs), no_masks, rng)
    return np.stack([imaging.preprocess(one[0], SPEC) for one in augmented.numpy()])
