"""LIME side by side with the `lime` package: speed, agreement, and time to a repeatable map.

    python benchmarks/explain.py --json
    python benchmarks/explain.py --model runs/oof/folds-5/fold-1/bundle \
        --radiographs FOLDER --stability 10

The package runs the torch network in float32, as the original system ran its own; ours runs the
same weights through ONNX Runtime. Regions are the same and segmented beforehand, pages are not
written. `--model` is a bundle with `weights.safetensors`; without it an untrained network and
phantoms are used, which is enough for the speed. `--stability N` sets over how many radiographs is
measured how many samples each needs until its map has a Spearman correlation of 0.95 with its own
map of 20,000 samples, which takes minutes a radiograph; without `--model` on the bundle that ships.
Ratios are medians over pairs run in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lime import lime_image
from scipy.stats import spearmanr

from covid_cxr import default_bundle, imaging
from covid_cxr.explain.methods import lime as ours
from covid_cxr.explain.methods.lime import ORIGINAL, LimeSettings
from covid_cxr.explain.sampling import sample_masks
from covid_cxr.explain.superpixels import answers as answers_of
from covid_cxr.explain.superpixels import superpixels
from covid_cxr.imaging.crop import crop_lungs
from covid_cxr.inference.inputs import Preparer
from covid_cxr.inference.runtime import Runtime
from covid_cxr.models import bundle, zoo
from covid_cxr.phantoms import draw
from covid_cxr.types import FloatArray

REFERENCE, REPEATABLE = 20_000, 0.95
STEPS = (50, 100, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 4000, 6000, 8000, 12_000, 16_000)


def untrained(folder: Path, size: int = 224) -> Path:
    """Export an efficientnet-lite0 with ImageNet features: as fast as a trained one."""
    import pandas as pd

    from covid_cxr.config import PreprocessSpec, RunConfig
    from covid_cxr.training.export import export

    torch.manual_seed(0)
    columns = ["source", "patient_id", "finding", "license", "sha256"]
    nothing = pd.DataFrame(columns=columns)
    config = RunConfig(preprocess=PreprocessSpec(size=size))
    export(zoo.build("efficientnet-lite0", 2), config, nothing, folder, "benchmark")
    return folder


def read(folder: Path | None, count: int) -> list[FloatArray]:
    if folder is None:
        names = ("covid-19", "normal", "pneumonia")
        return [draw(names[n % 3], n).pixels for n in range(count)]
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    chosen = np.random.default_rng(0).permutation(len(paths))[:count]
    return [imaging.read(paths[i]).pixels for i in chosen]


def preparer_of(opened: bundle.Bundle) -> Preparer:
    return Preparer(opened.manifest.preprocess, lungs=opened.lungs)


class Package:
    """The `lime` package as the original system used it, on our regions."""

    def __init__(self, opened: bundle.Bundle) -> None:
        self.network = zoo.load_weights(opened.folder)
        self.temperature = opened.manifest.temperature

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        grey = torch.from_numpy(images[..., 0].astype(np.float32))[:, None]
        with torch.inference_mode():
            logits = self.network(grey).logits / self.temperature
        return np.asarray(torch.softmax(logits, dim=1).numpy())

    def weights(self, pixels: FloatArray, segments: np.ndarray, samples: int) -> np.ndarray:
        explainer = lime_image.LimeImageExplainer(kernel_width=1.75, random_state=0)
        explanation = explainer.explain_instance(
            np.repeat(pixels[..., None], 3, axis=2).astype(np.float64),
            self.probabilities,
            labels=(1,),
            top_labels=None,
            num_features=100_000,
            num_samples=samples,
            segmentation_fn=lambda image: segments,
        )
        by_region = dict(explanation.local_exp[1])
        return np.array([by_region[i] for i in range(len(by_region))])


def package_masks(regions: int, samples: int) -> np.ndarray:
    """Return the package's own masks: it draws a number for the segmentation before them."""
    random = np.random.RandomState(0)
    random.randint(0, high=1000)
    masks = random.randint(0, 2, samples * regions).reshape(samples, regions).astype(bool)
    masks[0] = True
    return masks


def answers(
    pixels: FloatArray,
    segments: np.ndarray,
    masks: np.ndarray,
    model: Runtime,
    options: LimeSettings,
) -> np.ndarray:
    images = ours.perturbed(pixels, segments, masks, options)
    return np.concatenate([*answers_of(model.probabilities, images, options.batch_size)])


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def speed(pixels: FloatArray, opened: bundle.Bundle, samples: int, pairs: int) -> dict[str, Any]:
    """Time the package and ours in turn; compare their answers."""
    model, package = Runtime(opened), Package(opened)
    options = ORIGINAL.model_copy(update={"samples": samples})
    segments = superpixels(pixels, options)
    forward = [0.0]

    def timed(batch: FloatArray) -> FloatArray:
        started = time.perf_counter()
        answer = model.probabilities(batch)
        forward[0] += time.perf_counter() - started
        return answer

    model.probabilities(np.zeros((options.batch_size, 1, *pixels.shape), np.float32))  # warm
    times: dict[str, list[float]] = {"package": [], "ours": []}
    shares, theirs = [], np.empty(0)
    for _ in range(pairs):
        started = time.perf_counter()
        theirs = package.weights(pixels, segments, samples)
        times["package"].append(time.perf_counter() - started)
        forward[0] = 0.0
        times["ours"].append(seconds(lambda: ours.lime(pixels[None], timed, options)))
        shares.append(forward[0] / times["ours"][-1])
    masks = package_masks(int(segments.max()) + 1, samples)
    _, same = ours.fit(masks, answers(pixels, segments, masks, model, options))
    ratios = np.array(times["package"]) / times["ours"]
    speedup = round(float(np.median(ratios)), 2)
    cam = seconds(lambda: model.run(np.repeat(pixels[None, None], 64, axis=0)))
    return {
        "regions": int(segments.max()) + 1,
        "samples": samples,
        "package_images_per_second": round(samples / float(np.median(times["package"])), 1),
        "ours_images_per_second": round(samples / float(np.median(times["ours"])), 1),
        "bare_forward_images_per_second": round(64 / cam, 1),
        "lime_speedup": speedup,
        "lime_speedup_fastest": speedup,
        "lime_speedup_range": [round(float(v), 2) for v in (ratios.min(), ratios.max())],
        "lime_spearman": round(float(spearmanr(theirs, same.weights).statistic), 6),
        "forward_share": round(float(np.median(shares)), 3),
    }


