"""The healthy chest: one patient's body, and its maps of air and soft tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.random import Generator

from covid_cxr.phantoms.canvas import Canvas, Points, curve, loop, mirror, tube
from covid_cxr.types import FloatArray

Sex = Literal["F", "M"]
View = Literal["PA", "AP"]


@dataclass(frozen=True)
class Body:
    """The properties shared by all images of one patient; lengths in chest units.

    Attributes:
        sex, age: as in the manifest; age in years.
        wide, tall: factors on width and height of the whole thorax.
        fat: 0 slim .. 1 obese; thickens the body and its outline.
        heart: factor on the size of the heart.
        dome: height of the right diaphragm above the resting level.
        left_dome: how much lower the left dome is.
        apex: how far the lung tops reach above the resting level.
        slant: how steeply the ribs fall.
        knob: size of the aortic arch.
        stomach: size of the gas bubble under the left dome, 0 for none.
        shoulder: drop of the shoulders.
        bone: factor on the calcium of all bones.
        bend: slow warp of the whole body, see `Canvas`.
    """

    sex: Sex
    age: int
    wide: float
    tall: float
    fat: float
    heart: float
    dome: float
    left_dome: float
    apex: float
    slant: float
    knob: float
    stomach: float
    shoulder: float
    bone: float
    bend: Points


def draw_body(rng: Generator) -> Body:
    """Draw one patient's body."""
    age = int(rng.integers(19, 91))
    old = (age - 55) / 36
    return Body(
        sex="F" if rng.random() < 0.5 else "M",
        age=age,
        wide=rng.uniform(0.92, 1.06),
        tall=rng.uniform(0.90, 1.08),
        fat=rng.uniform(0.0, 1.0),
        heart=rng.uniform(0.88, 1.08) + 0.06 * old,
        dome=rng.uniform(-0.05, 0.09),
        left_dome=rng.uniform(0.03, 0.08),
        apex=rng.uniform(-0.04, 0.04),
        slant=rng.uniform(0.85, 1.25),
        knob=rng.uniform(0.6, 1.0) + 0.4 * old,
        stomach=rng.uniform(0.4, 1.0) * (rng.random() < 0.6),
        shoulder=rng.uniform(-0.05, 0.06),
        bone=rng.uniform(0.9, 1.15) - 0.12 * old,
        bend=rng.normal(0.0, 0.010, (3, 2)),
    )


def vary_posture(body: Body, rng: Generator) -> Body:
    """Return the same patient at another visit: breath, posture and stomach differ."""
    return replace(
        body,
        dome=body.dome + rng.normal(0, 0.045),
        apex=body.apex + rng.normal(0, 0.01),
        slant=body.slant * rng.uniform(0.75, 1.25),
        stomach=rng.uniform(0.4, 1.0) * (rng.random() < 0.6),
        shoulder=body.shoulder + rng.normal(0, 0.02),
        bend=body.bend + rng.normal(0, 0.008, (3, 2)),
    )


def lung_outlines(body: Body) -> tuple[Points, Points]:
    """Return the outlines of the right lung (viewer's left) and the left lung.

    They continue behind heart and great vessels.
    """
    right = _lung(body.apex, body.dome, 0.0)
    left = _lung(body.apex + 0.01, body.dome - body.left_dome, 0.02)
    return mirror(right), left


def _lung(apex: float, dome: float, slim: float) -> Points:
    top = -0.80 - apex
    foot = 0.71 - 0.3 * dome
    rise = 0.43 - dome
    wall = curve(
        [
            (0.805 - slim, foot), (0.815 - slim, 0.45), (0.795 - slim, 0.15),
            (0.745 - slim, -0.15), (0.675 - slim, -0.42), (0.585, top + 0.175), (0.48, top + 0.05),
            (0.36, top), (0.25, top + 0.04), (0.175, top + 0.16), (0.125, -0.35), (0.115, 0.0),
            (0.12, rise + 0.12),
        ],
        90,
    )  # fmt: skip
    floor = curve(
        [
            (0.12, rise + 0.12), (0.20, rise + 0.05), (0.34, rise), (0.50, rise + 0.02),
            (0.64, rise + 0.10), (0.745 - slim, foot - 0.10), (0.805 - slim, foot),
        ],
        40,
    )  # fmt: skip
    return np.concatenate([wall, floor[1:-1]])


