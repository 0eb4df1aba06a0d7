"""Where the shipped bundle errs, shown on drawn films, on which the truth is known.

    python benchmarks/failures.py --out docs/images

Writes `failures-1.png`, a montage of radiographs with their class maps, and prints the table that
docs/failures.md holds. The films are phantoms: nobody's, and simpler than anybody's. They show in
what direction an answer errs, not how often; real films' numbers stand in docs/numbers.md.
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
from covid_cxr.types import COVID, FloatArray, Radiograph

SEEDS = range(100, 120)  # drawn once, none left out
DRAWN = "The films are drawn, nobody's."
Change = Callable[[FloatArray], FloatArray]


class Case(NamedTuple):
    """One kind of film: what is drawn, and what is done to it."""

    name: str
    finding: str
    change: Change = lambda film: film
    view: str = "PA"


def jpeg(quality: int) -> Change:
    def change(film: FloatArray) -> FloatArray:
        buffer = io.BytesIO()
        Image.fromarray(np.uint8(np.rint(film * 255))).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer), np.float32) / np.float32(255)

    return change


def faint(film: FloatArray, clear: FloatArray) -> FloatArray:
    return clear + np.float32(0.3) * (film - clear)


CASES = (
    Case("clear lungs, PA", "normal"),
    Case("clear lungs, AP", "normal", view="AP"),
    Case("one lobe filled (other pneumonia)", "pneumonia"),
    Case("both lower zones (COVID-19)", "covid-19"),
    Case("COVID-19, AP", "covid-19", view="AP"),
    Case("COVID-19 at 0.3 of its density", "covid-19"),
    Case("COVID-19 as JPEG of quality 20", "covid-19", jpeg(20)),
    Case("COVID-19, exposed darker", "covid-19", lambda film: film**2),
    Case("COVID-19, mirrored", "covid-19", lambda film: film[:, ::-1].copy()),
    Case("COVID-19, cut below the hili", "covid-19", lambda film: film[: len(film) * 55 // 100]),
    Case("COVID-19, upside down", "covid-19", lambda film: film[::-1].copy()),
    Case("COVID-19, inverted", "covid-19", lambda film: 1 - film),
)


def films(case: Case) -> Iterator[FloatArray]:
    for seed in SEEDS:
        film = draw(case.finding, seed, view=case.view).pixels
        if "0.3" in case.name:
            film = faint(film, draw("normal", seed, view=case.view).pixels)
        yield np.ascontiguousarray(case.change(film), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    predictor = Predictor(default_bundle())
    print("| film | called COVID-19 | median probability (lowest-highest) | refused |")
    print("| --- | --- | --- | --- |")
    with MontageWriter(out, stem="failures", note=DRAWN) as montage:
        for case in CASES:
            readings = [
                predictor.predict(Radiograph(each, case.name, "drawn", 8)) for each in films(case)
            ]
            first = readings[0]
            told = first.prediction
            probability = told.probabilities.get(told.predicted_class, 0.0)
            facts = Caption(probability, file=case.name, flags=told.flags)
            label = told.predicted_class or ""
            montage.add(Tile(first.radiograph.pixels, first.explanation, facts, label))
            print(row(case.name, [each.prediction for each in readings]))


def row(name: str, predictions: list) -> str:
    answered = [each for each in predictions if each.status == "ok"]
    refused = len(predictions) - len(answered)
    if not answered:
        flags = sorted({flag for each in predictions for flag in each.flags})
        return f"| {name} | - | - | {refused} of {len(predictions)}: {', '.join(flags)} |"
    p = [each.probabilities[COVID] for each in answered]
    called = sum(each.predicted_class == COVID for each in answered)
    spread = f"{np.median(p):.2f} ({min(p):.2f}-{max(p):.2f})"
    return f"| {name} | {called} of {len(answered)} | {spread} | {refused} |"


if __name__ == "__main__":
    main()
