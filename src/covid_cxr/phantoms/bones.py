"""Ribs, clavicles, shoulders and spine as maps of calcium."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from covid_cxr.phantoms.anatomy import Body, View
from covid_cxr.phantoms.canvas import Canvas, Points, curve, loop, mirror, tube
from covid_cxr.types import FloatArray

_RIBS = 11
_SEEN_IN_FRONT = slice(1, 8)


def skeleton(canvas: Canvas, body: Body, view: View, wall: Points, rng: Generator) -> FloatArray:
    """Return calcium along the ray (H, W): about 0.3 a rib, 0.6 at the spine.

    Args:
        canvas: where to draw.
        body: the patient.
        view: arms and shoulder blades are positioned differently in PA and AP.
        wall: outline of the patient's left lung; the ribs follow its outer side.
        rng: the patient's, so that every image shows the same ribs.
    """
    outer = wall[: int(np.argmin(wall[:, 1]))][::-1]
    back, front = _ribs(body, outer, rng)
    cage = tube(outer + np.array([0.014, 0.0]), 0.012, 0.034)
    total = 0.34 * _hollow(canvas, back, (0.040, 0.050), 0.004)
    total += 0.20 * _hollow(canvas, front, (0.046, 0.076), 0.007)
    total += 0.46 * _hollow(canvas, _clavicles(body, view), (0.088, 0.056), 0.005)
    total += 0.13 * canvas.blur(canvas.fill(cage, mirror(cage)), 0.006)
    total += _shoulders(canvas, body, view) + _spine(canvas, rng)
    return np.asarray(total * body.bone, np.float32)


def _hollow(canvas: Canvas, lines: Points, width: tuple[float, float], soft: float) -> FloatArray:
    """Return long bones on both sides: dense cortex outside, spongy core. lines (S, K, 2)."""
    both = np.concatenate([lines, mirror(lines)])
    values = np.ones(len(both))
    # The lowest ribs are short, thin and lie behind the liver.
    values.reshape(2, -1)[:, 8:] = 0.55
    layer = canvas.bands(both, width, values)
    core = canvas.bands(both, 0.60 * np.array(width), values)
    return canvas.blur(layer - np.float32(0.42) * core, soft)


def _ribs(body: Body, outer: Points, rng: Generator) -> tuple[Points, Points]:
    """Return the left ribs' posterior and anterior parts, each (S, K, 2)."""
    index = np.arange(_RIBS)
    jitter = rng.normal(0.0, 0.006, (2, _RIBS))
    start = -0.875 - body.apex + 0.150 * index - 0.0012 * index**2
    drop = (0.10 + 0.022 * index) * body.slant
    turn = start + drop + jitter[0]
    x = np.interp(turn, outer[:, 1], outer[:, 0]) + 0.018
    rise = np.where(index < 8, 0.022, 0.0)
    back = [
        (np.full(_RIBS, 0.075), start + 0.01), (0.075 + 0.20 * x, start - rise),
        (0.52 * x, start - 0.3 * rise + 0.10 * drop), (0.80 * x, start + 0.44 * drop),
        (0.95 * x, start + 0.78 * drop), (x, turn + 0.02),
    ]  # fmt: skip
    fall = 0.24 + 0.012 * index + jitter[1]
    front = [
        (x, turn - 0.02), (0.975 * x, turn + 0.28 * fall), (0.86 * x, turn + 0.62 * fall),
        (0.70 * x, turn + 0.86 * fall), (0.52 * x - 0.004 * index, turn + fall),
    ]  # fmt: skip
    return _curves(back), _curves(front)[_SEEN_IN_FRONT]


def _curves(knots: list[tuple[Points, Points]]) -> Points:
    """Return smooth lines (S, K, 2) through knots whose coordinates are (S,) each."""
    return np.moveaxis(curve(np.stack([np.stack(knot, axis=-1) for knot in knots])), 0, 1)


