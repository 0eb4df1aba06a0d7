"""One phantom: patient, position, disease, physics and hospital combined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from covid_cxr.errors import UnknownName
from covid_cxr.phantoms import anatomy
from covid_cxr.phantoms.anatomy import Body, Sex, View
from covid_cxr.phantoms.bones import skeleton
from covid_cxr.phantoms.canvas import Canvas, curve
from covid_cxr.phantoms.findings import Opacity, opacity
from covid_cxr.phantoms.hospitals import HOSPITALS, Hospital, add_border_and_markers, expose
from covid_cxr.phantoms.vessels import interstitium, mottle, vessels
from covid_cxr.types import FINDINGS, BoolArray, Finding, FloatArray

# Attenuation in natural log units: a whole chest of water, a lung of air, ...
_WATER, _AIR, _VESSEL, _CALCIUM, _BREAST, _LEAD = 3.05, 2.25, 0.62, 0.95, 0.34, 0.8


@dataclass(frozen=True)
class Phantom:
    """A synthetic frontal radiograph with its ground truth.

    Attributes:
        pixels: float32 (H, W) in [0, 1]; larger is brighter, as bone is.
        lungs: bool (H, W), the visible lung fields (not hidden by heart or diaphragm).
        opacities: bool (H, W), diseased lung; a subset of `lungs`, empty when normal.
        finding, hospital, view, sex, age: the truth, as the manifest states it.
        patient_id: same for all images of one patient.
    """

    pixels: FloatArray
    lungs: BoolArray
    opacities: BoolArray
    finding: Finding
    hospital: str
    view: View
    sex: Sex
    age: int
    patient_id: str


def draw(
    finding: Finding,
    seed: int,
    *,
    visit: int = 0,
    hospital: str = HOSPITALS[0].name,
    view: View | None = None,
    size: int | None = None,
) -> Phantom:
    """Draw one radiograph.

    The patient depends on `seed` alone: another `visit` is the same patient placed differently,
    another `finding` the same chest with other disease.

    Args:
        finding: normal, pneumonia (one lobe filled) or covid-19 (bilateral, peripheral, lower).
        seed: of the patient.
        visit: which image of this patient.
        hospital: name of one of `HOSPITALS`.
        view: PA or AP; None: as often as the hospital does.
        size: longer edge in pixels; None: the hospital's own.

    Raises:
        UnknownName: an unknown `finding` or `hospital`.
    """
    if finding not in FINDINGS:
        raise UnknownName("finding", finding, FINDINGS)
    site = _hospital(hospital)
    body = anatomy.draw_body(_stream(seed, 0))
    if visit:
        body = anatomy.vary_posture(body, _stream(seed, 8, visit))
    positioning = _stream(seed, 1, visit)
    usual: View = "AP" if positioning.random() < site.portable else "PA"
    view = view or usual
    canvas = _position(site, body, view, size, positioning)
    lungs, disease, attenuation = _attenuation(canvas, body, view, finding, seed)
    pixels = expose(site, attenuation, float(np.exp(positioning.normal(0, 0.19))), positioning)
    return Phantom(
        pixels=add_border_and_markers(site, pixels, view, positioning),
        lungs=lungs,
        opacities=disease.mask,
        finding=finding,
        hospital=site.name,
        view=view,
        sex=body.sex,
        age=body.age,
        patient_id=f"P{seed}",
    )


def _stream(*key: int) -> Generator:
    """Return an independent random stream for each purpose."""
    return np.random.default_rng(key)


def _hospital(name: str) -> Hospital:
    hospitals = {hospital.name: hospital for hospital in HOSPITALS}
    if name not in hospitals:
        raise UnknownName("hospital", name, list(hospitals))
    return hospitals[name]


def _position(site: Hospital, body: Body, view: View, size: int | None, rng: Generator) -> Canvas:
    height, width = site.shape
    if size is not None:
        scale = size / max(height, width)
        height, width = round(height * scale), round(width * scale)
    zoom = rng.uniform(0.95, 1.09) * (1.03 if view == "AP" else 1.0)
    # The field is collimated to the patient's size.
    unit = zoom * min(width / (2.02 * body.wide), height / (1.95 * body.tall))
    shift = rng.normal(0, 0.018, 2) * unit
    return Canvas(
        height=height,
        width=width,
        unit=unit,
        centre=(width / 2 + shift[0], height * 0.52 + shift[1]),
        angle=float(np.deg2rad(rng.normal(0, 1.6))),
        bend=body.bend,
        stretch=(body.wide, body.tall),
    )


def _attenuation(
    canvas: Canvas, body: Body, view: View, finding: Finding, seed: int
) -> tuple[BoolArray, Opacity, FloatArray]:
    """Return visible lungs, disease and the attenuation along every ray (H, W)."""
    outlines = anatomy.lung_outlines(body)
    lungs = canvas.fill(*outlines)
    heart = canvas.fill(anatomy.heart_outline(body, view))
    great = canvas.fill(anatomy.mediastinum_outline(body, view))
    visible = (lungs > 0.5) & (heart < 0.5) & (great < 0.5)
    disease = opacity(finding, canvas, visible, outlines, _stream(seed, 2))
    # Heart and great vessels displace air; a rim of lung lies before and behind them.
    air = anatomy.air_depth(canvas, canvas.blur(lungs, 0.004))
    air *= 1 - anatomy.heart_depth(canvas, canvas.blur(heart, 0.006))
    air *= 1 - np.float32(0.92) * canvas.blur(great, 0.008)
    tree = vessels(canvas, _stream(seed, 3)) + 0.075 * interstitium(canvas, _stream(seed, 5))
    trunk = anatomy.trunk(canvas, body, view)
    total = _soft_tissue(canvas, body, trunk, seed)
    total += _VESSEL * air * tree - _AIR * air * (1 - disease.density)
    bones = skeleton(canvas, body, view, outlines[1], _stream(seed, 4))
    total += _CALCIUM * bones * np.minimum(1, 4 * trunk)
    if view == "AP":
        total += _LEAD * _leads(canvas, _stream(seed, 7))
    return visible, disease, np.asarray(np.maximum(total, 0), np.float32)


def _soft_tissue(canvas: Canvas, body: Body, trunk: FloatArray, seed: int) -> FloatArray:
    """Return the attenuation (H, W) of the soft tissue, airways and stomach gas excluded."""
    rng = _stream(seed, 6)
    uneven = 0.05 * mottle(canvas, 0.04, rng) + 0.09 * mottle(canvas, 0.16, rng)
    total = (_WATER + 0.35 * body.fat + uneven) * trunk
    total += _BREAST * anatomy.breasts(canvas, body)
    total -= 0.62 * anatomy.airways(canvas) + 0.6 * anatomy.stomach_gas(canvas, body)
    return np.asarray(total, np.float32)


def _leads(canvas: Canvas, rng: Generator) -> FloatArray:
    """Return ECG electrodes and cables (H, W) in [0, 1], in about half of the calls."""
    cables, pads = [], []
    for _ in range(int(rng.choice([0, 2, 3], p=[0.5, 0.25, 0.25]))):
        end = np.array([rng.uniform(-0.75, 0.75), rng.uniform(-0.55, 0.75)])
        start = np.array([rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.1), -1.3])
        middle = (start + end) / 2 + rng.normal(0, 0.14, 2)
        cables.append(curve([start, middle, end], 60))
        turn = np.arange(12) * (2 * np.pi / 12)
        pads.append(end + 0.024 * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    if not cables:
        return np.zeros((canvas.height, canvas.width), np.float32)
    lines = canvas.bands(np.stack(cables), (0.011, 0.011), 0.45)
    return np.asarray(np.maximum(lines, canvas.fill(*pads)), np.float32)
