"""How much of a class map's support for COVID-19 lies in the lungs, as they are and dilated.

    python benchmarks/support.py runs/oof --data DATA --radiographs 200

On radiographs held out from each bundle of the run (`cross-validate`, else the test split), sampled
by seed. Lungs are the lung network's, dilated by a share of the map's edge, since a cell of it is a
tenth of the radiograph wide. Prints medians with 95 % intervals over patients, and the share of the
model's input that the dilated lungs cover: evenly spread support would lie there to that share.
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
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.explanation_benchmark.cases import held_out_parts
from covid_cxr.imaging.crop import spans
from covid_cxr.inference import Predictor
from covid_cxr.metrics import Bootstrap, Interval
from covid_cxr.pipeline.run_folder import RunFolder
from covid_cxr.types import COVID, BoolArray

DILATIONS = (0.0, 0.05, 0.08)  # shares of the map's edge


def dilated(lungs: BoolArray, share: float) -> BoolArray:
    """Return lungs (h, w) with all pixels nearer to them than a share of the edge."""
    mask: BoolArray = ndimage.distance_transform_edt(~lungs) <= share * max(lungs.shape)
    return mask


def measure(predictor: Predictor, path: Path) -> list[float] | None:
    """Return support inside and area of the lungs for each dilation; None where there is none."""
    model_input = predictor.prepare(predictor.read(path))
    if model_input.lungs is None:
        return None
    support = np.maximum(predictor.explain_class(model_input, COVID, "cam").attribution, 0)
    if not support.any():
        return None
    box = np.zeros(support.shape, np.bool_)
    box[spans(model_input.box, box.shape)] = True
    lungs = mask_on_grid(model_input.lungs.both, support.shape)
    masks = [dilated(lungs, share) & box for share in DILATIONS]
    inside = [float(support[mask].sum() / support.sum()) for mask in masks]
    return inside + [float(mask.sum() / box.sum()) for mask in masks]


def median(values: NDArray[np.float64], patients: NDArray[np.str_]) -> Interval:
    """Return the median of values (N,) with its 95 % interval over patients."""

    def statistic(weights: NDArray[np.float64] | None) -> dict[str, NDArray[np.float64]]:
        resamples = [np.ones(len(values))] if weights is None else weights
        medians = [np.median(np.repeat(values, times.astype(int))) for times in resamples]
        return {"median": np.array(medians)}

    return Bootstrap().intervals(statistic, patients)["median"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--radiographs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    _, parts = held_out_parts(RunFolder.open(arguments.run))
    rows = pd.concat([part.rows.assign(part=number) for number, part in enumerate(parts)])
    sample = rows.sample(min(arguments.radiographs, len(rows)), random_state=arguments.seed)
    measured, patients = [], []
    for number, chosen in sample.groupby("part"):
        predictor = Predictor(parts[number].bundle)
        for path, patient in zip(chosen["path"], chosen["patient_id"], strict=True):
            if shares := measure(predictor, arguments.data / path):
                measured.append(shares)
                patients.append(patient)
    if not measured:
        raise InputError(f"none of {len(sample)} radiographs has lungs and support for {COVID}")
    table = np.array(measured).T
    clusters = np.array(patients)
    names = [f"dilated by {share:.0%}" for share in DILATIONS]
    result = {
        name: {**median(inside, clusters)._asdict(), "area": float(np.median(area))}
        for name, inside, area in zip(names, *np.split(table, 2), strict=True)
    }
    print(f"{table.shape[1]} radiographs of {len(sample)} have lungs and support")
    for name, of in result.items():
        ends = f"({of['low']:.3f} to {of['high']:.3f})"
        print(
            f"lungs {name}: {of['value']:.3f} {ends} of the support, {of['area']:.3f} of the area"
        )
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
