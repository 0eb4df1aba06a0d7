"""Few combinations of options that hold every pair of them."""

from __future__ import annotations

from itertools import combinations, product
from random import Random

Pair = tuple[tuple[str, object], tuple[str, object]]


def pairwise(options: dict[str, list[object]]) -> list[dict[str, object]]:
    """Return combinations in which any two values of two options meet; the same on every call.

    >>> len(pairwise({"a": [1, 2], "b": [1, 2], "c": [1, 2]}))
    4
    """
    names = [*options]
    rows = [*product(*options.values())]
    Random(0).shuffle(rows)
    left = {pair for row in rows for pair in _pairs(names, row)}
    chosen = []
    while left:
        best = max(rows[:200], key=lambda row: len(left & _pairs(names, row)))
        chosen.append(dict(zip(names, best, strict=True)))
        rows.remove(best)
        left -= _pairs(names, best)
    return chosen


def _pairs(names: list[str], row: tuple[object, ...]) -> set[Pair]:
    return {*combinations(zip(names, row, strict=True), 2)}