def heart_outline(body: Body, view: View) -> Points:
    """Return the heart's silhouette; AP projection magnifies it (it lies in front)."""
    grown = body.heart * (1.10 if view == "AP" else 1.0)
    low = -0.6 * (body.dome - body.left_dome)
    shape = [
        (-0.14, -0.24), (-0.175, -0.08), (-0.225, 0.06), (-0.255, 0.22), (-0.240, 0.37),
        (-0.17, 0.48), (0.05, 0.54), (0.30, 0.56), (0.44, 0.51), (0.505, 0.41), (0.495, 0.28),
        (0.435, 0.14), (0.345, 0.00), (0.255, -0.12), (0.15, -0.27),
    ]  # fmt: skip
    return loop([(x * grown, 0.15 + (y - 0.15) * (0.55 + 0.45 * grown) + low) for x, y in shape])


def mediastinum_outline(body: Body, view: View) -> Points:
    """Return neck vessels, superior vena cava, aortic arch and pulmonary trunk as one outline."""
    knob = 0.035 * body.knob
    stretch = 1.12 if view == "AP" else 1.0
    left = [(0.17, -0.95), (0.155, -0.72), (0.155, -0.56), (0.165 + knob, -0.44)]
    left += [(0.180 + knob, -0.36), (0.170 + 0.5 * knob, -0.27), (0.190, -0.18), (0.225, -0.08)]
    left += [(0.18, 0.20), (0.13, 0.75)]
    right = [(-0.13, 0.75), (-0.15, 0.20), (-0.170, -0.10), (-0.165, -0.30), (-0.160, -0.50)]
    right += [(-0.155, -0.70), (-0.17, -0.95)]
    both = np.concatenate([curve(left, 60), curve(right, 40)])
    return np.asarray(both * np.array([stretch, 1.0]))


def trunk(canvas: Canvas, body: Body, view: View) -> FloatArray:
    """Return body thickness (H, W), about 1 in the middle of the chest and 0 in the air."""
    flank = 0.90 + 0.10 * body.fat
    drop = body.shoulder + (0.05 if view == "PA" else -0.02)
    half = [
        (0.225, -1.75), (0.23, -1.10), (0.29, -0.985 + 0.3 * drop), (0.55, -0.90 + 0.6 * drop),
        (0.86, -0.86 + drop), (1.06, -0.76 + drop), (1.12, -0.48 + drop), (flank + 0.06, -0.22),
        (flank + 0.005, 0.02), (flank - 0.02, 0.40), (flank + 0.01, 0.80), (flank + 0.05, 1.70),
    ]  # fmt: skip
    side = curve(half, 90)
    torso = canvas.fill(np.concatenate([side, mirror(side)[::-1]]))
    away = 0.10 if view == "PA" else 0.0
    arm = _arm(drop, flank, away)
    arms = canvas.fill(arm, mirror(arm))
    depth = np.maximum(_rounded(canvas, torso, 0.30), 0.66 * _rounded(canvas, arms, 0.10))
    return np.asarray(depth, np.float32)


def _arm(drop: float, flank: float, away: float) -> Points:
    outer = [(0.80, -0.78 + drop), (1.06, -0.74 + drop), (1.19, -0.55 + drop)]
    outer += [(1.26 + away, -0.10), (1.30 + 2.2 * away, 0.45), (1.36 + 4 * away, 1.6)]
    inner = [(1.06 + 4 * away, 1.6), (flank + 0.13 + 2.2 * away, 0.45), (flank + 0.07 + away, 0.0)]
    inner += [(flank + 0.02, -0.22), (0.86, -0.45 + drop)]
    return np.concatenate([curve(outer, 40), curve(inner, 40)])


