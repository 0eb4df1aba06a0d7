"""Anti-aliased drawing in chest coordinates.

Chest coordinates: the origin is the middle of the thorax, x grows towards the viewer's right (the
patient's left), y grows downwards; the lungs reach about 0.8 to each side. All shapes are lists of
points (N, 2) in these units; a `Canvas` rasterises them to maps (H, W) on the pixel grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from covid_cxr.types import FloatArray

Points = NDArray[np.float64]

_OVERSAMPLING = 2


@dataclass(frozen=True)
class Canvas:
    """A pixel grid and the transformation from chest coordinates to it.

    Attributes:
        height, width: grid in pixels.
        unit: pixels in one chest unit.
        centre: pixel (x, y) of the chest's origin.
        angle: rotation of the patient in radians.
        bend: (3, 2) amplitudes of a slow warp, so that no two chests are alike.
        stretch: factors on the width and height of the patient.
    """

    height: int
    width: int
    unit: float
    centre: tuple[float, float]
    angle: float
    bend: Points
    stretch: tuple[float, float]

    def fill(self, *outlines: Points) -> FloatArray:
        """Return the coverage (H, W) in [0, 1] of the union of closed outlines."""
        image, pen = self._blank()
        for outline in outlines:
            pen.polygon(self._pixels(outline).ravel().tolist(), fill=255)
        return self._coverage(image)

    def bands(self, lines: Points, widths: ArrayLike, values: ArrayLike = 1.0) -> FloatArray:
        """Return the strength (H, W) in [0, 1] of bands; where they cross, the last one counts.

        Args:
            lines: (S, K, 2), K points of each band's middle.
            widths: (S, 2) full widths at the first and the last point, or (2,) for all.
            values: (S,) strengths in [0, 1], or one for all.
        """
        image, pen = self._blank()
        outlines = self._pixels(_outlines(lines, widths)).reshape(len(lines), -1)
        for outline, value in zip(outlines, np.broadcast_to(values, len(lines)), strict=True):
            pen.polygon(outline.tolist(), fill=round(255 * float(value)))
        return self._coverage(image)

    def blur(self, layer: FloatArray, sigma: float) -> FloatArray:
        """Return `layer` (H, W) smoothed by a Gaussian, sigma in chest units; edges continue."""
        return smooth(layer, sigma * self.unit)

    def grid(self, step: int = 1) -> tuple[FloatArray, FloatArray]:
        """Return chest coordinates x and y of every `step`th pixel (H', W'), without the bend."""
        rows, columns = np.mgrid[: self.height : step, : self.width : step].astype(np.float32)
        x = (columns + step / 2 - self.centre[0]) / self.unit
        y = (rows + step / 2 - self.centre[1]) / self.unit
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        wide, tall = self.stretch
        right, down = (cos * x + sin * y) / wide, (cos * y - sin * x) / tall
        return np.asarray(right, np.float32), np.asarray(down, np.float32)

    def enlarge(self, coarse: FloatArray, step: int) -> FloatArray:
        """Return a map made on `grid(step)` at full size (H, W)."""
        box = (0.0, 0.0, self.width / step, self.height / step)
        size = (self.width, self.height)
        return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR, box=box))

    def _blank(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        image = Image.new("L", (self.width * _OVERSAMPLING, self.height * _OVERSAMPLING))
        return image, ImageDraw.Draw(image)

    def _coverage(self, image: Image.Image) -> FloatArray:
        return to_pixels(image.reduce(_OVERSAMPLING))

    def _pixels(self, points: Points) -> Points:
        x, y = points[..., 0], points[..., 1]
        waves = np.stack([np.sin(2.1 * y + 0.7), np.sin(2.6 * x), np.cos(3.1 * (x + y))], axis=-1)
        bent = (points + waves @ self.bend) * np.asarray(self.stretch)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = bent @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray((turned * self.unit + np.asarray(self.centre)) * _OVERSAMPLING)


def to_image(pixels: FloatArray) -> Image.Image:
    """Return an 8-bit image of `pixels` (H, W) in [0, 1]; values beyond are clipped."""
    return Image.fromarray(np.asarray(np.clip(pixels, 0, 1) * 255 + 0.5, np.uint8))


def to_pixels(image: Image.Image) -> FloatArray:
    """Return an 8-bit image as pixels (H, W) in [0, 1]."""
    return np.asarray(image, np.float32) / np.float32(255)


def smooth(layer: FloatArray, sigma: float) -> FloatArray:
    """Return a Gaussian blur of `layer` (H, W), sigma in pixels; wide ones on a coarser grid."""
    step = int(sigma // 2)
    if step < 2:
        return np.asarray(gaussian_filter(layer, sigma, mode="nearest", truncate=3))
    height, width = layer.shape
    coarse = np.asarray(Image.fromarray(layer).reduce(step))
    coarse = gaussian_filter(coarse, sigma / step, mode="nearest", truncate=3)
    # reduce() rounds the size up: stretch by the exact factor, or everything would drift.
    box = (0.0, 0.0, width / step, height / step)
    fine = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.asarray(fine)


def curve(points: ArrayLike, count: int = 40) -> Points:
    """Return `count` points (count, 2) on a smooth open line through `points` (N, 2).

    Further axes in the middle, (N, ..., 2), are lines of their own: (count, ..., 2).
    """
    knots = np.asarray(points, np.float64)
    return _hermite(knots, 0, len(knots) - 1, np.linspace(0.0, 1.0, count))


def loop(points: Sequence[tuple[float, float]], count: int = 80) -> Points:
    """Return `count` points (count, 2) on a smooth closed outline through `points`."""
    knots = np.asarray([points[-1], *points, *points[:2]], np.float64)
    return _hermite(knots, 1, len(points) + 1, np.linspace(0.0, 1.0, count, endpoint=False))


def mirror(points: Points) -> Points:
    """Return `points` (..., 2) on the other side of the body."""
    return np.asarray(points * np.array([-1.0, 1.0]))


def tube(line: Points, start: float, end: float) -> Points:
    """Return the outline of a band along `line` (K, 2), full width running from start to end."""
    return np.asarray(_outlines(line[None], (start, end))[0])


def _hermite(knots: Points, first: int, last: int, where: Points) -> Points:
    """Return the cubic Hermite curve through `knots` (N, ..., 2), from knot `first` to `last`.

    `where` in [0, 1]. Knots outside first..last only shape the slopes at the ends.
    """
    steps = np.sqrt((np.diff(knots, axis=0) ** 2).sum(-1)).reshape(len(knots) - 1, -1).mean(axis=1)
    # Centripetal steps: no loops or overshoot where knots lie close together.
    along = np.concatenate([[0.0], np.cumsum(np.sqrt(steps))])
    slope = np.gradient(knots, along, axis=0)
    at = along[first] + where * (along[last] - along[first])
    left = np.clip(np.searchsorted(along, at, side="right") - 1, 0, len(along) - 2)
    shape = (-1,) + (1,) * (knots.ndim - 1)
    width = (along[left + 1] - along[left]).reshape(shape)
    t = (at - along[left]).reshape(shape) / width
    rise = t * t * (3 - 2 * t)
    bend = slope[left] * t * (1 - t) ** 2 - slope[left + 1] * t * t * (1 - t)
    return np.asarray(knots[left] * (1 - rise) + knots[left + 1] * rise + width * bend)


def _outlines(lines: Points, widths: ArrayLike) -> Points:
    """Return the closed outlines (S, 2 K, 2) of bands."""
    along = np.gradient(lines, axis=1)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    normal /= np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)[..., None]
    share = np.linspace(0.0, 0.5, lines.shape[1])
    first, last = np.moveaxis(np.asarray(widths, np.float64)[..., None], -2, 0)
    offset = normal * (first * (0.5 - share) + last * share)[..., None]
    return np.concatenate([lines + offset, (lines - offset)[:, ::-1]], axis=1)
