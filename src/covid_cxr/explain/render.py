"""An explanation as a picture beside the untouched radiograph, and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from covid_cxr.errors import InputError
from covid_cxr.explain.localisation import inside_lungs
from covid_cxr.explain.tint import ByteArray, blend, limit, tint
from covid_cxr.files import atomic_write
from covid_cxr.types import COVID, DISCLAIMER, BoolArray, Explanation, FloatArray

_LOWEST, _HIGHEST, _WIDEST = 384, 1024, 1536  # panel height from, to; width at most
_GROUND, _TEXT, _MUTED = (17, 19, 23), (238, 240, 243), (156, 163, 173)
_SMALL, _BAR_GREY = 0.85, 110

_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Facts:
    """What the picture says beside the map.

    Attributes:
        probability: of the explained class.
        threshold: probability from which `covid-19` is called, None where there is no such rule.
        file: the radiograph's name, as in `predictions.csv`.
        truth: the image's true class where it is known; for the JSON, not the picture.
    """

    probability: float
    threshold: float | None = None
    file: str = ""
    truth: str | None = None


def fidelity_in_words(fidelity: float | None) -> str:
    """Say how far a map can be trusted.

    >>> fidelity_in_words(0.83)
    'fidelity 0.83 (high)'
    """
    if fidelity is None:
        return "fidelity not defined"
    shown = round(fidelity, 2)  # judged as it is printed
    words = "high" if shown >= 0.8 else "moderate" if shown >= 0.5 else "low: do not rely on it"
    return f"fidelity {shown:.2f} ({words})"


def overlay(pixels: FloatArray, explanation: Explanation, facts: Facts) -> Image.Image:
    """Draw the radiograph, and beside it the same with green for and red against the class.

    Args:
        pixels: the radiograph as read, (H, W) in [0, 1]. Its aspect ratio is kept; a panel is
            384 to 1024 pixels high (lower only for a strip that would be over 1536 wide).
        explanation: the map, on the model's input grid.
        facts: the numbers for the header.

    Raises:
        InputError: `pixels` is not (H, W).
    """
    grey = _panel(pixels)
    layout = _Layout.of(grey.shape)
    page = Image.new("RGB", layout.page, _GROUND)
    draw = ImageDraw.Draw(page)
    _header(draw, layout, explanation, facts)
    top = layout.top
    page.paste(Image.fromarray(grey), (layout.left, top))
    page.paste(Image.fromarray(tint(grey, explanation)), (layout.right, top))
    _legend(page, layout, explanation)
    _footer(draw, layout)
    return page


def record(explanation: Explanation, facts: Facts) -> dict[str, Any]:
    """Return the explanation as JSON-ready facts, the weight of every region included.

    A region's `row` and `column` are its centroid and `area` its share of the image, all as
    fractions in [0, 1], so that they hold at any resolution.
    """
    return {
        "file": facts.file,
        "truth": facts.truth,
        "label": explanation.label,
        "probability": float(facts.probability),
        "threshold": facts.threshold,
        "method": explanation.method,
        "parameters": dict(explanation.parameters),
        "seed": explanation.seed,
        "fidelity": explanation.fidelity,
        "inside_lungs": explanation.inside_lungs,
        "regions": _regions(explanation),
        "bundle": explanation.bundle,
        "disclaimer": DISCLAIMER,
    }


def save(
    stem: Path,
    pixels: FloatArray,
    explanation: Explanation,
    facts: Facts,
    lungs: BoolArray | None = None,
) -> Path:
    """Write `<stem>.png` and `<stem>.json`, each whole or not at all; return the picture's path.

    Args:
        stem: path without suffix; missing folders are made, existing files replaced.
        pixels: the radiograph as read, (H, W) in [0, 1].
        explanation: the map.
        facts: probability, threshold and file name.
        lungs: mask at any resolution; fills `inside_lungs`.
    """
    if lungs is not None:
        explanation = replace(explanation, inside_lungs=inside_lungs(explanation, lungs))
    text = json.dumps(record(explanation, facts), indent=2, allow_nan=False) + "\n"
    picture = io.BytesIO()
    overlay(pixels, explanation, facts).save(picture, "PNG")
    path = stem.with_name(stem.name + ".png")
    atomic_write(path, picture.getvalue())
    atomic_write(stem.with_name(stem.name + ".json"), text)
    return path


def _regions(explanation: Explanation) -> list[dict[str, float]]:
    if explanation.segments is None:
        return []
    flat = explanation.segments.ravel()
    size = explanation.segments.shape[0]
    rows, columns = np.divmod(np.arange(flat.size), size)
    count = np.bincount(flat)
    row = np.bincount(flat, weights=rows + 0.5) / count / size
    column = np.bincount(flat, weights=columns + 0.5) / count / size
    return [
        {
            "region": region,
            "weight": weight,
            "row": round(float(row[region]), 4),
            "column": round(float(column[region]), 4),
            "area": round(float(count[region] / flat.size), 6),
        }
        for region, weight in enumerate(explanation.weights)
    ]


def _panel(pixels: FloatArray) -> ByteArray:
    if pixels.ndim != 2 or not pixels.size:
        raise InputError(f"radiograph has shape {pixels.shape}, expected (H, W)")
    height, width = pixels.shape
    scale = min(np.clip(height, _LOWEST, _HIGHEST) / height, _WIDEST / width)
    grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(grey if size == grey.size else grey.resize(size, Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class _Layout:
    """Where things stand on the page, all in pixels; everything follows from the letter size."""

    letter: int
    page: tuple[int, int]
    left: int  # x of the radiograph
    right: int  # x of the overlay
    top: int  # y of both panels
    bottom: int  # y below both panels

    @classmethod
    def of(cls, panel: tuple[int, ...]) -> _Layout:
        height, width = panel
        letter = int(np.clip(max(panel) / 32, 15, 26))
        gap = letter
        pair = 2 * width + gap
        page = max(pair, 40 * letter) + 2 * letter
        left = (page - pair) // 2
        top = int(6.2 * letter)
        bottom = top + height
        return cls(
            letter, (page, bottom + int(4.6 * letter)), left, left + width + gap, top, bottom
        )

    def font(self, scale: float = 1.0) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        return ImageFont.load_default(self.letter * scale)


def _header(draw: ImageDraw.ImageDraw, at: _Layout, explanation: Explanation, facts: Facts) -> None:
    title = f"{explanation.label} · probability {facts.probability:.2f}"
    parts = [explanation.method.upper(), fidelity_in_words(explanation.fidelity)]
    if explanation.inside_lungs is not None:
        parts.append(f"{explanation.inside_lungs:.0%} inside the lungs")
    if facts.threshold is not None:
        parts.append(f"called {COVID} from {facts.threshold:.2f}")
    source = " · ".join(part for part in (facts.file, explanation.bundle) if part)
    for y, text, scale, colour in (
        (0.8, title, 1.5, _TEXT),
        (2.8, " · ".join(parts), 1.0, _TEXT),
        (4.3, source, _SMALL, _MUTED),
    ):
        _write(draw, at, y, text, (scale, colour))


def _legend(page: Image.Image, at: _Layout, explanation: Explanation) -> None:
    """Draw the colour bar below the panels: against, nothing, for; with its ends in numbers."""
    draw = ImageDraw.Draw(page)
    full = limit(explanation.attribution)
    width, height = 12 * at.letter, int(0.8 * at.letter)
    ramp = np.linspace(-1, 1, width, dtype=np.float32)[None].repeat(height, axis=0)
    bar = blend(np.full((height, width), _BAR_GREY, dtype=np.uint8), ramp).round()
    font = at.font(_SMALL)
    against = f"against {explanation.label}  {-full:+.2g}"
    support = f"{full:+.2g}  for {explanation.label}"
    if full == 0:
        against, support = "no region speaks", "for or against"
    space = at.letter // 2
    y = at.bottom + at.letter
    total = draw.textlength(against, font) + draw.textlength(support, font) + 2 * space + width
    x = int(at.page[0] - at.letter - total)
    draw.text((x, y + height // 2), against, _TEXT, font, anchor="lm")
    x += int(draw.textlength(against, font)) + space
    page.paste(Image.fromarray(bar.astype(np.uint8)), (x, y))
    draw.text((x + width + space, y + height // 2), support, _TEXT, font, anchor="lm")


def _footer(draw: ImageDraw.ImageDraw, at: _Layout) -> None:
    _write(draw, at, at.bottom / at.letter + 2.9, DISCLAIMER, (_SMALL, _MUTED))


def _write(
    draw: ImageDraw.ImageDraw, at: _Layout, y: float, text: str, style: tuple[float, _Colour]
) -> None:
    """Write one line, `y` letters down; the font has little beyond ASCII, the page has an end."""
    font = at.font(style[0])
    line = "".join(c if c == "·" or " " <= c <= "~" else "?" for c in text)
    room = at.page[0] - 2 * at.letter
    while draw.textlength(line, font) > room:
        line = line.removesuffix("...")[:-1] + "..."
    draw.text((at.letter, y * at.letter), line, style[1], font)
