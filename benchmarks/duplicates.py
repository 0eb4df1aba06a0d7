"""Near duplicates: recall, precision, time and memory, as the number of images grows.

    python -m benchmarks.duplicates --radiographs 300 --generated 1000 10000 100000

Phantoms are copied with every transform of `tests.support.near_duplicates`. Generated are
fingerprints alone: the mean and the variation of phantoms' fingerprints with a random texture; one
in twenty has a copy, cropped and noisy. Each size runs in a process of its own, for its peak of
memory. Prints one line of JSON a size.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from covid_cxr.cohort.dedup.fingerprint import EDGE, Fingerprint, fingerprint
from covid_cxr.cohort.dedup.resolution import group
from covid_cxr.phantoms import HOSPITALS, draw
from covid_cxr.types import FINDINGS, FloatArray
from tests.support.near_duplicates import COPY_TRANSFORMS, transform_copy

CHUNK = 2000


def pixels_of(number: int, visit: int = 0) -> FloatArray:
    hospital = HOSPITALS[number % len(HOSPITALS)].name
    return draw(FINDINGS[number % 3], number, visit=visit, hospital=hospital).pixels


def pairs_of(prints: Fingerprint) -> set[tuple[int, int]]:
    """Return the pairs (first below second) that are called near-duplicates."""
    names = [f"{number:064x}" for number in range(len(prints))]
    _, pairs = group(pd.Series(names), prints)
    return {(int(a, 16), int(b, 16)) for a, b in zip(pairs["first"], pairs["second"], strict=True)}


def radiographs(count: int, seed: int) -> None:
    """Every phantom with one copy by one to three transforms, one in four with another visit."""
    rng = np.random.default_rng(seed)
    start = 10_000 * seed  # other phantoms too
    originals = [pixels_of(start + number) for number in range(count)]
    prints, kinds = [fingerprint(pixels) for pixels in originals], []
    for pixels in originals:
        chosen = rng.choice(list(COPY_TRANSFORMS), rng.integers(1, 4), replace=False)
        for kind in chosen:
            pixels = transform_copy(pixels, str(kind), rng)  # noqa: PLW2901
        prints.append(fingerprint(pixels))
        kinds.append(set(map(str, chosen)))
    visits = range(0, count, 4)
    prints += [fingerprint(pixels_of(start + number, visit=1)) for number in visits]
    patient = [*range(count), *range(count), *visits]
    detected = pairs_of(np.array(prints))
    planted = {(number, number + count) for number in range(count)}
    strangers = [pair for pair in detected if patient[pair[0]] != patient[pair[1]]]
    missed = [kinds[first] for first, _ in planted - detected]
    say(
        images=len(prints),
        planted=count,
        recall=round(len(planted & detected) / count, 4),
        precision_patients=round(1 - len(strangers) / max(len(detected), 1), 4),
        other_visits_called_copies=len(detected) - len(planted & detected) - len(strangers),
        missed_by_transform={
            kind: sum(kind in applied for applied in missed) for kind in COPY_TRANSFORMS
        },
    )


def generated(count: int, seed: int) -> None:
    """Time the search over `count` fingerprints and their copies."""
    rng = np.random.default_rng(seed)
    prints = np.empty((count + count // 20, EDGE, EDGE), np.uint8)
    basis = np.array([fingerprint(pixels_of(number)) for number in range(150)], np.float32)
    basis = basis.reshape(150, -1)
    mean, (_, spread, axes) = basis.mean(0), np.linalg.svd(basis - basis.mean(0), False)
    for start in range(0, count, CHUNK):
        rows = min(CHUNK, count - start)
        shares = rng.normal(size=(rows, len(axes))) * spread / np.sqrt(150)
        chest = (mean + shares @ axes).reshape(rows, EDGE, EDGE)
        texture = gaussian_filter(rng.normal(size=chest.shape), (0, 1.2, 1.2)) * 90
        prints[start : start + rows] = ranked(chest + texture)
    for copy in range(count // 20):
        prints[count + copy] = cropped(prints[copy], rng)
    started, worked = time.perf_counter(), time.process_time()
    detected = pairs_of(prints)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    planted = {(copy, count + copy) for copy in range(count // 20)}
    say(
        generated=len(prints),
        seconds=round(seconds, 1),
        cpu_seconds=round(worked, 1),
        peak_gb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        recall=round(len(planted & detected) / len(planted), 4),
        precision=round(len(planted & detected) / max(len(detected), 1), 4),
    )


def ranked(grids: np.ndarray) -> Fingerprint:
    order = grids.reshape(len(grids), -1).argsort(axis=1).argsort(axis=1)
    return np.asarray((order * 256 // EDGE**2).reshape(grids.shape), np.uint8)


def cropped(print_: np.ndarray, rng: np.random.Generator) -> Fingerprint:
    """Lay a window of at least 88 % of each edge over the whole grid, and add noise."""
    low = rng.uniform(0, 0.06, 2) * EDGE
    high = (1 - rng.uniform(0, 0.06, 2)) * EDGE - 1
    rows, columns = (np.linspace(a, b, EDGE) for a, b in zip(low, high, strict=True))
    window = np.array([np.interp(columns, np.arange(EDGE), row) for row in print_])
    window = np.array([np.interp(rows, np.arange(EDGE), column) for column in window.T]).T
    return ranked((window + rng.normal(0, 6, window.shape))[None])[0]


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--radiographs", type=int, default=300)
    parser.add_argument("--generated", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for work, size in [
        (radiographs, arguments.radiographs),
        *((generated, n) for n in arguments.generated),
    ]:
        if size:
            process = context.Process(target=work, args=(size, arguments.seed))
            process.start()
            process.join()


if __name__ == "__main__":
    main()
