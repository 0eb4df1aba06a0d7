"""An explanation as a page (PNG) and as a record (JSON)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle
from covid_cxr.explain.rendering.page import Caption, draw_page
from covid_cxr.files import atomic_write
from covid_cxr.imaging.page import png
from covid_cxr.types import DISCLAIMER, Explanation, FloatArray

_COMPRESSION = 3  # of 9: at 2048 pixels a third of the usual 6's time, the file 9 % larger


def record(explanation: Explanation, caption: Caption) -> dict[str, object]:
    """Return the explanation ready for JSON, with the weight of every region.

    A region's `row` and `column` are its centroid and `area` its share of the image, all as
    fractions in [0, 1], so that they hold at any resolution. `inside_lungs` is the share of all
    attribution whatever its sign, `supporting_inside_lungs` and `zones` are shares of what
    supports the class; with the sentence they are None where the lungs are not known.
    """
    zones = explanation.zones
    return {
        "file": caption.file,
        "truth": caption.truth,
        "label": explanation.label,
        "probability": float(caption.probability),
        "threshold": caption.threshold,
        "method": explanation.method,
        "parameters": dict(explanation.parameters),
        "seed": explanation.seed,
        "fidelity": explanation.fidelity,
        "inside_lungs": explanation.inside_lungs,
        "supporting_inside_lungs": zones and zones.inside_lungs,
        "zones": zones and dict(zones.shares),
        "sentence": zones and zones.sentence,
        "flags": list(caption.flags),
        **caption.more,
        "regions": _regions(explanation),
        "bundle": explanation.bundle,
        "disclaimer": DISCLAIMER,
    }


def save(
    stem: Path,
    pixels: FloatArray,
    explanation: Explanation,
    caption: Caption,
    style: OverlayStyle = DEFAULT_STYLE,
) -> Path:
    """Write `<stem>.png` and `<stem>.json`, each atomically; return the path of the PNG.

    Args:
        stem: path without suffix; missing folders are made, existing files replaced.
        pixels: the radiograph as read, (H, W) in [0, 1].
        explanation: the map, with the lungs where they are known (`zones.with_lungs`).
        caption: probability, threshold, file name and flags.
        style: palette, opacity and lines.
    """
    text = json.dumps(record(explanation, caption), indent=2, allow_nan=False) + "\n"
    page = draw_page(pixels, explanation, caption, style)
    path = stem.with_name(stem.name + ".png")
    atomic_write(path, png(page, _COMPRESSION))
    atomic_write(stem.with_name(stem.name + ".json"), text)
    return path


def _regions(explanation: Explanation) -> list[dict[str, float | None]]:
    """Return weight, middle and area of every region, as shares of the image.

    A region of a few pixels of the model's input can fall between the coarser ones of the
    radiograph's grid: its area there is 0 and it has no middle.
    """
    if explanation.segments is None:
        return []
    flat = explanation.segments.ravel()
    size = explanation.segments.shape[0]
    rows, columns = np.divmod(np.arange(flat.size), size)
    regions = len(explanation.weights)
    counts = np.bincount(flat, minlength=regions)
    row = np.bincount(flat, weights=rows + 0.5, minlength=regions) / size
    column = np.bincount(flat, weights=columns + 0.5, minlength=regions) / size
    return [
        {
            "region": region,
            "weight": weight,
            "row": round(float(row[region] / count), 4) if count else None,
            "column": round(float(column[region] / count), 4) if count else None,
            "area": round(float(count / flat.size), 6),
        }
        for region, (weight, count) in enumerate(zip(explanation.weights, counts, strict=False))
    ]
