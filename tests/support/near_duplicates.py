"""Transforms that turn a radiograph into a near-duplicate, as between two collections."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from covid_cxr.phantoms.canvas import to_image, to_pixels
from covid_cxr.types import FloatArray

_MARGIN = 0.08  # cropped at most, as a share of the edge, on each side
_FRAME = 0.12


def transform_copy(pixels: FloatArray, kind: str, rng: np.random.Generator) -> FloatArray:
    """Return a copy, float32 (H', W') in [0, 1], changed by one of `COPY_TRANSFORMS`.

    Args:
        pixels: float32 (H, W) in [0, 1].
        kind: a name in `COPY_TRANSFORMS`.
        rng: of strength and position.
    """
    changed = COPY_TRANSFORMS[kind](pixels, rng)
    return np.clip(changed, 0, 1).astype(np.float32)


def _resize(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    scale = rng.uniform(0.35, 0.9)
    stretch = scale * rng.uniform(0.95, 1.05)
    image = to_image(pixels)
    edges = max(64, round(image.width * scale)), max(64, round(image.height * stretch))
    return to_pixels(image.resize(edges, Image.Resampling.BICUBIC))


def _jpeg(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    buffer = BytesIO()
    to_image(pixels).save(buffer, "JPEG", quality=int(rng.integers(25, 90)))
    with Image.open(buffer) as image:
        return to_pixels(image)


def _contrast(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    return (pixels - 0.5) * rng.uniform(0.7, 1.4) + 0.5 + rng.uniform(-0.15, 0.15)


def _gamma(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.asarray(pixels ** rng.uniform(0.65, 1.5))


def _crop(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    top, bottom, left, right = _sides(pixels, rng, _MARGIN)
    return pixels[top : pixels.shape[0] - bottom, left : pixels.shape[1] - right]


def _border(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    top, bottom, left, right = _sides(pixels, rng, _FRAME)
    level = float(rng.choice([0.0, 1.0]))
    return np.pad(pixels, ((top, bottom), (left, right)), constant_values=level)


def _text(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    image = to_image(pixels)
    pen = ImageDraw.Draw(image)
    for line in ("Patient 1234  AP", "24 hours", "PORTABLE L"):
        at = rng.uniform(0, 0.7) * image.width, rng.uniform(0, 0.9) * image.height
        pen.text(at, line, fill=255, font_size=max(8, image.height // 18))
    return to_pixels(image)


def _sides(pixels: FloatArray, rng: np.random.Generator, most: float) -> list[int]:
    height, width = pixels.shape
    shares = rng.uniform(0, most, 4) * (height, height, width, width)
    return [int(share) for share in shares]


COPY_TRANSFORMS: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    transform.__name__.removeprefix("_"): transform
    for transform in (_resize, _jpeg, _contrast, _gamma, _crop, _border, _text)
}
