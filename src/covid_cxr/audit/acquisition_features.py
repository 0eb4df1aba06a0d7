"""Facts about a film that are not the chest: its file, its grey levels, its border, its markers.

The table `GROUPS` says which columns belong together. Sizes are those of the files at hand: where a
collection was made smaller before it came here, its original sizes are lost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.types import FloatArray, Radiograph

GROUPS: dict[str, tuple[str, ...]] = {
    "file": ("width", "height", "aspect", "bits", "bytes_a_pixel", "format="),
    "grey levels": ("grey_",),
    "border": ("border_",),
    "markers": ("marker_",),
    "patient": ("view=", "sex=", "age"),
    "devices": ("device_",),
}
_BORDER = 0.03  # share of the edge
_BLACK, _WHITE = 0.03, 0.97
_CORNERS = {"top_left": (0, 0), "top_right": (0, 1), "bottom_left": (1, 0), "bottom_right": (1, 1)}


def film_facts(
    radiograph: Radiograph, small: FloatArray, markers: FloatArray, path: Path
) -> dict[str, Any]:
    """Return what is known of one film without looking at the chest.

    Args:
        radiograph: as read.
        small: the same reduced, (h, w).
        markers: bool (h, w), where lettering was found.
        path: of the file.
    """
    height, width = radiograph.height, radiograph.width
    return {
        "width": width,
        "height": height,
        "aspect": width / height,
        "bits": radiograph.bit_depth,
        "bytes_a_pixel": path.stat().st_size / (width * height),
        "format": radiograph.format,
        **_grey(small),
        **_border(small),
        **_markers(markers),
    }


def table(facts: list[dict[str, Any]], rows: pd.DataFrame, devices: pd.DataFrame) -> pd.DataFrame:
    """Return numbers (N, F): film facts, patient and devices, words as columns of 0 and 1.

    A value that is not known is NaN; a column that never varies is left out.
    """
    known = pd.DataFrame(facts, index=rows.index)
    words = pd.DataFrame({"format": known.pop("format"), "view": rows["view"], "sex": rows["sex"]})
    marked = pd.get_dummies(words.replace("", "not stated"), prefix_sep="=", dtype=float)
    age = rows["age"].rename("age")
    stated = age.notna().astype(float).rename("age_stated")
    whole = pd.concat([known, marked, age, stated, devices], axis=1).astype(float)
    return whole.loc[:, whole.nunique(dropna=False) > 1]


def group_of(column: str) -> str:
    """Return the group that a column belongs to.

    >>> group_of("view=AP")
    'patient'
    """
    return next(name for name, starts in GROUPS.items() if column.startswith(starts))


def _grey(small: FloatArray) -> dict[str, float]:
    low, *middle, high = np.quantile(small, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)).tolist()
    levels = np.unique((small * 255).astype(np.uint8)).size
    step = np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean()
    return {
        "grey_least": low,
        "grey_most": high,
        **{f"grey_q{place}": value for place, value in enumerate(middle)},
        "grey_mean": float(small.mean()),
        "grey_deviation": float(small.std()),
        "grey_black": float((small < _BLACK).mean()),
        "grey_white": float((small > _WHITE).mean()),
        "grey_levels": float(levels),
        "grey_step": float(step),
    }


def _border(small: FloatArray) -> dict[str, float]:
    width = max(1, round(_BORDER * max(small.shape)))
    sides = {
        "top": small[:width],
        "bottom": small[-width:],
        "left": small[:, :width],
        "right": small[:, -width:],
    }
    found: dict[str, float] = {}
    for name, side in sides.items():
        found[f"border_{name}_mean"] = float(side.mean())
        found[f"border_{name}_deviation"] = float(side.std())
        found[f"border_{name}_black"] = float((side < _BLACK).mean())
        found[f"border_{name}_white"] = float((side > _WHITE).mean())
    return found


def _markers(markers: FloatArray) -> dict[str, float]:
    half = markers.shape[0] // 2, markers.shape[1] // 2
    found = {"marker_share": float(markers.mean())}
    for name, (down, right) in _CORNERS.items():
        rows = slice(half[0], None) if down else slice(half[0])
        columns = slice(half[1], None) if right else slice(half[1])
        found[f"marker_{name}"] = float(markers[rows, columns].mean())
    return found
