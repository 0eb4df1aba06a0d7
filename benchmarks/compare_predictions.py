"""Compare two tables of predictions for the same files: are the answers what they were?

    python benchmarks/compare_predictions.py OLD.csv NEW.csv

Compares status, predicted class, flags and probabilities of every file in NEW.csv, and prints
counts and the largest difference of a probability. Flags are compared under the new names that
`renamed_flags.csv` gives them. Exit status 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

RENAMED_FLAGS = Path(__file__).with_name("renamed_flags.csv")
TOLERANCE = 1e-6  # of a probability; tables hold six decimals
Row = Mapping[str, str]


def read(path: Path) -> dict[str, Row]:
    with path.open(newline="", encoding="utf-8") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


@cache
def renamed() -> dict[str, str]:
    with RENAMED_FLAGS.open(newline="", encoding="utf-8") as stream:
        return {row["old"]: row["new"] for row in csv.DictReader(stream)}


def flags(row: Row) -> list[str]:
    return [renamed().get(flag, flag) for flag in row["flags"].split("; ")]


def largest_difference(old: Row, new: Row) -> float:
    """Return the largest difference of a probability, infinite where only one row has it."""
    names = {name for name in (*old, *new) if name.startswith("probability_")}
    pairs = [(old.get(name, ""), new.get(name, "")) for name in names]
    if any(bool(before) != bool(after) for before, after in pairs):
        return float("inf")
    return max((abs(float(before) - float(after)) for before, after in pairs if before), default=0)


def differences(old: Row, new: Row) -> list[str]:
    """Return in what two rows differ."""
    different = [name for name in ("status", "predicted_class") if old[name] != new[name]]
    if flags(old) != flags(new):
        different.append("flags")
    if round(largest_difference(old, new), 9) > TOLERANCE:
        different.append("probability")
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    old, new = read(given.old), read(given.new)
    differing = {
        file: differences(old[file], row) if file in old else ["only in the new table"]
        for file, row in new.items()
    }
    counts = Counter(name for names in differing.values() for name in names)
    both = [(old[file], row) for file, row in new.items() if file in old]
    largest = max((largest_difference(*pair) for pair in both), default=0)
    result = {
        "compared": len(both),
        "only_in_old": len(old.keys() - new.keys()),
        "status": dict(Counter(row["status"] for row in new.values())),
        "different": dict(counts),
        "largest_difference": round(largest, 9),
        "model": sorted({row["model"] for row in new.values()}),
    }
    for file in [file for file, names in differing.items() if names][:20]:
        print(f"{file}: {', '.join(differing[file])}")
    for name, value in result.items():
        print(f"{name:20} {value}")
    if given.json:
        print(json.dumps(result))
    return 1 if counts or not both else 0


if __name__ == "__main__":
    sys.exit(main())
