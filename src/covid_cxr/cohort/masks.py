"""Structures that radiologists drew on radiographs: lungs, opacities, tubes and lines.

The masks of GeneralBlockchain's covid-19-chest-xray-segmentations-dataset for images of the Mila
collection, laid as `annotations/radiologist-masks/<image stem>/<structure>.png` beside the
collection's `images/`: white on black, on the pixel grid of the image.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from covid_cxr import imaging
from covid_cxr.errors import CohortError
from covid_cxr.types import BoolArray

FOLDER = "annotations/radiologist-masks"
RIGHT, LEFT = "right-lung", "left-lung"  # the patient's, so that the right one lies on the left
LUNGS = (RIGHT, LEFT)
OPACITIES = ("ground-glass-opacities", "consolidation")


def annotated(cohort: pd.DataFrame, data_root: Path) -> pd.DataFrame:
    """Return the rows of `cohort` that have drawn structures, excluded rows included.

    Returns:
        The rows with a further column `masks`: the folder, relative to `data_root`.

    Raises:
        CohortError: no row has any.
    """
    folders = cohort["path"].map(_folder)
    rows = cohort.assign(masks=folders)[[(data_root / path).is_dir() for path in folders]]
    if rows.empty:
        raise CohortError(
            f"no image of the cohort has masks: expected '{FOLDER}/<image stem>/' beside the "
            f"folder that holds the image, below '{data_root}'"
        )
    return rows.reset_index(drop=True)


def mask(folder: Path, *structures: str) -> BoolArray | None:
    """Return the union (H, W) of the structures drawn in `folder`; None where none of them is.

    Raises:
        UnreadableImage: a mask that is no picture.
        CohortError: masks of different sizes.
    """
    masks = [imaging.read(path).pixels > 0.5 for path in _files(folder, structures)]
    if len({pixels.shape for pixels in masks}) > 1:
        raise CohortError(f"masks in '{folder}' differ in size; expected the image's own")
    return np.logical_or.reduce(masks) if masks else None


def _folder(path: str) -> str:
    image = PurePosixPath(path)
    return str(image.parent.parent / FOLDER / image.stem)


def _files(folder: Path, structures: tuple[str, ...]) -> list[Path]:
    return [path for name in structures if (path := folder / f"{name}.png").is_file()]
