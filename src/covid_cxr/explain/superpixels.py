"""The regions that perturbing explainers hide, and what they put in their place."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import ndimage
from skimage.segmentation import quickshift, slic

from covid_cxr.explain.base import Options
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.types import BoolArray, FloatArray, IntArray, Lungs

# As the original system set them; the `lime` package's own are others.
QUICKSHIFT: dict[str, float] = {"kernel_size": 2.25, "max_dist": 50, "ratio": 0.1, "sigma": 0.15}
# On a standardised film: clear lung is one and a half deviations below the mean, which is 0.5.
_LUNG, _MEAN = 0.2, 0.5
_BLUR = 1 / 8  # standard deviation, as a share of the edge: nothing but light and dark is left
_COMPACT = 0.1  # SLIC: shapes halfway between squares and the film's own edges
_KEPT = 64  # segmentations remembered: several methods explain the same film


def superpixels(image: FloatArray, options: Options) -> IntArray:
    """Return regions of a grey film (S, S), numbered 0..n-1, as int32 (S, S).

    The last 64 answers are remembered, so that several methods and seeds share one segmentation.
    """
    lungs = options.lungs if options.superpixels == "lungs" else None
    masks = () if lungs is None else (_Mask(lungs.right), _Mask(lungs.left))
    wanted = 0 if options.superpixels == "quickshift" else options.regions
    seed = options.seed if options.superpixels == "quickshift" else 0
    return _segmented(_Mask(image), options.superpixels, wanted, seed, masks)


def forget() -> None:
    """Drop the remembered segmentations, as a measurement of time needs."""
    _segmented.cache_clear()


def covered(image: FloatArray, segments: IntArray, options: Options) -> FloatArray:
    """Return the film (S, S) with every region hidden, as `options.fill` says."""
    if options.fill == "mean":
        return region_means(image, segments)[segments]
    if options.fill == "blur":
        return np.asarray(ndimage.gaussian_filter(image, _BLUR * len(image)), np.float32)
    return np.full_like(image, _LUNG if options.fill == "dark" else _MEAN)


def region_means(image: FloatArray, segments: IntArray) -> FloatArray:
    """Return the mean of `image` over each region, float32 (n,)."""
    flat = segments.ravel()
    sums = np.bincount(flat, weights=image.ravel())
    return (sums / np.bincount(flat)).astype(np.float32)


def description(options: Options) -> dict[str, object]:
    """Return what the regions were made with, JSON-ready."""
    if options.superpixels == "quickshift":
        return {"method": "quickshift", **QUICKSHIFT}
    return {"method": options.superpixels, "regions": options.regions}


class _Mask:
    """An array that can be looked up by its content."""

    def __init__(self, array: FloatArray | BoolArray) -> None:
        self.array = array
        self._key = (array.shape, array.dtype.str, array.tobytes())

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Mask) and self._key == other._key


@lru_cache(_KEPT)
def _segmented(
    image: _Mask, method: str, regions: int, seed: int, lungs: tuple[_Mask, ...]
) -> IntArray:
    film = np.asarray(image.array, np.float32)
    if method == "quickshift":
        colour = np.repeat(film[..., None], 3, axis=2)
        found = quickshift(colour, rng=seed, **QUICKSHIFT)  # type: ignore[no-untyped-call]
    elif method == "grid":
        found = _grid(len(film), regions)
    elif lungs:
        found = _along_lungs(film, regions, Lungs(*(np.asarray(m.array, bool) for m in lungs)))
    else:
        found = _slic(film, regions, None)
    answer = _numbered(found)
    answer.setflags(write=False)
    return answer


def _grid(edge: int, regions: int) -> IntArray:
    side = max(2, round(math.sqrt(regions)))
    cell = np.arange(edge) * side // edge
    return np.asarray(cell[:, None] * side + cell[None], np.int32)


def _slic(film: FloatArray, regions: int, mask: BoolArray | None) -> IntArray:
    found: IntArray = slic(
        film,
        n_segments=regions,
        compactness=_COMPACT,
        mask=mask,
        channel_axis=None,
        start_label=1,
    )
    return found


def _along_lungs(film: FloatArray, regions: int, lungs: Lungs) -> IntArray:
    """Half of the regions lie in the lungs, by area; the rest of the film has the other half.

    What is asked is what the lungs say, so they are cut finer than shoulders and abdomen.
    """
    right, left = (mask_on_grid(each, film.shape) for each in (lungs.right, lungs.left))
    inside = right | left
    if not right.any() or not left.any() or inside.all():
        return _slic(film, regions, None)
    found = np.zeros(film.shape, np.int32)
    for part, share in ((right, right.sum() / inside.sum()), (left & ~right, None)):
        wanted = regions / 2 * (share if share is not None else left.sum() / inside.sum())
        cut = _slic(film, max(1, round(wanted)), part)
        found[part] = cut[part] + found.max()
    outside = ~inside
    cut = _slic(film, max(1, regions // 2), outside)
    found[outside] = cut[outside] + found.max()
    return found


def _numbered(regions: IntArray) -> IntArray:
    _, numbers = np.unique(regions, return_inverse=True)
    return numbers.reshape(regions.shape).astype(np.int32)
