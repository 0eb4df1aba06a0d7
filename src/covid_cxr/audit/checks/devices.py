"""Tubes, lines and intubation, where a source states them.

`cohort.csv` does not carry them. Mila's `metadata.csv` says for about half of its films whether a
tube was in place, and the radiologists' masks name the tubes and lines that they drew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from covid_cxr.cohort.masks import FOLDER
from covid_cxr.cohort.records import read_table
from covid_cxr.cohort.sources import locate
from covid_cxr.config import CohortConfig

_STATED = ("intubation_present", "intubated", "in_icu")
_ANSWER = {"Y": 1.0, "N": 0.0}
_DRAWN = (
    "endotracheal-tube",
    "central-venous-line",
    "nosogastric-tube",
    "monitoring-probes",
    "tubings",
)


def devices(rows: pd.DataFrame, data_root: Path, config: CohortConfig) -> pd.DataFrame:
    """Return columns `device_...` (N, K): 1 present, 0 absent, NaN not stated."""
    found = pd.DataFrame(index=rows.index)
    for name, source in locate(data_root, config.datasets).items():
        if source.options.adapter != "mila":
            continue
        own = rows[rows["source"] == name]
        stated = read_table(source.root / "metadata.csv", ("filename",)).set_index("filename")
        stated = stated[~stated.index.duplicated()].reindex(
            own["image_id"].str.split(":", n=1).str[1]
        )
        for column in _STATED:
            if column in stated:
                found.loc[own.index, f"device_{column}"] = stated[column].map(_ANSWER).to_numpy()
    drawn = [_drawn(data_root / path) for path in rows["path"]]
    if not np.isnan(drawn).all():
        found["device_drawn"] = drawn
    return found


def _drawn(film: Path) -> float:
    folder = film.parent.parent / FOLDER / film.stem
    if not folder.is_dir():
        return np.nan
    return float(any((folder / f"{name}.png").is_file() for name in _DRAWN))
