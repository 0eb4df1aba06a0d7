"""Where the shipped bundle errs, on synthetic radiographs, of which the truth is known.

    python benchmarks/failures.py --out docs/images

Writes `failures-1.png`, a montage of radiographs with their class maps, and prints the table that
docs/results/failures.md holds. The radiographs are phantoms, simpler than those of any patient.
They show in what direction a prediction errs, not how often; numbers on real radiographs stand in
research/numbers.md.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from covid_cxr import default_bundle
from covid_cxr.explain.rendering.montage import MontageWriter, Tile
from covid_cxr.explain.rendering.page import Caption
from covid_cxr.inference import Predictor
from covid_cxr.phantoms import draw
from covid_cxr.types import COVID, FloatArray, Prediction, Radiograph

SEEDS = range(100, 120)  # chosen once, none left out
NOTE = "Synthetic radiographs, of no patient."
Change = Callable[[FloatArray], FloatArray]


class Case(NamedTuple):
    """One kind of radiograph: the phantom, and what is done to its pixels."""

    name: str
    finding: str
    change: Change = lambda pixels: pixels
    view: str = "PA"


def jpeg(quality: int) -> Change:
    def change(pixels: FloatArray) -> FloatArray:
        buffer = io.BytesIO()
        Image.fromarray(np.uint8(np.rint(pixels * 255))).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer), np.float32) / np.float32(255)

    return change


def faint(pixels: FloatArray, clear: FloatArray) -> FloatArray:
    return clear + np.float32(0.3) * (pixels - clear)


CASES = (
    Case("clear lungs, PA", "normal"),
    Case("clear lungs, AP", "normal", view="AP"),
    Case("one lobe filled (other pneumonia)", "pneumonia"),
    Case("both lower zones (COVID-19)", "covid-19"),
    Case("COVID-19, AP", "covid-19", view="AP"),
    Case("COVID-19 at 0.3 of its density", "covid-19"),
    Case("COVID-19 as JPEG of quality 20", "covid-19", jpeg(20)),
    Case("COVID-19, exposed darker", "covid-19", lambda pixels: pixels**2),
    Case("COVID-19, mirrored", "covid-19", lambda pixels: pixels[:, ::-1].copy()),
    Case("COVID-19, cut below the hili", "covid-19", lambda p: p[: len(p) * 55 // 100]),
    Case("COVID-19, upside down", "covid-19", lambda pixels: pixels[::-1].copy()),
    Case("COVID-19, inverted", "covid-19", lambda pixels: 1 - pixels),
)


def radiographs(case: Case) -> Iterator[Radiograph]:
    for seed in SEEDS:
        pixels = draw(case.finding, seed, view=case.view).pixels
        if "0.3" in case.name:
            pixels = faint(pixels, draw("normal", seed, view=case.view).pixels)
        changed = np.ascontiguousarray(case.change(pixels), np.float32)
        yield Radiograph(changed, case.name, "synthetic", 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    predictor = Predictor(default_bundle())
    print("| radiograph | called COVID-19 | median probability (lowest-highest) | rejected |")
    print("| --- | --- | --- | --- |")
    with MontageWriter(out, stem="failures", note=NOTE) as montage:
        for case in CASES:
            readings = [predictor.predict(radiograph) for radiograph in radiographs(case)]
            first, prediction = readings[0], readings[0].prediction
            label = prediction.predicted_class
            probability = prediction.probabilities.get(label, 0.0)
            caption = Caption(probability, file=case.name, flags=prediction.flags)
            montage.add(Tile(first.radiograph.pixels, first.explanation, caption, label))
            print(row(case.name, [reading.prediction for reading in readings]))


def row(name: str, predictions: list[Prediction]) -> str:
    with_scores = [one for one in predictions if one.status == "ok"]
    rejected = len(predictions) - len(with_scores)
    if not with_scores:
        flags = sorted({flag for one in predictions for flag in one.flags})
        return f"| {name} | - | - | {rejected} of {len(predictions)}: {', '.join(flags)} |"
    p = [one.probabilities[COVID] for one in with_scores]
    called = sum(one.predicted_class == COVID for one in with_scores)
    spread = f"{np.median(p):.2f} ({min(p):.2f}-{max(p):.2f})"
    return f"| {name} | {called} of {len(with_scores)} | {spread} | {rejected} |"


if __name__ == "__main__":
    main()
