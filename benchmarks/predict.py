"""Prediction without explanations side by side with nothing but its forward passes.

    python benchmarks/predict.py --json
    python benchmarks/predict.py --model BUNDLE --radiographs FOLDER --count 100 --rounds 7

Times `predict_to` over a folder, from files to `predictions.csv`, and in turn the forward passes
alone: the lung network's and the classifier's graph in ONNX Runtime in float32, on inputs prepared
beforehand, in the same batches. The forward passes run both one after the other and two batches at
a time, as prediction has them; the faster way counts.
`predict_share` is the time of the forward passes over that of prediction: 1 where all else costs
nothing. Without `--radiographs` phantoms serve, of one megapixel; what one takes to read and to
reduce grows with its size. Shares are medians over rounds; the shares of the stages are of
processor time in one thread, each stage by itself, so that they hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import covid_cxr
from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.inference.answers import BATCH
from covid_cxr.inference.batch import predict_to
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.inference.predictor import Predictor
from covid_cxr.phantoms import HOSPITALS, draw
from covid_cxr.types import FINDINGS, FloatArray

AT_A_TIME = 2
Batches = list[FloatArray]


def draw_to(folder: Path, count: int) -> list[Path]:
    """Write phantoms as PNG, as large as public radiographs."""
    paths = []
    for number in range(count):
        hospital = HOSPITALS[number % len(HOSPITALS)].name
        pixels = draw(FINDINGS[number % 3], number, hospital=hospital).pixels
        picture = Image.fromarray(np.uint8(np.round(255 * pixels))).resize((1024, 1024))
        paths.append(folder / f"{number:04}.png")
        picture.save(paths[-1])
    return paths


def chosen(folder: Path, count: int) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    order = np.random.default_rng(0).permutation(len(paths))[:count]
    return [paths[number] for number in order]


def batches(inputs: Sequence[FloatArray]) -> Batches:
    return [np.stack(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]


class Networks:
    """Lung network and classifier on the threads of a predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self.classifier = predictor.runtime
        self.segmenter = LungSegmenter(predictor.bundle.lungs, threads=predictor.threads)

    def run(self, lung_input: FloatArray, model_input: FloatArray) -> None:
        self.segmenter.probabilities(lung_input)
        self.classifier.run(model_input)


class Forward:
    """The forward passes of a predictor over some radiographs, inputs prepared."""

    def __init__(self, predictor: Predictor, radiographs: Sequence[FloatArray]) -> None:
        spec = predictor.bundle.manifest.preprocess
        self.threads = predictor.threads
        self.networks = Networks(predictor)
        self.segmenter = self.networks.segmenter
        self.segmented = list(zip(radiographs, self.segmenter.segment(radiographs), strict=True))
        lung_spec = self.segmenter.manifest.preprocess
        self.lung_inputs = batches(
            [imaging.preprocess(pixels, lung_spec) for pixels in radiographs]
        )
        self.inputs = batches(
            [imaging.preprocess(pixels, spec, lungs) for pixels, lungs in self.segmented]
        )

    def in_order(self) -> None:
        for inputs in zip(self.lung_inputs, self.inputs, strict=True):
            self.networks.run(*inputs)

    def at_a_time(self) -> None:
        with ThreadPoolExecutor(min(AT_A_TIME, self.threads or AT_A_TIME)) as pool:
            list(pool.map(self.networks.run, self.lung_inputs, self.inputs))


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


def processor_time(work: Callable[[], Any]) -> float:
    """Return the least of five: memory is asked for anew after other work."""
    return min(seconds(work, time.process_time) for _ in range(5))


def stages(model: Path | None, paths: Sequence[Path]) -> dict[str, float]:
    """Return the processor time of each stage, as shares of their sum."""
    predictor = covid_cxr.load(model, threads=1)
    radiographs = [predictor.read(path).pixels for path in paths]
    forward = Forward(predictor, radiographs)

    def prepare(spec: PreprocessSpec) -> float:
        def work() -> None:
            for pixels, lungs in forward.segmented:
                imaging.preprocess(pixels, spec, lungs)

        return processor_time(work)

    spec = predictor.bundle.manifest.preprocess
    unequal = spec.model_copy(update={"equalise": False})
    plain = unequal.model_copy(update={"remove_markers": False})
    all_of_it, without_contrast, without_markers = map(prepare, (spec, unequal, plain))
    checked = processor_time(
        lambda: predictor.preparer.check([*map(predictor.preparer.reduce, radiographs)])
    )
    lungs = processor_time(lambda: [*map(forward.segmenter.probabilities, forward.lung_inputs)])
    spent = {
        "reading": processor_time(lambda: [*map(predictor.read, paths)]),
        "lung_network": lungs,
        "lung_input_and_check": max(0.0, checked - lungs - all_of_it),
        "markers": max(0.0, without_contrast - without_markers),
        "contrast": max(0.0, all_of_it - without_contrast),
        "rest_of_input": without_markers,
        "classifier": processor_time(lambda: [*map(predictor.runtime.run, forward.inputs)]),
    }
    return {name: share / sum(spent.values()) for name, share in spent.items()}


def compare(predictor: Predictor, paths: list[Path], out: Path, rounds: int) -> dict[str, Any]:
    """Time prediction and both ways of its forward passes in turn."""
    forward = Forward(predictor, [predictor.read(path).pixels for path in paths])
    work: dict[str, Callable[[], Any]] = {
        "predict": lambda: predict_to(out, predictor, paths),
        "in_order": forward.in_order,
        "at_a_time": forward.at_a_time,
    }
    for task in work.values():
        task()  # warm
    taken = [{name: seconds(task) for name, task in work.items()} for _ in range(rounds)]
    best = [min(times["in_order"], times["at_a_time"]) for times in taken]
    shares = [bare / times["predict"] for bare, times in zip(best, taken, strict=True)]
    return {
        "radiographs": len(paths),
        "rounds": rounds,
        "predict_share": round(float(np.median(shares)), 3),
        "predict_share_range": [round(min(shares), 3), round(max(shares), 3)],
        "radiographs_per_second": _rate(paths, [times["predict"] for times in taken]),
        "forward_radiographs_per_second": _rate(paths, best),
        "forward_in_order_radiographs_per_second": _rate(
            paths, [times["in_order"] for times in taken]
        ),
    }


def _rate(paths: list[Path], times: list[float]) -> float:
    return round(len(paths) / float(np.median(times)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="bundle; default the one that ships")
    parser.add_argument("--radiographs", type=Path, help="folder; default phantoms")
    parser.add_argument("--count", type=int, default=96, help="radiographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="CPU threads; default all cores")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        given = arguments.radiographs
        paths = chosen(given, arguments.count) if given else draw_to(Path(folder), arguments.count)
        predictor = covid_cxr.load(arguments.model, threads=arguments.threads)
        result = compare(predictor, paths, Path(folder, "out"), arguments.rounds)
        shares = stages(arguments.model, paths[: 2 * BATCH * AT_A_TIME])
        result["stages"] = {name: round(share, 3) for name, share in shares.items()}
    for name, value in result.items():
        print(f"{name:35} {value}")
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