def _rounded(canvas: Canvas, mask: FloatArray, depth: float) -> FloatArray:
    """Return the thickness of a body with this shadow: thin at its edge, full `depth` inside."""
    skin = np.clip(2 * canvas.blur(mask, 0.25 * depth) - 1, 0, 1)
    inside = np.clip(2 * canvas.blur(mask, depth) - 1, 0, 1)
    return np.asarray(mask * (0.10 + 0.26 * np.sqrt(skin) + 0.64 * np.sqrt(inside)), np.float32)


def air_depth(canvas: Canvas, lungs: FloatArray) -> FloatArray:
    """Return the depth of lung along the ray (H, W), 1 at most: less at apex and chest wall."""
    inside = np.clip(2 * canvas.blur(lungs, 0.17) - 1, 0, 1)
    return np.asarray(lungs * (0.42 + 0.58 * np.sqrt(inside)), np.float32)


def heart_depth(canvas: Canvas, heart: FloatArray) -> FloatArray:
    """Return the share of the ray (H, W) that the heart takes from the lung, 1 at most."""
    inside = np.clip(2 * canvas.blur(heart, 0.13) - 1, 0, 1)
    return np.asarray(heart * (0.54 + 0.42 * np.sqrt(inside)), np.float32)


def airways(canvas: Canvas) -> FloatArray:
    """Return trachea and main bronchi (H, W) in [0, 1]."""
    trachea = [(0.0, -1.5), (0.0, -0.85), (-0.008, -0.5), (-0.012, -0.36), (0.0, -0.27)]
    right = [(-0.01, -0.32), (-0.06, -0.235), (-0.13, -0.15), (-0.18, -0.09)]
    left = [(0.0, -0.32), (0.07, -0.235), (0.14, -0.18), (0.20, -0.145)]
    pipe = tube(curve(trachea), 0.080, 0.068)
    branches = tube(curve(right), 0.052, 0.028), tube(curve(left), 0.046, 0.024)
    air = canvas.fill(pipe) + np.float32(0.5) * canvas.fill(*branches)
    return canvas.blur(np.asarray(air), 0.018)


def breasts(canvas: Canvas, body: Body) -> FloatArray:
    """Return breast tissue (H, W), 1 at most, thickest above the lower fold; zeros for men."""
    if body.sex == "M":
        return np.zeros((canvas.height, canvas.width), np.float32)
    low, size = 0.08 * body.fat, 0.85 + 0.3 * body.fat
    shape = [(0.50, -0.25), (0.72, -0.08), (0.83, 0.20), (0.78, 0.42), (0.58, 0.53)]
    shape += [(0.36, 0.47), (0.22, 0.28), (0.28, -0.02)]
    outline = loop([(0.52 + (x - 0.52) * size, 0.15 + (y - 0.15) * size + low) for x, y in shape])
    shadow = canvas.blur(canvas.fill(outline, mirror(outline)), 0.010)
    x, y = canvas.grid()
    ramp = np.clip((y + 0.25) / 0.75, 0, 1) ** 1.3 * np.clip(np.abs(x) / 0.35 - 0.6, 0, 1)
    return np.asarray(shadow * ramp, np.float32)


def stomach_gas(canvas: Canvas, body: Body) -> FloatArray:
    """Return the gas bubble under the left dome (H, W) in [0, 1]."""
    size = body.stomach
    if size == 0:
        return np.zeros((canvas.height, canvas.width), np.float32)
    top = 0.50 - body.dome + body.left_dome
    shape = [(0.28, top + 0.09), (0.36, top + 0.03), (0.50, top + 0.035), (0.61, top + 0.10)]
    shape += [(0.58, top + 0.17), (0.44, top + 0.20), (0.33, top + 0.17)]
    outline = loop(
        [(0.45 + (x - 0.45) * size, top + 0.03 + (y - top - 0.03) * size) for x, y in shape]
    )
    return canvas.blur(canvas.fill(outline), 0.015)
