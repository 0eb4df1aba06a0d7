"""How well lungs are segmented: a row a radiograph, figures over all, and the card that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from covid_cxr.explain.resampling import enlarge
from covid_cxr.files import atomic_write
from covid_cxr.inference.lungs import CARD
from covid_cxr.types import DISCLAIMER, BoolArray, Lungs

_CARD = """# Lung network

{disclaimer}

Segments the right and the left lung on upright frontal chest radiographs. It serves to say how
much of an explanation lies inside the lungs, to name zones, to crop to the lungs, and to detect
that an image shows none.

| | |
| --- | --- |
| input | the whole radiograph at 160 x 160, grey levels standardised |
| network | U-Net over EfficientNet-lite0 with ImageNet weights, ONNX, about 2.8 million weights |
| answer | mean of those for the radiograph and for its mirror image |
| trained on | {radiographs} radiographs of {patients} patients of the Mila collection |
| lungs drawn by | radiologists (GeneralBlockchain, covid-19-chest-xray-segmentations-dataset) |
| Dice out of fold, both lungs | mean {dice:.3f} ({low:.3f}-{high:.3f}) |
| the same, 5th percentile / lowest | {fifth:.3f} / {lowest:.3f} |
| Dice right / left lung | {right:.3f} / {left:.3f} |
| lungs not found | {not_found} of {radiographs} |
| patients | {folds} folds that keep patients and copies whole; the recipe was chosen on the first |
| interval | 95 %, bootstrap of whole patients |

Not for: lateral views, CT, children, radiographs of less than the chest, measuring of lung volume.
What radiologists drew leaves out most of what lies behind the heart and below the diaphragm.
"""
_RESAMPLES = 2000


def row(
    record: pd.Series, lungs: Lungs | None, annotated: tuple[BoolArray, BoolArray]
) -> dict[str, Any]:
    """Return one radiograph's Dice for both lungs and for each, on its own pixels."""
    right, left = annotated
    predicted = (right & False, right & False)
    if lungs is not None:
        predicted = (_on(lungs.right, right.shape), _on(lungs.left, right.shape))
    return {
        "image_id": record["image_id"],
        "component": record["component"],
        "finding": record["raw_finding"],
        "view": record["view"],
        "found": lungs is not None,
        "dice": dice(predicted[0] | predicted[1], right | left),
        "dice_right": dice(predicted[0], right),
        "dice_left": dice(predicted[1], left),
    }


def dice(one: BoolArray, other: BoolArray) -> float:
    """Return twice the overlap over the sum of both areas; 1 where both are empty.

    >>> dice(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def metrics(scores: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the card from the rows of all radiographs."""
    low, high = _interval(scores)
    return {
        "radiographs": len(scores),
        "patients": int(scores["component"].nunique()),
        "not_found": int((~scores["found"]).sum()),
        "dice": float(scores["dice"].mean()),
        "dice_interval": [low, high],
        "dice_5th_percentile": float(np.percentile(scores["dice"], 5)),
        "dice_lowest": float(scores["dice"].min()),
        "dice_right": float(scores["dice_right"].mean()),
        "dice_left": float(scores["dice_left"].mean()),
    }


def write(scores: pd.DataFrame, figures: dict[str, Any], out: Path) -> None:
    """Write `dice.csv` and the card."""
    atomic_write(out / "dice.csv", scores.to_csv(index=False, lineterminator="\n"))
    low, high = figures["dice_interval"]
    card = _CARD.format(
        disclaimer=DISCLAIMER,
        low=low,
        high=high,
        fifth=figures["dice_5th_percentile"],
        lowest=figures["dice_lowest"],
        right=figures["dice_right"],
        left=figures["dice_left"],
        folds=figures["settings"]["folds"],
        **{name: figures[name] for name in ("radiographs", "patients", "not_found", "dice")},
    )
    atomic_write(out / CARD, card)


def _on(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    fine: BoolArray = enlarge(mask.astype(np.float32), (shape[0], shape[1])) > 0.5
    return fine


def _interval(scores: pd.DataFrame) -> tuple[float, float]:
    """95 % of the mean over bootstrap resamples of whole patients."""
    sums = scores.groupby("component")["dice"].agg(["sum", "size"]).to_numpy()
    rng = np.random.default_rng(0)
    resampled = sums[rng.integers(0, len(sums), (_RESAMPLES, len(sums)))].sum(axis=1)
    low, high = np.percentile(resampled[:, 0] / resampled[:, 1], [2.5, 97.5])
    return float(low), float(high)
