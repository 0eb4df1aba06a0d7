"""How similar two fingerprints are once one is registered to the other.

A copy may have been cropped or framed, which shifts and stretches its fingerprint along both axes.
The inverse compositional Gauss-Newton method (Baker and Matthews, IJCV 2004) finds the four
numbers that undo it, coarse to fine, with Huber weights so that written text does not pull.
What is then compared is fine detail, block by block: ribs and vessels of two radiographs of one
patient never coincide, those of two copies do. The median over blocks ignores written text; that
three in four blocks are nearly as similar separates copies from radiographs that agree by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from covid_cxr.cohort.dedup.fingerprint import Fingerprint

Batch = NDArray[np.float32]  # (n, edge, edge), or (n, 4): scale x, shift x, scale y, shift y

COPY = 0.95  # from this similarity on, two images are called copies; see docs/concepts/cohort.md

_PYRAMID = ((2, 0.0, 3.0, 8), (1, 0.5, 5.0, 4), (0, 0.7, 4.0, 5))  # halvings, band (pixels), steps
_LIMITS = (0.85, 0.88)  # correlation that a pair must reach to go on to the next level
_HOPELESS = -0.25  # of a pair that was dropped: its correlation was below 0.75
_BLOCK = 8
_NEARLY = 0.12  # by which the lower quartile of the blocks may stay below their median
_SMALL = np.float32(1e-6)
_SCALE, _SHIFT = (0.7, 1.4), (-0.25, 0.25)  # how far a copy may be cropped or framed
_STEP = 0.08


def similarity(first: Fingerprint, second: Fingerprint) -> NDArray[np.float32]:
    """Return a similarity in [-1, 1] a pair; `COPY` and more means copies of one radiograph.

    A crop registers to the whole radiograph better than the other way round: unless the first
    attempt is clearly above or below, the second is registered to the first as well, and the higher
    similarity is returned.

    Args:
        first, second: fingerprints uint8 (n, 64, 64), pair by pair.
    """
    answer = _registered(first, second)
    doubtful = np.flatnonzero((answer > _HOPELESS) & (answer < COPY))
    if len(doubtful):
        other_way = _registered(second[doubtful], first[doubtful])
        answer[doubtful] = np.maximum(answer[doubtful], other_way)
    return answer


def _registered(first: Fingerprint, second: Fingerprint) -> NDArray[np.float32]:
    """A pair dropped on a coarse level gets its correlation there, less 1."""
    answer = np.full(len(first), -1, np.float32)
    left = np.arange(len(first))
    warp = np.tile(np.array([1, 0, 1, 0], np.float32), (len(first), 1))
    for (halvings, low, high, steps), limit in zip(_PYRAMID, (*_LIMITS, None), strict=True):
        image, target = (
            _band(_shrunk(prints[left], halvings), low, high) for prints in (first, second)
        )
        warp = _align(image, target, warp, steps)
        warped, inside = _warped(image, warp)
        if limit is None:
            answer[left] = _detail(warped, target, inside)
            break
        correlation = _correlation(*map(_flat, (warped, target, inside)))
        answer[left] = correlation - 1
        left, warp = left[correlation >= limit], warp[correlation >= limit]
        if not len(left):
            break
    return answer


def _flat(batch: Batch) -> Batch:
    return batch.reshape(len(batch), 1, -1)


def _shrunk(prints: Fingerprint, halvings: int) -> Batch:
    batch = prints.astype(np.float32)
    for _ in range(halvings):  # sums of slices: NumPy's mean over blocks is far slower
        upper, lower = batch[:, ::2], batch[:, 1::2]
        total = upper[..., ::2] + upper[..., 1::2] + lower[..., ::2] + lower[..., 1::2]
        batch = total * np.float32(0.25)
    return batch


def _band(batch: Batch, low: float, high: float) -> Batch:
    """Keep detail between two widths; mean 0, deviation 1."""
    fine = gaussian_filter(batch, (0, low, low)) if low else batch
    band = fine - gaussian_filter(batch, (0, high, high))
    band -= band.mean((1, 2), keepdims=True)
    return np.asarray(band / (band.std((1, 2), keepdims=True) + _SMALL))


def _grid(edge: int) -> NDArray[np.float32]:
    """Pixel centres from -0.5 to 0.5."""
    return (np.arange(edge) + 0.5).astype(np.float32) / np.float32(edge) - np.float32(0.5)


def _warped(image: Batch, warp: Batch) -> tuple[Batch, Batch]:
    """Sample at scale * x + shift, linearly; also return which samples are inside (1 or 0)."""
    columns, in_x = _weights(warp[:, 0], warp[:, 1], image.shape[2])
    rows, in_y = _weights(warp[:, 2], warp[:, 3], image.shape[1])
    warped = rows @ image @ columns.transpose(0, 2, 1)
    return np.asarray(warped), np.asarray(in_y[:, :, None] * in_x[:, None, :])


def _weights(scale: Batch, shift: Batch, edge: int) -> tuple[Batch, Batch]:
    """Return interpolation matrices (n, edge, edge): scaling and shifting are separable."""
    at = (scale[:, None] * _grid(edge) + shift[:, None] + np.float32(0.5)) * edge - np.float32(0.5)
    hats = np.maximum(0, 1 - np.abs(at[:, :, None] - np.arange(edge, dtype=np.float32)))
    inside = (at > -0.5) & (at < edge - 0.5)
    return np.asarray(hats, np.float32), np.asarray(inside, np.float32)


def _align(image: Batch, target: Batch, warp: Batch, steps: int) -> Batch:
    """Return the warp that registers `image` to `target`."""
    edge = target.shape[1]
    down, across = np.gradient(target, 1 / edge, axis=(1, 2))
    grid = _grid(edge)
    slopes = (across * grid, across, down * grid[:, None], down)
    jacobian = np.stack(slopes, axis=-1).reshape(len(target), -1, 4).astype(np.float32)
    flat = target.reshape(len(target), -1)
    for _ in range(steps):
        warped, inside = _warped(image, warp)
        error, weight = _residual(warped.reshape(flat.shape), flat, inside.reshape(flat.shape))
        weighted = jacobian * weight[:, :, None]
        normal = weighted.transpose(0, 2, 1) @ jacobian
        normal += np.eye(4, dtype=np.float32) * (1e-4 * edge**2)
        step = np.linalg.solve(normal, weighted.transpose(0, 2, 1) @ error[:, :, None])
        warp = _composed(warp, np.clip(step[:, :, 0], -_STEP, _STEP))
    return warp


def _residual(warped: Batch, target: Batch, inside: Batch) -> tuple[Batch, Batch]:
    """Return what is left between the two, at equal mean and deviation, and Huber's weights."""
    centred, own = _centred(warped, inside)
    aim, wanted = _centred(target, inside)
    error = centred / own * wanted - aim
    return error, inside / np.maximum(1, np.abs(error))


