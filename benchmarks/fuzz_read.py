"""Read thousands of damaged files with `covid_cxr.imaging.read`: errors, time, memory.

    python benchmarks/fuzz_read.py --mutants 20000 --seed 0

Each mutant is a valid file of some container (`tests/support/valid_files.py`) with its bytes
damaged. It must give an image or raise `UnreadableImage`. They are read in a process of their own:
where a decoder ends it, or hangs, the mutant is counted as a crash, and a new process continues
with the next. Every escaped exception and crash is printed as a line of JSON, the totals last; exit
1 if there was one, or if memory grew by more than a gigabyte. Of DICOM mutants the header is also
read as a cohort does.

To repeat one: `python benchmarks/fuzz_read.py --seed 0 --only 1234`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.mutants import IMAGE, REJECTED, header_outcome, mutant, outcome
from support.valid_files import seeds

ESCAPE, CRASH = "escape", "crash"
HANG_SECONDS = 60.0
MOST_MB = 1024.0


class Answer(NamedTuple):
    """The outcome of one mutant."""

    number: int
    kind: str
    why: str = ""
    ms: float = 0.0
    grown_mb: float = 0.0  # highest so far, over what the process had at the start


def peak_mb() -> float:
    """Return the most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def answer(number: int, seed: int) -> tuple[str, str]:
    name, data = mutant(number, seed)
    try:
        if name.startswith("dicom"):
            header_outcome(data)
        return outcome(data), ""
    except Exception as error:  # noqa: BLE001 - escaped exceptions are what this looks for
        return ESCAPE, f"{name}: {type(error).__name__}: {error}"[:300]


def work(numbers: range, seed: int, report: Connection) -> None:
    for data in seeds().values():
        outcome(data)
    before = peak_mb()
    report.send(None)
    for number in numbers:
        started = time.perf_counter()
        kind, why = answer(number, seed)
        ms = 1000 * (time.perf_counter() - started)
        report.send(Answer(number, kind, why, ms, peak_mb() - before))


def answers(numbers: range, seed: int) -> Iterator[Answer]:
    """Yield an answer a mutant, even if the process that reads them ends."""
    context = multiprocessing.get_context("spawn")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(numbers, seed, theirs))
        process.start()
        theirs.close()
        try:
            if ours.poll(2 * HANG_SECONDS):
                ours.recv()
            while numbers and ours.poll(HANG_SECONDS):
                yield ours.recv()
                numbers = numbers[1:]
            why = "" if not numbers else f"no answer in {HANG_SECONDS:g} s"
        except EOFError:
            process.join()
            why = f"process ended with status {process.exitcode}"
        process.kill()
        process.join()
        if numbers:
            yield Answer(numbers[0], CRASH, why)
            numbers = numbers[1:]


def run(numbers: range, seed: int) -> int:
    for name, data in seeds().items():
        assert outcome(data) == IMAGE, f"'{name}' is no valid image before it is damaged"
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    slowest, largest = Answer(-1, ""), 0.0
    for result in answers(numbers, seed):
        kinds[result.kind] += 1
        slowest = max(slowest, result, key=lambda a: a.ms)
        largest = max(largest, result.grown_mb)
        if result.kind in (ESCAPE, CRASH):
            fields = ("number", "kind", "why")
            print(json.dumps({field: getattr(result, field) for field in fields}))
    totals = {
        "mutants": len(numbers),
        "images": kinds[IMAGE],
        "rejected": kinds[REJECTED],
        "escapes": kinds[ESCAPE],
        "crashes": kinds[CRASH],
        "peak_mb": round(largest),
        "slowest_ms": round(slowest.ms),
        "slowest": slowest.number,
        "seconds": round(time.perf_counter() - started),
        "seed": seed,
    }
    print(json.dumps(totals))
    return verdict(kinds, largest)


def verdict(kinds: Counter[str], largest_mb: float) -> int:
    """Return the exit status."""
    return 1 if kinds[ESCAPE] or kinds[CRASH] or largest_mb > MOST_MB else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="read this one only")
    options = parser.parse_args()
    only = options.only
    numbers = range(options.mutants) if only is None else range(only, only + 1)
    return run(numbers, options.seed)


if __name__ == "__main__":
    sys.exit(main())
