"""How fast a cohort is built, how much memory it takes, and what the second time costs.

    python benchmarks/build.py --images 1000 4000 --processes 2

Images are noisy pictures of the size of phantoms. `of_bare_decoding` is the speed of a first
build's reading (decoding, hash, fingerprint, database) over that of decoding alone with Pillow in
one process. Each size runs in a process of its own. Prints a line of JSON each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from covid_cxr.cohort.build import build
from covid_cxr.cohort.inventory import NAME, Inventory
from covid_cxr.config import CohortConfig, DatasetConfig

SIDE = 384


def generate(root: Path, count: int) -> None:
    """Write `count` JPEGs, half a class; each is one of few pictures, moved and noisy."""
    rng = np.random.default_rng(0)
    bases = [gaussian_filter(rng.normal(size=(SIDE, SIDE)), 12) for _ in range(200)]
    bases = [(base - base.min()) / np.ptp(base) * 220 for base in bases]
    for number in range(count):
        turned = np.roll(bases[number % 200], rng.integers(0, SIDE, 2), (0, 1))
        noisy = turned + rng.normal(0, 8, turned.shape)
        folder = root / ("normal", "pneumonia")[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg")


def measure(count: int, processes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "images"
        root.mkdir()
        generate(root, count)
        paths = sorted(root.rglob("*.jpg"))
        bare = seconds(lambda: [decode(path) for path in paths[:500]]) / min(500, count)
        database = Path(name) / NAME
        taken = seconds(lambda: Inventory(database).take(paths, processes=processes))
        labels = {"normal": "normal", "pneumonia": "pneumonia"}
        dataset = DatasetConfig(adapter="folder", path=".", labels=labels)
        chosen = CohortConfig(datasets={"images": dataset})
        again = seconds(lambda: build(root, chosen, 0, files=database))
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    say(
        images=count,
        read_per_second=round(count / taken, 1),
        of_bare_decoding=round(bare * count / taken, 2),
        build_once_read_seconds=round(again, 1),
        peak_mb=round(own / 1024),
        peak_of_a_reader_mb=round(child / 1024),
    )


def decode(path: Path) -> None:
    Image.open(BytesIO(path.read_bytes())).load()


def seconds(work) -> float:  # type: ignore[no-untyped-def]
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a cohort is built.")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for count in arguments.images:
        process = context.Process(target=measure, args=(count, arguments.processes))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