def _centred(values: Batch, weight: Batch) -> tuple[Batch, Batch]:
    count = weight.sum(1, keepdims=True) + _SMALL
    centred = values - (values * weight).sum(1, keepdims=True) / count
    spread = np.sqrt((centred**2 * weight).sum(1, keepdims=True) / count)
    return centred, np.asarray(spread + _SMALL)


def _composed(warp: Batch, step: Batch) -> Batch:
    """Return the warp followed by the step undone."""
    scale = warp[:, (0, 2)] / (1 + step[:, (0, 2)])
    shift = warp[:, (1, 3)] - scale * step[:, (1, 3)]
    scale, shift = np.clip(scale, *_SCALE), np.clip(shift, *_SHIFT)
    return np.stack((scale[:, 0], shift[:, 0], scale[:, 1], shift[:, 1]), axis=1)


def _correlation(one: Batch, other: Batch, weight: Batch) -> Batch:
    """Return Pearson's correlation over the last axis, averaged over the one before."""
    count = weight.sum(-1, keepdims=True) + _SMALL
    one = one - (one * weight).sum(-1, keepdims=True) / count
    other = other - (other * weight).sum(-1, keepdims=True) / count
    together = (one * other * weight).sum(-1)
    spread = (one**2 * weight).sum(-1) * (other**2 * weight).sum(-1)
    return np.asarray(together / np.sqrt(spread + _SMALL))[..., 0]


def _detail(warped: Batch, target: Batch, inside: Batch) -> Batch:
    """Return the similarity of the blocks that are at least half inside the image."""
    one, other, weight = map(_blocks, (warped, target, inside))
    correlation = _correlation(one[:, :, None], other[:, :, None], weight[:, :, None])
    covered = weight.mean(-1) >= 0.5
    quartile, median = np.nanquantile(np.where(covered, correlation, np.nan), (0.25, 0.5), axis=1)
    return np.asarray(np.minimum(median, quartile + _NEARLY))


def _blocks(batch: Batch) -> Batch:
    """(n, edge, edge) -> (n, blocks, pixels of a block)."""
    n, edge, _ = batch.shape
    side = edge // _BLOCK
    blocks = batch.reshape(n, side, _BLOCK, side, _BLOCK).transpose(0, 1, 3, 2, 4)
    return blocks.reshape(n, side * side, _BLOCK * _BLOCK)
