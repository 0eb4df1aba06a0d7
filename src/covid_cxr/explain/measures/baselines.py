"""Maps that do not depend on the model: what an explanation must beat to be informative.

A map that agrees with a radiologist no better than the lungs themselves has found the lungs, not
the disease; a map that looks like an edge detector has not looked at the model (Adebayo et al.,
"Sanity checks for saliency maps", NeurIPS 2018).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.resampling import SMOOTHING, mask_on_grid
from covid_cxr.types import BoolArray, FloatArray

_WIDTH = 1 / 4  # standard deviation of the centre, as a share of the edge
_FINEST = 1 / 112  # smoothed away, as Canny's detector does: finer edges are noise
RANDOM_MAPS = 10  # per image, to average over: one alone is noisy

Baseline = Callable[[FloatArray, BoolArray | None, int], FloatArray]


def centre(image: FloatArray, lungs: BoolArray | None = None, seed: int = 0) -> FloatArray:
    """Return a Gaussian (S, S) in the middle of the image, where the chest is."""
    edge = image.shape[-1]
    offset = (np.arange(edge) - (edge - 1) / 2) / (_WIDTH * edge)
    bell = np.exp(-(offset**2) / 2)
    return np.asarray(bell[:, None] * bell[None], np.float32)


def lungs(image: FloatArray, lungs: BoolArray | None = None, seed: int = 0) -> FloatArray:
    """Return the lung mask as a map (S, S), strongest in the middle of the lungs.

    The mask alone is constant. It is smoothed as a class activation map is, so that it has a peak,
    and set to 0 outside, so that all of its mass lies in the lungs.

    Raises:
        InputError: no lungs are known.
    """
    if lungs is None or not lungs.any():
        raise InputError("no lungs are known for this image")
    inside = mask_on_grid(lungs, image.shape[-2:])
    smooth = scipy.ndimage.gaussian_filter(inside.astype(np.float32), SMOOTHING * len(inside))
    return np.asarray(smooth * inside, np.float32)


def edges(image: FloatArray, lungs: BoolArray | None = None, seed: int = 0) -> FloatArray:
    """Return the magnitude (S, S) of the Sobel gradient of the smoothed image."""
    smooth = scipy.ndimage.gaussian_filter(
        image.reshape(image.shape[-2:]), _FINEST * image.shape[-1]
    )
    gradient = np.hypot(scipy.ndimage.sobel(smooth, axis=0), scipy.ndimage.sobel(smooth, axis=1))
    return np.asarray(gradient, np.float32)


def random(image: FloatArray, lungs: BoolArray | None = None, seed: int = 0) -> FloatArray:
    """Return noise (S, S) as smooth as a class activation map."""
    noise = np.random.default_rng(seed).standard_normal(image.shape[-2:])
    return np.asarray(scipy.ndimage.gaussian_filter(noise, SMOOTHING * len(noise)), np.float32)


BASELINES: dict[str, Baseline] = {
    function.__name__: function for function in (centre, lungs, edges, random)
}


def maps(
    name: str, image: FloatArray, lungs: BoolArray | None = None, *, seed: int = 0
) -> list[FloatArray]:
    """Return the maps (S, S) of a baseline: one, or `RANDOM_MAPS` to average over.

    Args:
        name: one of `BASELINES`.
        image: preprocessed, float32 (1, S, S).
        lungs: both lungs, bool (H, W) at any resolution; None where not known.
        seed: random seed.

    Raises:
        UnknownName: no such baseline.
        InputError: it needs lungs and there are none.
    """
    if name not in BASELINES:
        raise UnknownName("baseline", name, BASELINES)
    count = RANDOM_MAPS if name == "random" else 1
    return [BASELINES[name](image, lungs, seed + number) for number in range(count)]