def _clavicles(body: Body, view: View) -> Points:
    lift = 0.05 if view == "AP" else 0.0
    tip, inner = -0.77 + body.shoulder - 0.6 * lift, -0.55 - lift
    knots = [(0.065, inner + 0.02), (0.20, inner - 0.035)]
    knots += [(0.38, 0.55 * inner + 0.45 * tip - 0.015), (0.58, 0.2 * inner + 0.8 * tip - 0.04)]
    knots += [(0.76, tip - 0.02), (0.90, tip + 0.01)]
    return curve(knots)[None]


def _shoulders(canvas: Canvas, body: Body, view: View) -> FloatArray:
    """Return shoulder blades, turned off the lungs in PA, and arms."""
    drop, out = body.shoulder + (0.05 if view == "PA" else -0.02), (0.05 if view == "PA" else 0.0)
    shift = np.array([out, drop])
    inner = curve([(0.90, -0.62), (0.78, -0.66), (0.71, -0.55), (0.755, -0.25), (0.80, -0.06)], 30)
    outer = curve([(0.80, -0.06), (0.845, -0.12), (0.87, -0.36), (0.93, -0.50), (0.93, -0.60)], 30)
    blade = np.concatenate([inner, outer]) + shift
    edge = tube(outer[3:] + shift, 0.018, 0.03)
    ridge = tube(curve([(0.74, -0.58), (0.84, -0.68), (0.96, -0.78)]) + shift, 0.02, 0.05)
    bone = 0.12 * canvas.fill(blade, mirror(blade))
    bone += 0.18 * canvas.fill(edge, ridge, mirror(edge), mirror(ridge))
    head = [
        (0.95, -0.60), (0.975, -0.70), (1.05, -0.73), (1.12, -0.66), (1.13, -0.56), (1.05, -0.50),
    ]  # fmt: skip
    ball = loop([(x, y + drop) for x, y in head], 40)
    bone += 0.20 * canvas.fill(ball, mirror(ball))
    shaft = [
        (1.04, -0.66 + drop), (1.07, -0.54 + drop), (1.11, -0.30), (1.15 + 1.2 * out, 0.10),
        (1.21 + 4 * out, 1.0),
    ]  # fmt: skip
    arms = _hollow(canvas, curve(shaft)[None], (0.12, 0.085), 0.004)
    return canvas.blur(np.asarray(bone, np.float32), 0.008) + 0.36 * arms


def _spine(canvas: Canvas, rng: Generator) -> FloatArray:
    pitch = float(rng.uniform(0.125, 0.140))
    tops = np.arange(-1.6, 1.5, pitch)
    half = 0.066 + 0.012 * np.clip(tops + 0.3, -0.5, 1.2)
    # One vertebra: corners of the body as fractions of half its width and of the pitch.
    corners = np.array([(-1, 0), (1, 0), (0.9, 0.4), (1, 0.8), (-1, 0.8), (-0.9, 0.4)], float)
    size = np.stack([half, np.full_like(half, pitch)], axis=1)[:, None]
    origin = np.stack([np.zeros_like(tops), tops], axis=1)[:, None]
    vertebrae = origin + corners * size
    ends = np.concatenate([vertebrae[:, [0, 1]], vertebrae[:, [4, 3]]])
    dot = np.stack([np.cos(np.arange(10) * 0.628), 1.7 * np.sin(np.arange(10) * 0.628)], axis=1)
    pedicles = [
        origin + np.array([x, y]) + r * dot
        for x, y, r in ((-0.045, 0.04, 0.014), (0.045, 0.04, 0.014), (0.0, 0.10, 0.013))
    ]
    wings = origin + np.array([(-0.125, 0.03), (0.0, 0.045), (0.125, 0.03)])
    total = 0.27 * canvas.fill(*vertebrae) + 0.15 * canvas.fill(*np.concatenate(pedicles))
    total += 0.15 * canvas.bands(ends, (0.013, 0.013)) + 0.12 * canvas.bands(wings, (0.035, 0.035))
    return canvas.blur(np.asarray(total, np.float32), 0.008)
