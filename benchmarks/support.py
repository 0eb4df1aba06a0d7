"""How much of a class map's support for COVID-19 lies in the lungs, as they are and grown.

    python benchmarks/support.py runs/oof --data DATA --films 200

Films that each bundle of the run has not seen (`train --folds`, else the test split), drawn by
seed. Lungs are the lung network's, grown by a share of the map's edge, since a cell of it is
a tenth of the film wide. Prints medians with 95 % intervals over patients, and what part of
the model's field the grown lungs cover: support spread evenly would lie there to that share.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from covid_cxr.errors import InputError
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.explanation_benchmark.cases import held_out_parts
from covid_cxr.imaging.crop import spans
from covid_cxr.inference import Predictor
from covid_cxr.metrics import Bootstrap, Interval
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.types import COVID, BoolArray

GROWN = (0.0, 0.05, 0.08)  # shares of the map's edge


def grown(lungs: BoolArray, share: float) -> BoolArray:
    """Return lungs (h, w) with all that lies within a share of the edge of them."""
    found: BoolArray = ndimage.distance_transform_edt(~lungs) <= share * max(lungs.shape)
    return found


def measure(predictor: Predictor, film: Path) -> list[float] | None:
    """Return support inside and area of the lungs for each growth; None where there is none."""
    shown = predictor.prepare(predictor.read(film))
    if shown.lungs is None:
        return None
    support = np.maximum(predictor.explain_class(shown, COVID, "cam").attribution, 0)
    if not support.any():
        return None
    field = np.zeros(support.shape, np.bool_)
    field[spans(shown.box, field.shape)] = True
    lungs = mask_on_grid(shown.lungs.both, support.shape)
    masks = [grown(lungs, share) & field for share in GROWN]
    inside = [float(support[mask].sum() / support.sum()) for mask in masks]
    return inside + [float(mask.sum() / field.sum()) for mask in masks]


def median(values: NDArray[np.float64], patients: NDArray[np.str_]) -> Interval:
    """Return the median of values (N,) with its 95 % interval over patients."""

    def statistic(weights: NDArray[np.float64] | None) -> dict[str, NDArray[np.float64]]:
        drawn = [np.ones(len(values))] if weights is None else weights
        medians = [np.median(np.repeat(values, times.astype(int))) for times in drawn]
        return {"median": np.array(medians)}

    return Bootstrap().intervals(statistic, patients)["median"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    _, found = held_out_parts(RunFolder.open(given.run))
    rows = pd.concat([each.rows.assign(part=number) for number, each in enumerate(found)])
    drawn = rows.sample(min(given.films, len(rows)), random_state=given.seed)
    measured, patients = [], []
    for number, chosen in drawn.groupby("part"):
        predictor = Predictor(found[number].bundle)
        for path, patient in zip(chosen["path"], chosen["patient_id"], strict=True):
            if numbers := measure(predictor, given.data / path):
                measured.append(numbers)
                patients.append(patient)
    if not measured:
        raise InputError(f"none of {len(drawn)} films has lungs and support for {COVID}")
    table = np.array(measured).T
    clusters = np.array(patients)
    names = [f"grown by {share:.0%}" for share in GROWN]
    result = {
        name: {**median(inside, clusters)._asdict(), "area": float(np.median(area))}
        for name, inside, area in zip(names, table[: len(GROWN)], table[len(GROWN) :], strict=True)
    }
    print(f"{table.shape[1]} films of {len(drawn)} have lungs and support")
    for name, of in result.items():
        ends = f"({of['low']:.3f} to {of['high']:.3f})"
        print(
            f"lungs {name}: {of['value']:.3f} {ends} of the support, {of['area']:.3f} of the area"
        )
    if given.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
