"""Other anatomy than a frontal chest, drawn: limbs, skull, pelvis, CT slices, a chest's side.

It stands for radiographs that may not be passed on with a project; coarse, but with the grey levels
and the smooth borders that photographs lack.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.random import Generator

from covid_cxr.types import FloatArray
from research.input_check.canvas import Canvas


def hand(rng: Generator) -> FloatArray:
    """Five fingers of three or two bones each, palm and wrist."""
    canvas, fat = Canvas(rng), rng.uniform(0.3, 0.6)
    canvas.ellipse((0.5, 0.66), (0.19, 0.17), fat)
    canvas.bone([(0.5, 0.75), (0.5, 1.0)], 0.24, fat)
    for finger, angle in enumerate(np.deg2rad([-58, -18, -4, 9, 24]) + rng.normal(0, 0.05, 5)):
        root = np.array([0.36 + 0.07 * finger, 0.72 if finger == 0 else 0.62])
        way, length = np.array([np.sin(angle), -np.cos(angle)]), rng.uniform(0.38, 0.5)
        tip = root + way * length * (0.75 if finger == 0 else 1)
        canvas.bone([tuple(root), tuple(tip)], 0.085, 0.5 * fat)
        joints = [root + (tip - root) * share for share in (0, 0.4, 0.7, 1)]
        for low, high in pairwise(joints):
            gap = (high - low) * 0.08
            canvas.bone([tuple(low + gap), tuple(high - gap)], 0.035, 0.7)
    return canvas.radiograph()


def knee(rng: Generator) -> FloatArray:
    """Femur above, tibia and fibula below, a joint space between."""
    canvas, x, gap = Canvas(rng), rng.uniform(0.44, 0.56), rng.uniform(0.01, 0.025)
    canvas.bone([(x, 0.0), (x + rng.normal(0, 0.03), 1.0)], rng.uniform(0.45, 0.65), 0.45, soft=4)
    canvas.bone([(x, -0.1), (x, 0.4)], 0.15, 0.8)
    canvas.ellipse((x, 0.42), (0.16, 0.075), 0.6)
    canvas.ellipse((x, 0.55 + gap), (0.155, 0.05), 0.6)
    canvas.bone([(x, 0.58), (x, 1.1)], 0.14, 0.8)
    canvas.bone([(x + 0.17, 0.63), (x + 0.15, 1.1)], 0.05, 0.6)
    canvas.ellipse((x, 0.38), (0.07, 0.06), 0.25)
    return canvas.radiograph()


def skull(rng: Generator) -> FloatArray:
    """A skull from the front: vault, orbits, nose, teeth."""
    canvas, w, h = Canvas(rng), rng.uniform(0.28, 0.36), rng.uniform(0.33, 0.4)
    canvas.ellipse((0.5, 0.42), (w + 0.02, h + 0.02), 1.0)
    canvas.ellipse((0.5, 0.42), (w - 0.02, h - 0.03), -0.45)
    canvas.ellipse((0.5, 0.74), (0.6 * w, 0.2), 0.4)
    for side in (-1, 1):
        canvas.ellipse((0.5 + side * 0.13, 0.5), (0.08, 0.065), -0.4)
        canvas.ellipse((0.5 + side * 0.09, 0.64), (0.05, 0.06), -0.3)
    canvas.polygon([(0.5, 0.52), (0.45, 0.65), (0.55, 0.65)], -0.35)
    for tooth in range(8):
        canvas.ellipse((0.41 + tooth * 0.026, 0.76), (0.01, 0.035), 0.6)
    canvas.bone([(0.5, 0.8), (0.5, 1.1)], 0.13, 0.4)
    return canvas.radiograph()


def pelvis(rng: Generator) -> FloatArray:
    """Both hip bones, sacrum and femurs."""
    canvas, wide = Canvas(rng), rng.uniform(0.2, 0.25)
    canvas.ellipse((0.5, 0.45), (0.47, 0.5), 0.7, soft=5)
    canvas.polygon([(0.42, 0.2), (0.58, 0.2), (0.52, 0.52), (0.48, 0.52)], 0.5)
    canvas.bone([(0.5, -0.1), (0.5, 0.25)], 0.11, 0.5)
    for side in (-1, 1):
        canvas.ellipse((0.5 + side * wide, 0.33), (0.14, 0.19), 0.45, turn=side * 25)
        canvas.ellipse((0.5 + side * 0.1, 0.68), (0.075, 0.06), 0.5)
        canvas.ellipse((0.5 + side * 0.1, 0.68), (0.045, 0.035), -0.5)
        head = (0.5 + side * (wide + 0.06), 0.58)
        canvas.ellipse(head, (0.055, 0.055), 0.4)
        canvas.bone(
            [head, (0.5 + side * (wide + 0.15), 0.68), (0.5 + side * wide, 1.1)], 0.085, 0.6
        )
    return canvas.radiograph()


def abdomen(rng: Generator) -> FloatArray:
    """Soft tissue with gas in the bowel, spine in the middle, lowest ribs."""
    canvas = Canvas(rng)
    canvas.bone([(0.5, -0.1), (0.5, 1.1)], rng.uniform(0.75, 0.95), 0.9, soft=5)
    for level in np.arange(0.05, 1, 0.11):
        canvas.ellipse((0.5, level), (0.065, 0.042), 0.45)
    for _ in range(int(rng.integers(6, 18))):
        centre = (rng.uniform(0.18, 0.82), rng.uniform(0.25, 0.9))
        radii = (rng.uniform(0.02, 0.08), rng.uniform(0.015, 0.05))
        canvas.ellipse(centre, radii, -rng.uniform(0.15, 0.4), turn=rng.uniform(0, 180), soft=3)
    for side in (-1, 1):
        canvas.bone([(0.5 + side * 0.08, 0.02), (0.5 + side * 0.36, 0.2)], 0.03, 0.3)
        canvas.ellipse((0.5 + side * 0.2, 1.0), (0.16, 0.14), 0.4)
    return canvas.radiograph()


def chest_ct(rng: Generator) -> FloatArray:
    """A slice across the chest: two dark lungs, heart, vertebra and the table."""
    canvas, w, h = Canvas(rng), rng.uniform(0.38, 0.45), rng.uniform(0.27, 0.34)
    canvas.ellipse((0.5, 0.48), (w, h), 0.9)
    for side in (-1, 1):
        radii = (0.38 * w + rng.normal(0, 0.01), 0.68 * h)
        canvas.ellipse((0.5 + side * 0.5 * w, 0.48), radii, -0.85, turn=side * 8)
        for _ in range(12):
            centre = (0.5 + side * rng.uniform(0.25, 0.75) * w, 0.48 + rng.uniform(-0.4, 0.4) * h)
            canvas.ellipse(centre, (0.006, 0.006), 0.4, soft=1)
    canvas.ellipse((0.53, 0.42), (0.13, 0.11), 0.7, turn=25)
    canvas.ellipse((0.5, 0.48 + 0.75 * h), (0.05, 0.045), 0.9)
    canvas.bone([(0.2, 0.9), (0.5, 0.93), (0.8, 0.9)], 0.012, 0.4)
    return canvas.radiograph()


def head_ct(rng: Generator) -> FloatArray:
    """A slice across the head: a bright ring, grey within, dark ventricles."""
    canvas, w, h = Canvas(rng), rng.uniform(0.27, 0.34), rng.uniform(0.35, 0.42)
    canvas.ellipse((0.5, 0.5), (w, h), 1.8, soft=1)
    canvas.ellipse((0.5, 0.5), (w - 0.03, h - 0.03), -1.3, soft=1)
    for side in (-1, 1):
        canvas.ellipse((0.5 + side * 0.05, 0.45), (0.022, 0.09), -0.25, turn=side * -15)
        for _ in range(10):
            centre = (0.5 + side * rng.uniform(0.05, 0.8) * w, 0.5 + rng.uniform(-0.8, 0.8) * h)
            canvas.ellipse(centre, (0.02, 0.008), -0.08, turn=rng.uniform(0, 180))
    canvas.bone([(0.5, 0.5 - h), (0.5, 0.5 + h)], 0.006, 0.1)
    return canvas.radiograph()


def side_of_chest(rng: Generator) -> FloatArray:
    """A chest from the side: spine behind, breast bone and heart in front, one lung field."""
    canvas, front = Canvas(rng), float(rng.choice([-1.0, 1.0]))
    canvas.ellipse((0.5, 0.55), (0.36, 0.62), 1.0, soft=4)
    canvas.ellipse((0.5 - front * 0.02, 0.45), (0.24, 0.36), -0.6, turn=front * 8, soft=4)
    canvas.ellipse((0.5 + front * 0.1, 0.6), (0.13, 0.13), 0.4, turn=front * 30, soft=5)
    canvas.ellipse((0.5, 0.88), (0.3, 0.17), 0.5, soft=5)
    for level in np.arange(0.05, 1, 0.09):
        centre = (0.5 - front * (0.2 + 0.05 * np.sin(3 * level)), level)
        canvas.ellipse(centre, (0.045, 0.034), 0.35, turn=front * 10)
    for level in np.arange(0.15, 0.85, 0.1):
        way = [(0.5 - front * 0.22, level), (0.5, level + 0.07), (0.5 + front * 0.2, level + 0.13)]
        canvas.bone(way, 0.02, 0.2)
    canvas.bone([(0.5 + front * 0.24, 0.2), (0.5 + front * 0.27, 0.55)], 0.03, 0.3)
    return canvas.radiograph()


def spine(rng: Generator) -> FloatArray:
    """The lower spine from the side or the neck, with its discs."""
    canvas, bow = Canvas(rng), rng.normal(0, 0.08)
    canvas.bone([(0.5, -0.1), (0.5, 1.1)], rng.uniform(0.5, 0.8), 0.7, soft=6)
    size = rng.uniform(0.06, 0.1)
    for level in np.arange(0, 1.05, 1.5 * size):
        x = 0.45 + bow * np.sin(np.pi * level)
        canvas.ellipse((x, level), (1.15 * size, 0.62 * size), 0.6)
        canvas.bone([(x + size, level), (x + 2.4 * size, level + 0.6 * size)], 0.03, 0.35)
    return canvas.radiograph()


def breast(rng: Generator) -> FloatArray:
    """A mammogram: half a disc at one edge with strands of glandular tissue."""
    canvas, side = Canvas(rng), float(rng.choice([0.0, 1.0]))
    away = 1 - 2 * side
    canvas.ellipse((side, 0.5), (rng.uniform(0.45, 0.65), rng.uniform(0.33, 0.45)), 0.45, soft=4)
    for _ in range(int(rng.integers(20, 50))):
        centre = (side + away * rng.uniform(0.05, 0.4), 0.5 + rng.normal(0, 0.12))
        radii = (rng.uniform(0.01, 0.08), rng.uniform(0.004, 0.02))
        canvas.ellipse(centre, radii, rng.uniform(0.1, 0.35), turn=rng.uniform(-40, 40))
    return canvas.radiograph()


def ultrasound(rng: Generator) -> FloatArray:
    """A sector of speckle on black, with dark cysts."""
    canvas, edge = Canvas(rng), rng.uniform(0.3, 0.45)
    canvas.polygon(
        [(0.45, 0.05), (0.55, 0.05), (0.5 + edge, 0.9), (0.5, 1.0), (0.5 - edge, 0.9)], 1
    )
    sector = canvas.density.copy()
    for _ in range(int(rng.integers(2, 7))):
        radii = (rng.uniform(0.03, 0.12), rng.uniform(0.03, 0.1))
        canvas.ellipse((rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.85)), radii, -0.7, soft=3)
    speckle = rng.gamma(1.2, 0.5, sector.shape).astype(np.float32)
    canvas.density = np.maximum(canvas.density, 0) * sector * speckle
    return canvas.radiograph()
