"""What happens to a film on its way from one collection to the next: the ways a copy hides."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from covid_cxr.types import FloatArray

_MARGIN = 0.08  # cropped at most, as a share of the edge, on each side
_FRAME = 0.12


def transform_copy(pixels: FloatArray, kind: str, rng: np.random.Generator) -> FloatArray:
    """Return a copy of a film, float32 (H', W') in [0, 1], changed by one of `COPY_TRANSFORMS`.

    Args:
        pixels: float32 (H, W) in [0, 1].
        kind: a name in `COPY_TRANSFORMS`.
        rng: of how much and where.
    """
    changed = COPY_TRANSFORMS[kind](pixels, rng)
    return np.clip(changed, 0, 1).astype(np.float32)


def _resize(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    scale = rng.uniform(0.35, 0.9)
    stretch = scale * rng.uniform(0.95, 1.05)
    picture = _picture(pixels)
    edges = max(64, round(picture.width * scale)), max(64, round(picture.height * stretch))
    return _floats(picture.resize(edges, Image.Resampling.BICUBIC))


def _jpeg(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    buffer = BytesIO()
    _picture(pixels).save(buffer, "JPEG", quality=int(rng.integers(25, 90)))
    with Image.open(buffer) as picture:
        return _floats(picture)


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
    picture = _picture(pixels)
    pen = ImageDraw.Draw(picture)
    for line in ("Patient 1234  AP", "24 hours", "PORTABLE L"):
        at = rng.uniform(0, 0.7) * picture.width, rng.uniform(0, 0.9) * picture.height
        pen.text(at, line, fill=255, font_size=max(8, picture.height // 18))
    return _floats(picture)


def _sides(pixels: FloatArray, rng: np.random.Generator, most: float) -> list[int]:
    height, width = pixels.shape
    shares = rng.uniform(0, most, 4) * (height, height, width, width)
    return [int(share) for share in shares]


def _picture(pixels: FloatArray) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def _floats(picture: Image.Image) -> FloatArray:
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


COPY_TRANSFORMS: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {
    "resize": _resize,
    "jpeg": _jpeg,
    "contrast": _contrast,
    "gamma": _gamma,
    "crop": _crop,
    "border": _border,
    "text": _text,
}