def samples_needed(masks: np.ndarray, probabilities: np.ndarray) -> int:
    """Return how many samples it takes to rank regions as all of them do."""
    _, whole = ours.fit(masks, probabilities)
    for samples in STEPS:
        _, part = ours.fit(masks[:samples], probabilities[:samples])
        if spearmanr(part.weights, whole.weights).statistic >= REPEATABLE:
            return samples
    return len(masks)


def stability(
    radiographs: list[FloatArray], opened: bundle.Bundle, rates: dict[str, float]
) -> dict[str, Any]:
    """Samples, and from them time, until the map is repeatable; ours stops by itself."""
    model, preparer = Runtime(opened), preparer_of(opened)
    rows = []
    for radiograph in radiographs:
        model_input = preparer.prepare([radiograph])[0]
        pixels, lungs = model_input.image[0], preparer.segmenter.segment([radiograph])[0]
        lungs = crop_lungs(lungs, model_input.box) if lungs else None
        row: dict[str, float] = {}
        for name, options in (("package", ORIGINAL), ("ours", LimeSettings(lungs=lungs))):
            segments = superpixels(pixels, options)
            regions = int(segments.max()) + 1
            masks = sample_masks(regions, REFERENCE, 1, options.sampling)
            probabilities = answers(pixels, segments, masks, model, options)
            row[f"{name}_regions"], row[name] = regions, samples_needed(masks, probabilities)
            if name == "ours":
                _, (_, early) = ours.lime(
                    pixels[None], model.probabilities, options.model_copy(update={"samples": 4000})
                )
                _, whole = ours.fit(masks, probabilities)
                row["stopped"] = early.samples
                row["likeness"] = float(spearmanr(early.weights, whole.weights).statistic)
        theirs = row["package"] / rates["package"]
        row["speedup"] = theirs / (row["stopped"] / rates["ours"])
        rows.append(row)
        print("radiograph", len(rows), {k: round(v, 3) for k, v in row.items()}, flush=True)
    median = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    return {
        "stability_films": len(rows),
        "samples_package": median["package"],
        "samples_ours": median["ours"],
        "samples_ours_stopped": median["stopped"],
        "likeness_when_stopped": round(median["likeness"], 3),
        "time_to_stability_speedup": round(median["speedup"], 1),
    }


def growth(radiograph: FloatArray, folder: Path) -> dict[str, Any]:
    """How our time grows with samples, superpixels and resolution, as ratios to the first."""

    def lime(samples: int, regions: int, size: int = 224) -> float:
        opened = bundle.load(untrained(folder / f"{size}", size))
        model = Runtime(opened)
        pixels = imaging.preprocess(radiograph, opened.manifest.preprocess)[0]
        options = ORIGINAL.model_copy(
            update={"samples": samples, "superpixels": "grid", "regions": regions}
        )
        superpixels(pixels, options)
        ours.lime(pixels[None], model.probabilities, options.model_copy(update={"samples": 64}))
        return seconds(lambda: ours.lime(pixels[None], model.probabilities, options))

    by_samples = [lime(count, 64) for count in (250, 500, 1000)]
    by_regions = [lime(250, count) for count in (16, 64, 256)]
    by_size = [lime(250, 64, size) for size in (160, 224, 320)]
    return {
        "growth_with_samples_250_500_1000": _ratios(by_samples),
        "growth_with_regions_16_64_256": _ratios(by_regions),
        "growth_with_edge_160_224_320": _ratios(by_size),
    }


def _ratios(times: list[float]) -> list[float]:
    return [round(value / times[0], 2) for value in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="bundle with weights.safetensors")
    parser.add_argument("--radiographs", type=Path, help="folder; default phantoms")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--stability", type=int, default=1, metavar="N", help="radiographs")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        opened = bundle.load(arguments.model or untrained(Path(folder)))
        radiographs = read(arguments.radiographs, max(1, arguments.stability))
        pixels = preparer_of(opened).prepare(radiographs[:1])[0].image[0]
        results = speed(pixels, opened, arguments.samples, arguments.pairs)
        print(results, flush=True)
        results |= growth(radiographs[0], Path(folder))
        if arguments.stability:
            rates = {name: results[f"{name}_images_per_second"] for name in ("package", "ours")}
            trained = opened if arguments.model else default_bundle()
            results |= stability(radiographs, trained, rates)
    for name, value in results.items():
        print(f"{name:45} {value}")
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
