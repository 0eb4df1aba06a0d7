"""Pictures that are no radiograph of a chest, drawn or cut from those that libraries hold.

Kinds that resemble each other make a family. A whole family is left out of the fit and measured,
so that the figures are those for what the limits have not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage import data as library
from sklearn.datasets import load_sample_images

from covid_cxr import imaging
from covid_cxr.imaging.text import write
from covid_cxr.types import FloatArray
from research.input_check import other_anatomy

Drawing = Callable[[Generator], FloatArray]
_EDGE = 256
_PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "horse.png",
    "coins.png",
    "clock_motion.png",
)
_TEXTURES = ("brick.png", "grass.png", "gravel.png", "moon.png", "hubble_deep_field.jpg")
_TISSUE = ("cell.png", "ihc.png", "retina.jpg", "microaneurysms.png")
_PAGES = ("page.png", "text.png")


def noise(rng: Generator) -> FloatArray:
    """White or coarse noise, or black and white specks."""
    grain = rng.normal(0, 1, (_EDGE, _EDGE))
    grain = ndimage.gaussian_filter(grain, rng.choice([0.0, 1.0, 3.0, 8.0, 20.0]))
    if rng.random() < 0.2:
        grain = (grain > np.quantile(grain, rng.uniform(0.2, 0.9))).astype(float)
    return _stretched(grain)


def pattern(rng: Generator) -> FloatArray:
    """Ramps, stripes, checks, rings and discs."""
    y, x = np.mgrid[-1 : 1 : _EDGE * 1j, -1 : 1 : _EDGE * 1j]
    angle, often = rng.uniform(0, np.pi), rng.uniform(1, 25)
    along = np.cos(angle) * x + np.sin(angle) * y
    patterns = {
        "ramp": along,
        "stripes": np.sin(often * along),
        "checks": np.sin(often * x) * np.sin(often * y) > 0,
        "rings": np.cos(often * np.hypot(x - rng.normal(0, 0.3), y - rng.normal(0, 0.3))),
        "disc": np.hypot(x, y * rng.uniform(0.6, 1.6)) < rng.uniform(0.2, 0.9),
        "vignette": -np.hypot(x, y),
    }
    return _stretched(patterns[str(rng.choice(sorted(patterns)))].astype(float))


def text(rng: Generator) -> FloatArray:
    """A page or a slide of words, dark on light or light on dark."""
    page = Image.new("RGB", (_EDGE, _EDGE), (255, 255, 255))
    draw, size, y = ImageDraw.Draw(page), int(rng.integers(7, 26)), int(rng.integers(4, 30))
    while y < _EDGE - size and rng.random() < 0.97:
        letters = rng.integers(97, 123, rng.integers(4, 60)).tolist()
        line = "".join(" " if letter % 6 == 0 else chr(letter) for letter in letters)
        write(draw, (int(rng.integers(4, 16)), y), line, size, (int(rng.integers(0, 90)),) * 3)
        y += int(size * rng.uniform(1.2, 2))
    return _maybe_negative(page, rng)


def drawing(rng: Generator) -> FloatArray:
    """Boxes, discs, lines: a chart, a logo, a cartoon."""
    page = Image.new("L", (_EDGE, _EDGE), int(rng.integers(180, 256)))
    draw = ImageDraw.Draw(page)
    for _ in range(int(rng.integers(2, 25))):
        (left, right), (top, bottom) = np.sort(rng.integers(0, _EDGE, (2, 2)))
        box, grey = (int(left), int(top), int(right), int(bottom)), int(rng.integers(0, 256))
        form = rng.integers(0, 4)
        if form == 0:
            draw.rectangle(box, fill=grey, outline=0)
        elif form == 1:
            draw.ellipse(box, fill=grey, outline=0)
        else:
            draw.line(box, fill=grey, width=int(rng.integers(1, 9)))
    return _maybe_negative(page, rng)


def _cut_from(names: tuple[str, ...]) -> Drawing:
    """Return a kind whose pictures are random parts of those that scikit-image holds."""
    return lambda rng: _part(_library_image(str(rng.choice(names))), rng)


def scene(rng: Generator) -> FloatArray:
    """A part of the two photographs that scikit-learn holds."""
    pictures = load_sample_images().images
    grey = np.asarray(pictures[int(rng.integers(len(pictures)))], np.float32).mean(axis=2) / 255
    return _part(grey, rng)


FAMILIES: Mapping[str, Mapping[str, Drawing]] = {
    "noise": {"noise": noise, "patterns": pattern},
    "pages": {"text pages": text, "drawings": drawing, "scanned pages": _cut_from(_PAGES)},
    "limbs": {"hands": other_anatomy.hand, "knees": other_anatomy.knee},
    "heads": {"skulls": other_anatomy.skull, "CT slices of the head": other_anatomy.head_ct},
    "trunks": {
        "pelves": other_anatomy.pelvis,
        "abdomens": other_anatomy.abdomen,
        "spines": other_anatomy.spine,
    },
    "breasts": {"mammograms": other_anatomy.breast},
    "ultrasound": {"ultrasound": other_anatomy.ultrasound},
    "chests in slices": {"CT slices of the chest": other_anatomy.chest_ct},
    "chests from the side": {"chests from the side": other_anatomy.side_of_chest},
    "photographs": {
        "photographs": _cut_from(_PHOTOGRAPHS),
        "scenes": scene,
        "textures": _cut_from(_TEXTURES),
        "microscopy and retina": _cut_from(_TISSUE),
    },
}
KINDS: Mapping[str, Drawing] = {
    kind: drawing for family in FAMILIES.values() for kind, drawing in family.items()
}


def draw(kind: str, count: int, seed: int) -> list[FloatArray]:
    """Return `count` pictures (H, W) in [0, 1] of one kind, each from a stream of its own."""
    number = sorted(KINDS).index(kind)
    return [KINDS[kind](np.random.default_rng((seed, number, i))) for i in range(count)]


@cache
def _library_image(name: str) -> FloatArray:
    return imaging.read(Path(library.__file__).parent / name).pixels


def _part(picture: FloatArray, rng: Generator) -> FloatArray:
    """Cut a random part of at least a third of each side; some are mirrored."""
    high, wide = (int(n * rng.uniform(0.34, 1)) for n in picture.shape)
    top = int(rng.integers(picture.shape[0] - high + 1))
    left = int(rng.integers(picture.shape[1] - wide + 1))
    part = picture[top : top + high, left : left + wide]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def _stretched(grid: FloatArray) -> FloatArray:
    span = max(float(np.ptp(grid)), 1e-6)
    return np.asarray((grid - grid.min()) / span, np.float32)


def _maybe_negative(page: Image.Image, rng: Generator) -> FloatArray:
    grey = np.asarray(page.convert("L"), np.float32) / np.float32(255)
    return np.asarray(1 - grey if rng.random() < 0.4 else grey, np.float32)
