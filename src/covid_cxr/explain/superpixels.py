"""The regions that perturbing explainers hide, what replaces them, and the answers then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np
import scipy
import skimage
from numpy.typing import NDArray

from covid_cxr.errors import InputError
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.explain.settings import Fill, RegionSettings
from covid_cxr.types import BoolArray, FloatArray, IntArray

# As the original system set them; the defaults of the `lime` package differ.
QUICKSHIFT: dict[str, float] = {"kernel_size": 2.25, "max_dist": 50, "ratio": 0.1, "sigma": 0.15}
# In a standardised image clear lung is one and a half deviations below the mean, which is 0.5.
_LUNG, _MEAN = 0.2, 0.5
_BLUR = 1 / 8  # standard deviation, as a share of the edge: only light and dark are left
_COMPACT = 0.1  # SLIC: shapes halfway between squares and the image's own edges
_KEPT = 64  # segmentations in the cache: several methods explain the same image


def superpixels(pixels: FloatArray, settings: RegionSettings) -> IntArray:
    """Return regions of a grey image (S, S), numbered 0..n-1, as int32 (S, S).

    The last 64 answers are cached, so that several methods and seeds share one segmentation.
    """
    masks: tuple[bytes, ...] = ()
    if settings.superpixels == "lungs" and (lungs := settings.lungs):
        both = (mask_on_grid(lung, pixels.shape) for lung in (lungs.right, lungs.left))
        masks = tuple(lung.tobytes() for lung in both)
    is_random = settings.superpixels == "quickshift"
    regions, seed = (0, settings.seed) if is_random else (settings.regions, 0)
    content = pixels.astype(np.float32).tobytes()
    return _segmented(content, settings.superpixels, regions, seed, masks)


def forget() -> None:
    """Clear the cache of segmentations, as a measurement of time needs."""
    _segmented.cache_clear()


def filled(pixels: FloatArray, segments: IntArray, fill: Fill) -> FloatArray:
    """Return the pixels (S, S) with every region replaced, as `fill` says."""
    if fill == "mean":
        return region_means(pixels, segments).astype(np.float32)[segments]
    if fill == "blur":
        return np.asarray(scipy.ndimage.gaussian_filter(pixels, _BLUR * len(pixels)), np.float32)
    return np.full_like(pixels, _LUNG if fill == "dark" else _MEAN)


def region_means(values: FloatArray, segments: IntArray) -> NDArray[np.float64]:
    """Return the mean (n,) of values (S, S) over each region 0..n-1."""
    flat = segments.ravel()
    return np.asarray(np.bincount(flat, weights=values.ravel()) / np.bincount(flat))


def answers(
    predict_proba: Callable[[FloatArray], FloatArray], images: Iterable[FloatArray], batch_size: int
) -> Iterator[NDArray[np.float64]]:
    """Yield a model's probabilities (N, C) of images (S, S), one batch at a time.

    So a caller can stop early. The batches lie in one buffer that the next one overwrites, and an
    answer is copied, as the model may reuse its output too.

    Raises:
        InputError: an answer of `predict_proba` is not (N, C).
    """
    remaining, buffer = iter(images), None
    while batch := list(islice(remaining, batch_size)):
        if buffer is None:
            buffer = np.empty((batch_size, 1, *batch[0].shape), np.float32)
        np.stack(batch, out=buffer[: len(batch), 0])
        answer = np.array(predict_proba(buffer[: len(batch)]), np.float64)
        if answer.ndim != 2 or len(answer) != len(batch) or not answer.shape[1]:
            raise InputError(
                f"predict_proba answered {len(batch)} images with shape {answer.shape}, "
                f"expected ({len(batch)}, classes)"
            )
        yield answer


def constants(settings: RegionSettings) -> dict[str, object]:
    """Return what the regions were made with beside the settings, JSON-ready."""
    return {"quickshift": QUICKSHIFT} if settings.superpixels == "quickshift" else {}


def square_grid(edge: int, side: int) -> IntArray:
    """Return int32 (edge, edge), cut into `side` x `side` squares numbered row by row."""
    cell = np.arange(edge) * side // edge
    return np.asarray(cell[:, None] * side + cell[None], np.int32)


@lru_cache(_KEPT)
def _segmented(
    content: bytes, method: str, regions: int, seed: int, masks: tuple[bytes, ...]
) -> IntArray:
    """Segment an image given by its content, float32 (S, S), and its two lungs' masks, if any."""
    edge = math.isqrt(len(content) // 4)
    pixels = np.frombuffer(content, np.float32).reshape(edge, edge)
    if method == "quickshift":
        colour = np.repeat(pixels[..., None], 3, axis=2)
        labels = skimage.segmentation.quickshift(colour, rng=seed, **QUICKSHIFT)  # type: ignore[no-untyped-call]
    elif method == "grid":
        labels = square_grid(edge, max(2, round(math.sqrt(regions))))
    elif masks:
        right, left = (np.frombuffer(mask, np.bool_).reshape(edge, edge).copy() for mask in masks)
        labels = _along_lungs(pixels, regions, right, left)
    else:
        labels = _slic(pixels, regions, None)
    _, numbers = np.unique(labels, return_inverse=True)
    segments = numbers.reshape(labels.shape).astype(np.int32)
    segments.setflags(write=False)
    return segments


def _slic(pixels: FloatArray, regions: float, mask: BoolArray | None) -> IntArray:
    """Return about that many regions of a mask, numbered from 1."""
    labels: IntArray = skimage.segmentation.slic(
        pixels,
        n_segments=max(1, round(regions)),
        compactness=_COMPACT,
        mask=mask,
        channel_axis=None,
        start_label=1,
    )
    return labels


def _along_lungs(pixels: FloatArray, regions: int, right: BoolArray, left: BoolArray) -> IntArray:
    """Half of the regions lie in the lungs, by area; the rest of the image has the other half.

    The lungs are cut finer than shoulders and abdomen because the question is what they show.
    """
    inside = right | left
    if not right.any() or not left.any() or inside.all():
        return _slic(pixels, regions, None)
    labels = np.zeros(pixels.shape, np.int32)
    parts = (
        (right, regions / 2 * (right.sum() / inside.sum())),
        (left & ~right, regions / 2 * (left.sum() / inside.sum())),
        (~inside, regions // 2),
    )
    for part, count in parts:
        labels[part] = _slic(pixels, count, part)[part] + labels.max()
    return labels
