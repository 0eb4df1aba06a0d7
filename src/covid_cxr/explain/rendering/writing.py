"""An explanation as a picture beside the untouched radiograph, and as JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from covid_cxr.errors import InputError
from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, ByteArray, OverlayStyle, draw_overlay
from covid_cxr.explain.rendering.page import GROUND, Caption, Layout, draw_legend
from covid_cxr.explain.rendering.sentence import fidelity_in_words
from covid_cxr.files import atomic_write
from covid_cxr.types import DISCLAIMER, Explanation, FloatArray

__all__ = ["Caption", "OverlayStyle", "fidelity_in_words", "overlay", "panel", "record", "save"]

_SMALLEST = 512  # longest edge of a panel at least
_SQUEEZE = 3  # of 9: at 2048 pixels a third of the usual 6's time, the file 9 % larger


def overlay(
    pixels: FloatArray,
    explanation: Explanation,
    facts: Caption,
    style: OverlayStyle = DEFAULT_STYLE,
) -> Image.Image:
    """Draw the radiograph, and beside it the same with the explanation laid over it.

    Above stand class, probability, method, the evidence in a sentence, flags and the file; below
    what the colours and lines mean.

    Args:
        pixels: the radiograph as read, (H, W) in [0, 1]; drawn as `panel` says.
        explanation: the map, on the model's input grid.
        facts: the numbers for the header.
        style: palette, opacity and lines.

    Raises:
        InputError: `pixels` is not (H, W).
    """
    grey = panel(pixels, style.longest)
    layout = Layout.of((grey.shape[0], grey.shape[1]), explanation, facts)
    page = Image.new("RGB", layout.page, GROUND)
    draw = ImageDraw.Draw(page)
    layout.write_header(draw)
    page.paste(Image.fromarray(grey), (layout.left, layout.top))
    page.paste(Image.fromarray(draw_overlay(grey, explanation, style)), (layout.right, layout.top))
    draw_legend(page, layout, explanation, style)
    layout.write_footer(draw)
    return page


def panel(pixels: FloatArray, longest: int) -> ByteArray:
    """Return a film as 8-bit grey at its own resolution, reduced only where it is over `longest`.

    A film whose longest edge is under 512 pixels is enlarged to that (or to `longest`), so that
    lines and letters find room. The aspect is kept.

    Raises:
        InputError: `pixels` is not (H, W).
    """
    if pixels.ndim != 2 or not pixels.size:
        raise InputError(f"radiograph has shape {pixels.shape}, expected (H, W)")
    height, width = pixels.shape
    edge = max(height, width)
    scale = min(max(edge, _SMALLEST), longest) / edge
    grey = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(grey if size == grey.size else grey.resize(size, Image.Resampling.LANCZOS))


def record(explanation: Explanation, facts: Caption) -> dict[str, Any]:
    """Return the explanation as JSON-ready facts, the weight of every region included.

    A region's `row` and `column` are its centroid and `area` its share of the image, all as
    fractions in [0, 1], so that they hold at any resolution. `inside_lungs` is the share of all
    attribution whatever its sign, `supporting_inside_lungs` and `zones` are shares of what
    supports the class; with the sentence they are None where the lungs are not known.
    """
    zones = explanation.zones
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
        "supporting_inside_lungs": None if zones is None else zones.inside_lungs,
        "zones": None if zones is None else dict(zones.shares),
        "sentence": None if zones is None else zones.sentence,
        "flags": list(facts.flags),
        **facts.more,
        "regions": _regions(explanation),
        "bundle": explanation.bundle,
        "disclaimer": DISCLAIMER,
    }


def save(
    stem: Path,
    pixels: FloatArray,
    explanation: Explanation,
    facts: Caption,
    style: OverlayStyle = DEFAULT_STYLE,
) -> Path:
    """Write `<stem>.png` and `<stem>.json`, each whole or not at all; return the picture's path.

    Args:
        stem: path without suffix; missing folders are made, existing files replaced.
        pixels: the radiograph as read, (H, W) in [0, 1].
        explanation: the map, with the lungs where they are known (`zones.with_lungs`).
        facts: probability, threshold, file name and flags.
        style: palette, opacity and lines.
    """
    text = json.dumps(record(explanation, facts), indent=2, allow_nan=False) + "\n"
    picture = io.BytesIO()
    overlay(pixels, explanation, facts, style).save(picture, "PNG", compress_level=_SQUEEZE)
    path = stem.with_name(stem.name + ".png")
    atomic_write(path, picture.getvalue())
    atomic_write(stem.with_name(stem.name + ".json"), text)
    return path


def _regions(explanation: Explanation) -> list[dict[str, float | None]]:
    """Return weight, middle and area of every region, as shares of the film.

    A region of a few pixels of the model's input can fall between the coarser ones of the film's
    grid: its area there is 0 and it has no middle.
    """
    if explanation.segments is None:
        return []
    flat = explanation.segments.ravel()
    size = explanation.segments.shape[0]
    rows, columns = np.divmod(np.arange(flat.size), size)
    regions = len(explanation.weights)
    count = np.bincount(flat, minlength=regions)
    row = np.bincount(flat, weights=rows + 0.5, minlength=regions) / size
    column = np.bincount(flat, weights=columns + 0.5, minlength=regions) / size
    return [
        {
            "region": region,
            "weight": weight,
            "row": round(float(row[region] / held), 4) if held else None,
            "column": round(float(column[region] / held), 4) if held else None,
            "area": round(float(held / flat.size), 6),
        }
        for region, (weight, held) in enumerate(zip(explanation.weights, count, strict=False))
    ]
