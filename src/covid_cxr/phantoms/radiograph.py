"""One phantom: patient, position, disease, physics and hospital put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from covid_cxr.errors import UnknownName
from covid_cxr.phantoms import anatomy
from covid_cxr.phantoms.anatomy import Body, Sex, View
from covid_cxr.phantoms.bones import skeleton
from covid_cxr.phantoms.canvas import Canvas
from covid_cxr.phantoms.devices import leads
from covid_cxr.phantoms.findings import Opacity, opacity
from covid_cxr.phantoms.hospitals import HOSPITALS, Hospital, expose, finish
from covid_cxr.phantoms.vessels import interstitium, mottle, vessels
from covid_cxr.types import FINDINGS, BoolArray, Finding, FloatArray

# Attenuation in natural log units: a whole chest of water, a lung of air, ...
_WATER, _AIR, _VESSEL, _CALCIUM, _BREAST, _LEAD = 3.05, 2.25, 0.62, 0.95, 0.34, 0.8


@dataclass(frozen=True)
class Phantom:
    """A synthetic frontal radiograph and the truth about it.

    Attributes:
        pixels: float32 (H, W) in [0, 1]; larger is brighter, as bone is on film.
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
        UnknownName: `finding` or `hospital` is none that there is.
    """
    if finding not in FINDINGS:
        raise UnknownName("finding", finding, FINDINGS)
    site = _hospital(hospital)
    body = anatomy.grow(_stream(seed, 0))
    if visit:
        body = anatomy.breathe(body, _stream(seed, 8, visit))
    placing = _stream(seed, 1, visit)
    usual: View = "AP" if placing.random() < site.portable else "PA"
    view = view or usual
    canvas = _place(site, body, view, size, placing)
    lungs, disease, attenuation = _shadow(canvas, body, view, finding, seed)
    film = expose(site, attenuation, float(np.exp(placing.normal(0, 0.19))), placing)
    return Phantom(
        pixels=finish(site, film, view, placing),
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
    """Return a random stream of its own, so that no draw moves another's."""
    return np.random.default_rng(key)


def _hospital(name: str) -> Hospital:
    for hospital in HOSPITALS:
        if hospital.name == name:
            return hospital
    raise UnknownName("hospital", name, [hospital.name for hospital in HOSPITALS])


def _place(site: Hospital, body: Body, view: View, size: int | None, rng: Generator) -> Canvas:
    height, width = site.shape
    if size is not None:
        scale = size / max(height, width)
        height, width = round(height * scale), round(width * scale)
    zoom = rng.uniform(0.95, 1.09) * (1.03 if view == "AP" else 1.0)
    # Whoever takes the film opens the field to the patient's size.
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


def _shadow(
    canvas: Canvas, body: Body, view: View, finding: Finding, seed: int
) -> tuple[BoolArray, Opacity, FloatArray]:
    """Return visible lungs, disease and the attenuation along every ray (H, W)."""
    outlines = anatomy.lung_outlines(body)
    lungs = canvas.fill(*outlines)
    heart = canvas.fill(anatomy.heart_outline(body, view))
    great = canvas.fill(anatomy.mediastinum_outline(body, view))
    visible = (lungs > 0.5) & (heart < 0.5) & (great < 0.5)
    disease = opacity(finding, canvas, visible, outlines, _stream(seed, 2))
    # What heart and great vessels fill, air does not; a rim of lung lies before and behind them.
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
        total += _LEAD * leads(canvas, _stream(seed, 7))
    return visible, disease, np.asarray(np.maximum(total, 0), np.float32)


def _soft_tissue(canvas: Canvas, body: Body, trunk: FloatArray, seed: int) -> FloatArray:
    """Return the attenuation (H, W) of a body without lungs and bones, airway and gas open."""
    rng = _stream(seed, 6)
    uneven = 0.05 * mottle(canvas, 0.04, rng) + 0.09 * mottle(canvas, 0.16, rng)
    total = (_WATER + 0.35 * body.fat + uneven) * trunk
    total += _BREAST * anatomy.breasts(canvas, body)
    total -= 0.62 * anatomy.airways(canvas) + 0.6 * anatomy.stomach_gas(canvas, body)
    return np.asarray(total, np.float32)
