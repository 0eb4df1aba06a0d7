"""Views of an image: without lungs, the outer frame alone, and the lungs alone.

The outline of a removed region could reveal its content, since a network segments less of an
opaque lung. So a template, the same for all images, is removed as well, and the fill is a smooth
mean of the surroundings without an edge. Images are changed before brightness and contrast are
standardised, else the rest would reveal how opaque the lungs were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.imaging.crop import crop, lung_box
from covid_cxr.types import BoolArray, FloatArray, Lungs

_MARGIN = 0.05  # share of the edge by which lungs are dilated
_COMMON = 0.15  # the template: where at least this share of images has lung
_FRAME = 0.12  # width of the frame as a share of the edge
_COARSE = 4  # the fill is computed on a grid this much coarser
_REACH = 0.06  # sigma of the fill as a share of the edge


class Regions(NamedTuple):
    """Images (n, S, S) with their lungs (n, S, S), and the template of all images."""

    images: NDArray[np.floating]
    lungs: BoolArray
    template: BoolArray  # (S, S)


def dilate(lungs: BoolArray) -> BoolArray:
    """Return lung masks (N, S, S) dilated by 5 % of the edge."""
    reach = _MARGIN * lungs.shape[-1]
    wide = np.zeros_like(lungs)
    for row, lung in enumerate(lungs):
        if lung.any():
            wide[row] = ndimage.distance_transform_edt(~lung) <= reach
    return wide


def template(masks: BoolArray) -> BoolArray:
    """Return where (S, S) at least 15 % of the images with lungs (N, S, S) have lung."""
    segmented = masks[masks.any(axis=(1, 2))]
    if not len(segmented):
        return np.zeros(masks.shape[1:], bool)
    return np.asarray(segmented.mean(axis=0) >= _COMMON)


def whole(regions: Regions) -> FloatArray:
    """Return the images as they are."""
    return regions.images.astype(np.float32)


def lungs_removed(regions: Regions) -> FloatArray:
    """Return the images with lungs and template inpainted."""
    return inpaint(regions.images, regions.lungs | regions.template)


def frame_only(regions: Regions) -> FloatArray:
    """Return the outer 12 % on each side, lungs inpainted; the middle is its mean."""
    size = regions.images.shape[-1]
    width = round(_FRAME * size)
    middle = np.zeros((size, size), bool)
    middle[width:-width, width:-width] = True
    images = inpaint(regions.images, regions.lungs | regions.template)
    return _mean_outside(images, np.broadcast_to(~middle, images.shape))


def lungs_only(regions: Regions) -> FloatArray:
    """Return the lungs; the rest is their mean."""
    return _mean_outside(regions.images, regions.lungs)


def outline(regions: Regions) -> FloatArray:
    """Return the lung masks: what their position and shape alone reveal."""
    return regions.lungs.astype(np.float32)


VIEWS: dict[str, Callable[[Regions], FloatArray]] = {
    "whole": whole,
    "lungs removed": lungs_removed,
    "frame only": frame_only,
    "lungs only": lungs_only,
    "outline": outline,
}


def resize_only(spec: PreprocessSpec, size: int) -> PreprocessSpec:
    """Return a specification that resizes an image to (size, size) and does nothing else."""
    off = {"remove_markers": False, "standardise": False, "equalise": False}
    return spec.model_copy(update={"size": size, "lung_margin": None, **off})


def view_inputs(view: str, regions: Regions, spec: PreprocessSpec) -> FloatArray:
    """Return model inputs (n, 1, S, S) of one of `VIEWS`, standardised as `spec` says."""
    off = {"remove_markers": False, "lung_margin": None}
    as_is = spec.model_copy(update={"size": regions.images.shape[-1], **off})
    return np.stack([imaging.preprocess(image, as_is) for image in VIEWS[view](regions)])


def crop_to_lungs(
    images: NDArray[np.float16], lungs: BoolArray, spec: PreprocessSpec
) -> tuple[NDArray[np.float16], BoolArray]:
    """Return images and lungs (N, S, S) cropped as by a recipe with a `lung_margin`.

    The lungs are dilated already, and so is the crop.
    """
    resize, empty = resize_only(spec, images.shape[-1]), np.zeros(images.shape[1:], bool)
    cropped, cropped_lungs = np.empty_like(images), np.empty_like(lungs)
    for row, lung in enumerate(lungs):
        box = lung_box(spec, Lungs(lung, empty))
        part = crop(images[row].astype(np.float32), box)
        cropped[row] = imaging.preprocess(part, resize)[0]
        cropped_lungs[row] = mask_on_grid(crop(lung, box), empty.shape)
    return cropped, cropped_lungs


def inpaint(images: NDArray[np.floating], mask: BoolArray) -> FloatArray:
    """Return images (n, S, S) with a mask replaced by a smooth mean of its surroundings.

    Normalised convolution (Knutsson and Westin, CVPR 1993) at two widths: the narrow one near the
    edge of the mask, the wide one in its middle.
    """
    images = images.astype(np.float32)
    kept = 1 - mask.astype(np.float32)
    near, near_weight = _weighted_mean(images * kept, kept, _REACH)
    far, _ = _weighted_mean(images * kept, kept, 4 * _REACH)
    share = np.clip(near_weight / 0.05, 0, 1)
    fill = share * near + (1 - share) * far
    size, factors = images.shape[-1], (1, _COARSE, _COARSE)
    enlarged = ndimage.zoom(fill, factors, order=1, mode="nearest", grid_mode=True)
    return np.where(mask, enlarged[:, :size, :size], images)


def _weighted_mean(
    values: FloatArray, weights: FloatArray, reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weighted mean and its weight on the coarse grid (n, S / 4, S / 4)."""
    sigma = reach * values.shape[-1] / _COARSE
    value, weight = (
        ndimage.gaussian_filter(_shrink(array), (0, sigma, sigma), mode="nearest")
        for array in (values, weights)
    )
    return value / np.maximum(weight, 1e-6), weight


def _shrink(images: FloatArray) -> FloatArray:
    """Return means over cells of 4 x 4, the last row and column repeated where needed."""
    spare = -images.shape[-1] % _COARSE
    images = np.pad(images, ((0, 0), (0, spare), (0, spare)), mode="edge")
    n, size, _ = images.shape
    cells = images.reshape(n, size // _COARSE, _COARSE, size // _COARSE, _COARSE)
    return np.asarray(cells.mean(axis=(2, 4)))


def _mean_outside(images: NDArray[np.floating], kept: BoolArray) -> FloatArray:
    """Return images with the rest set to the mean of what is kept; grey where nothing is."""
    images = images.astype(np.float32)
    count = kept.sum(axis=(1, 2))
    mean = np.where(count > 0, (images * kept).sum(axis=(1, 2)) / np.maximum(count, 1), 0.5)
    return np.where(kept, images, mean[:, None, None].astype(np.float32))
