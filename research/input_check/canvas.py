"""A canvas on which simple anatomy is drawn as X-rays would show it: what is dense is bright."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy import ndimage

from covid_cxr.types import FloatArray

EDGE = 256
Point = tuple[float, float]  # x, y as shares of the edge


class Canvas:
    """Density (EDGE, EDGE) of a body; shapes add to it.

    Args:
        rng: of noise and exposure.
    """

    def __init__(self, rng: Generator) -> None:
        self.rng = rng
        self.density: FloatArray = np.zeros((EDGE, EDGE), np.float32)

    def ellipse(
        self, centre: Point, radii: Point, density: float, *, turn: float = 0, soft: float = 2
    ) -> None:
        """Add a filled ellipse, turned by `turn` degrees, its border `soft` pixels wide."""
        angle = np.linspace(0, 2 * np.pi, 60)
        x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
        c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
        outline = np.stack([centre[0] + c * x - s * y, centre[1] + s * x + c * y], axis=1)
        self.polygon([(float(a), float(b)) for a, b in outline], density, soft=soft)

    def polygon(self, outline: Sequence[Point], density: float, *, soft: float = 2) -> None:
        """Add a filled polygon."""
        image, draw = _blank_image()
        draw.polygon([(x * EDGE, y * EDGE) for x, y in outline], fill=255)
        self._add(image, density, soft)

    def bone(self, line: Sequence[Point], width: float, density: float, *, soft: float = 1) -> None:
        """Add a tube along `line` with denser walls and round ends."""
        for part, share in ((1.0, 1.0), (0.55, -0.45)):
            image, draw = _blank_image()
            points = [(x * EDGE, y * EDGE) for x, y in line]
            thick = max(1, round(width * part * EDGE))
            draw.line(points, fill=255, width=thick, joint="curve")
            for x, y in (points[0], points[-1]):
                r = thick / 2
                draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
            self._add(image, density * share, soft)

    def radiograph(self) -> FloatArray:
        """Return the picture (EDGE, EDGE) in [0, 1], placed and exposed at random, with noise."""
        rng = self.rng
        self.density = self._placed()
        grain = ndimage.gaussian_filter(rng.normal(0, 1, (EDGE, EDGE)), rng.uniform(0.3, 1.2))
        uneven = ndimage.gaussian_filter(rng.normal(0, 1, (EDGE, EDGE)), 14) * 14
        body = np.maximum(self.density, 0) * (1 + rng.uniform(0, 0.3) * uneven)
        picture = (1 - np.exp(-rng.uniform(0.8, 2.0) * body)) + rng.uniform(0.01, 0.04) * grain
        picture = np.clip((picture - picture.min()) / max(np.ptp(picture), 1e-6), 0, 1)
        return np.asarray(picture ** np.exp(rng.uniform(-0.4, 0.4)), np.float32)

    def _placed(self) -> FloatArray:
        """Return the density turned, moved and enlarged a little, its edge drawn out."""
        rng = self.rng
        angle, zoom = np.deg2rad(rng.normal(0, 8)), np.exp(rng.uniform(-0.25, 0.25))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
        middle = np.full(2, EDGE / 2)
        offset = middle - turn @ middle + rng.normal(0, 0.04 * EDGE, 2)
        placed: FloatArray = ndimage.affine_transform(
            self.density, turn, offset, order=1, mode="nearest"
        )
        return placed

    def _add(self, image: Image.Image, density: float, soft: float) -> None:
        mask = np.asarray(image, np.float32) / 255
        self.density += np.float32(density) * ndimage.gaussian_filter(mask, soft)


def _blank_image() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (EDGE, EDGE))
    return image, ImageDraw.Draw(image)
