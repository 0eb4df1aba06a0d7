"""Hospitals: each has its own detector, characteristic curve, markers and borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter

from covid_cxr.files import packaged
from covid_cxr.phantoms.anatomy import View
from covid_cxr.phantoms.canvas import smooth, to_image, to_pixels
from covid_cxr.types import FloatArray

_DENSITIES = np.linspace(0.0, 2.0, 512)


@dataclass(frozen=True)
class Marker:
    """Burnt-in text.

    Attributes:
        text: the text; "{view}" is replaced by the view position.
        at: centre as fractions of width and height.
        size: font size as a fraction of the longer edge.
        brightness: grey value of the letters.
        style: plain letters, in a ring, or on a plate: bright behind dark letters, else dark.
        view: burnt in on images of this view only; None: on all.
    """

    text: str
    at: tuple[float, float]
    size: float
    brightness: float
    style: Literal["plain", "ring", "plate"] = "plain"
    view: View | None = None


@dataclass(frozen=True)
class Hospital:
    """How one site acquires its radiographs.

    Attributes:
        name: as in the manifest's column `site`.
        shape: height and width of its images in pixels.
        portable: share of AP images.
        window: attenuation shown black and attenuation shown white.
        gamma: exponent of the characteristic curve; above 1 darkens.
        steepness: share of an S-curve in the characteristic curve, 0 flat .. 1 steep.
        dose: photons a pixel in air; few are noisy.
        blur: detector blur in pixels at 320 pixels a side.
        scatter: scattered radiation as a share of the smoothed primary.
        border: collimation (black), white frame, both edges black, or none.
        markers: its burnt-in text.
    """

    name: str
    shape: tuple[int, int]
    portable: float
    window: tuple[float, float]
    gamma: float
    steepness: float
    dose: float
    blur: float
    scatter: float
    border: Literal["none", "black", "white", "sides"]
    markers: tuple[Marker, ...]


HOSPITALS = TypeAdapter(tuple[Hospital, ...]).validate_python(
    packaged(__package__, "hospitals.yaml")
)


def expose(
    hospital: Hospital, attenuation: FloatArray, exposure: float, rng: Generator
) -> FloatArray:
    """Return the radiograph (H, W) in [0, 1] of this `attenuation` (natural log units).

    Beer-Lambert law, scatter, photon noise, detector blur, logarithm, characteristic curve.
    `exposure` multiplies the photons and shifts the window, as over- and underexposure do.
    """
    edge = max(attenuation.shape)
    primary = np.exp(-attenuation)
    reached = primary + hospital.scatter * smooth(primary, 0.10 * edge)
    photons = hospital.dose * exposure
    noise = rng.standard_normal(attenuation.shape, np.float32) * np.sqrt(reached / photons)
    detected = smooth(reached + noise, hospital.blur * edge / 320)
    density = -np.log(np.maximum(detected, 1e-4)) - 0.6 * np.log(exposure)
    low, high = hospital.window
    level = (density - low) / (high - low)
    return np.asarray(np.interp(level, _DENSITIES, _characteristic_curve(hospital)), np.float32)


def _characteristic_curve(hospital: Hospital) -> NDArray[np.float64]:
    """Return the brightness at each of `_DENSITIES`, relative to the window."""
    # A soft shoulder: white never clips flat.
    level = 1.04 * _DENSITIES / (1 + _DENSITIES**6) ** (1 / 6)
    level = np.minimum(level, 1) ** hospital.gamma
    steep = level * level * (3 - 2 * level)
    return np.asarray(level + hospital.steepness * (steep - level))


def add_border_and_markers(
    hospital: Hospital, pixels: FloatArray, view: View, rng: Generator
) -> FloatArray:
    """Return the radiograph (H, W) with the hospital's border and burnt-in markers."""
    image = to_image(pixels)
    _border(image, hospital, rng)
    shift = rng.normal(0, 0.010, 2)
    for marker in hospital.markers:
        if marker.view in (None, view):
            burn(image, marker, view, (float(shift[0]), float(shift[1])))
    return to_pixels(image)


def _border(image: Image.Image, hospital: Hospital, rng: Generator) -> None:
    width, height = image.size
    pen = ImageDraw.Draw(image)
    sides = rng.uniform(0.008, 0.035, 4) * max(width, height)
    if hospital.border == "sides":
        sides[[1, 3]] = 0
    left, top, right, bottom = (round(float(side)) for side in sides)
    if hospital.border in ("black", "sides"):
        pen.rectangle((0, 0, left, height), fill=4)
        pen.rectangle((width - 1 - right, 0, width, height), fill=4)
    if hospital.border == "black":
        pen.rectangle((0, 0, width, top), fill=4)
        pen.rectangle((0, height - 1 - bottom, width, height), fill=4)
    if hospital.border == "white":
        pen.rectangle((0, 0, width - 1, height - 1), outline=250, width=max(3, top // 2))


def burn(
    image: Image.Image, marker: Marker, view: View, shift: tuple[float, float] = (0.0, 0.0)
) -> None:
    """Burn a marker into an image, in place, `shift` (fractions of width and height) away."""
    width, height = image.size
    size = max(9.0, marker.size * max(width, height))
    font = ImageFont.load_default(size=size)
    x, y = (marker.at[0] + shift[0]) * width, (marker.at[1] + shift[1]) * height
    ink = round(255 * marker.brightness)
    pen = ImageDraw.Draw(image)
    text = marker.text.format(view=view)
    if marker.style == "ring":
        radius = 0.72 * size
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ink, fill=8, width=2)
    if marker.style == "plate":
        left, top, right, bottom = pen.textbbox((x, y), text, font=font, anchor="mm")
        pen.rectangle((left - 4, top - 4, right + 4, bottom + 4), fill=235 if ink < 128 else 6)
    pen.text((x, y), text, fill=ink, font=font, anchor="mm")
