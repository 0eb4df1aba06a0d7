"""Acquisition features: what is known of an image without the chest.

File, grey levels, border, markers, patient and devices; `GROUPS` names the columns of each group.
Sizes are those of the files as they are: reduced copies have lost their original sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.cohort.masks import FOLDER
from covid_cxr.cohort.metadata_tables import metadata_table
from covid_cxr.cohort.tables import read_table
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
_STATED_DEVICES = ("intubation_present", "intubated", "in_icu")
_YES_NO = {"Y": 1.0, "N": 0.0}
_DEVICE_MASKS = (
    "endotracheal-tube",
    "central-venous-line",
    "nosogastric-tube",
    "monitoring-probes",
    "tubings",
)


def of_image(
    radiograph: Radiograph, reduced: FloatArray, markers: FloatArray, path: Path
) -> dict[str, Any]:
    """Return the features of one image that need no look at the chest.

    Args:
        radiograph: as read.
        reduced: the same at a lower resolution, (h, w).
        markers: bool (h, w), where text was detected.
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
        **_grey(reduced),
        **_border(reduced),
        **_markers(markers),
    }


def table(
    features: list[dict[str, Any]], rows: pd.DataFrame, devices: pd.DataFrame
) -> pd.DataFrame:
    """Return all features (N, F) as numbers, categories as indicator columns.

    An unknown value is NaN; a constant column is left out.
    """
    measured = pd.DataFrame(features, index=rows.index)
    categories = pd.DataFrame(
        {"format": measured.pop("format"), "view": rows["view"], "sex": rows["sex"]}
    )
    indicators = pd.get_dummies(categories.replace("", "not stated"), prefix_sep="=", dtype=float)
    age = rows["age"].rename("age")
    stated = age.notna().astype(float).rename("age_stated")
    whole = pd.concat([measured, indicators, age, stated, devices], axis=1).astype(float)
    return whole.loc[:, whole.nunique(dropna=False) > 1]


def group_of(column: str) -> str:
    """Return the group that a column belongs to.

    >>> group_of("view=AP")
    'patient'
    """
    return next(name for name, starts in GROUPS.items() if column.startswith(starts))


def devices(rows: pd.DataFrame, data_root: Path) -> pd.DataFrame:
    """Return columns `device_...` (N, K): 1 present, 0 absent, NaN not stated.

    Tubes, lines and intensive care. Mila's `metadata.csv`, where it lies beside a cohort's images,
    states them for about half of its images, and the radiologists' masks name the tubes and lines
    that they outlined.

    Args:
        rows: (N) of the cohort; `path` says where each image lies, whatever its source is called.
        data_root: folder that `path` is relative to.
    """
    columns = pd.DataFrame(index=rows.index)
    mila = metadata_table("mila")
    roots = rows["path"].map(lambda path: str(data_root / Path(path).parent.parent))
    for name, own in rows.groupby(roots):
        root = Path(str(name))
        if not mila.lies_in(root):
            continue
        stated = read_table(root / mila.file, ("filename",)).set_index("filename")
        stated = stated[~stated.index.duplicated()].reindex(
            own["image_id"].str.split(":", n=1).str[1]
        )
        for column in _STATED_DEVICES:
            if column in stated:
                columns.loc[own.index, f"device_{column}"] = stated[column].map(_YES_NO).to_numpy()
    outlined = [_device_outlined(data_root / path) for path in rows["path"]]
    if not np.isnan(outlined).all():
        columns["device_drawn"] = outlined
    return columns


def _grey(small: FloatArray) -> dict[str, float]:
    low, *middle, high = np.quantile(small, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)).tolist()
    n_levels = np.unique((small * 255).astype(np.uint8)).size
    step = np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean()
    return {
        "grey_least": low,
        "grey_most": high,
        **{f"grey_q{index}": value for index, value in enumerate(middle)},
        "grey_mean": float(small.mean()),
        "grey_deviation": float(small.std()),
        "grey_black": float((small < _BLACK).mean()),
        "grey_white": float((small > _WHITE).mean()),
        "grey_levels": float(n_levels),
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
    features: dict[str, float] = {}
    for name, side in sides.items():
        features[f"border_{name}_mean"] = float(side.mean())
        features[f"border_{name}_deviation"] = float(side.std())
        features[f"border_{name}_black"] = float((side < _BLACK).mean())
        features[f"border_{name}_white"] = float((side > _WHITE).mean())
    return features


def _markers(markers: FloatArray) -> dict[str, float]:
    down, right = markers.shape[0] // 2, markers.shape[1] // 2
    parts = {
        "share": markers,
        "top_left": markers[:down, :right],
        "top_right": markers[:down, right:],
        "bottom_left": markers[down:, :right],
        "bottom_right": markers[down:, right:],
    }
    return {f"marker_{name}": float(part.mean()) for name, part in parts.items()}


def _device_outlined(image: Path) -> float:
    folder = image.parent.parent / FOLDER / image.stem
    if not folder.is_dir():
        return np.nan
    return float(any((folder / f"{name}.png").is_file() for name in _DEVICE_MASKS))
