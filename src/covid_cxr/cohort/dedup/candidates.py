"""Which pairs of many fingerprints are worth a close look, without comparing all with all.

Fingerprints are averaged to 8 x 8, and the cohort's own principal components make of that 48
numbers in which chests in general lie at the centre and only what is particular to a film is left.
An inverted file (Sivic and Zisserman, ICCV 2003) deals films out to the cells of 4 sqrt(n) pivots;
each film is compared with those of the 64 cells nearest to it, so work grows with n sqrt(n).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covid_cxr.cohort.dedup.fingerprint import Fingerprint

_COARSE = 8
_COMPONENTS = 48
_NEIGHBOURS = 12
_FEWER, _MANY = 8, 20_000  # above so many films fewer neighbours, to end within minutes
_PROBES = 64
_ALL_PAIRS = 200  # so few are compared all with all; components of so few would be noise
_ROWS = 4096
Vectors = NDArray[np.float32]
Pairs = NDArray[np.int64]


def candidate_pairs(prints: Fingerprint, asked: Pairs | None = None) -> Pairs:
    """Return pairs (m, 2) of row numbers, first below second, each once and sorted.

    Args:
        prints: fingerprints uint8 (n, 64, 64), in an order that does not depend on that of the
            cohort's rows; the same order gives the same pairs.
        asked: the rows whose neighbours are wanted; None for all.
    """
    n = len(prints)
    asked = np.arange(n) if asked is None else asked
    if n <= _ALL_PAIRS:
        pairs = np.stack(np.triu_indices(n, 1), axis=1)
        return np.asarray(pairs[np.isin(pairs, asked).any(axis=1)])
    near = _nearest(_vectors(prints), asked)
    found = np.stack((np.repeat(asked, near.shape[1]), near.ravel()), axis=1)
    found = np.sort(found[found[:, 1] >= 0], axis=1)
    return np.unique(found[found[:, 0] != found[:, 1]], axis=0)


def _vectors(prints: Fingerprint) -> Vectors:
    """Return unit vectors (n, 48): whitened principal components of the averaged fingerprints."""
    starts = range(0, len(prints), _ROWS)
    coarse = np.concatenate([_averaged(prints[i : i + _ROWS]) for i in starts])
    coarse -= coarse.mean(0)
    spread, axes = np.linalg.eigh(coarse.T @ coarse / len(coarse))
    kept = slice(-1, -_COMPONENTS - 1, -1)
    vectors = coarse @ axes[:, kept] / np.sqrt(np.maximum(spread[kept], 1e-3))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6), np.float32)


def _averaged(prints: Fingerprint) -> Vectors:
    edge = prints.shape[1] // _COARSE
    blocks = prints.reshape(len(prints), _COARSE, edge, _COARSE, edge)
    return np.asarray(blocks.mean((2, 4), dtype=np.float32)).reshape(len(prints), -1)


def _nearest(vectors: Vectors, asked: Pairs) -> Pairs:
    """Return the rows (m, 12 or 8) nearest to each that is asked, -1 where fewer were met."""
    n = len(vectors)
    pivots = vectors[np.random.default_rng(0).permutation(n)[: 4 * math.isqrt(n)]]
    probes = min(_PROBES, len(pivots))
    order = np.concatenate(
        [_closest_cells(vectors[i : i + _ROWS], pivots, probes) for i in range(0, n, _ROWS)]
    )
    members = np.argsort(order[:, 0], kind="stable")
    bounds = np.searchsorted(order[members, 0], np.arange(len(pivots) + 1))
    cells = [members[bounds[i] : bounds[i + 1]] for i in range(len(pivots))]
    return _search(vectors, asked, order[asked], cells)


def _closest_cells(vectors: Vectors, pivots: Vectors, probes: int) -> Pairs:
    likeness = vectors @ pivots.T
    best = np.argpartition(-likeness, probes - 1, axis=1)[:, :probes]
    ranked = np.argsort(-np.take_along_axis(likeness, best, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(best, ranked, axis=1))


def _search(vectors: Vectors, asked: Pairs, order: Pairs, cells: list[Pairs]) -> Pairs:
    most = _NEIGHBOURS if len(vectors) <= _MANY else _FEWER
    near = np.full((len(asked), most), -1, np.int64)
    for place, (row, probed) in enumerate(zip(asked, order, strict=True)):
        met = np.concatenate([cells[cell] for cell in probed])
        likeness = vectors[met] @ vectors[row]
        likeness[met == row] = -2  # nobody is his own copy
        count = min(most, len(met) - 1)
        if count:
            near[place, :count] = met[np.argpartition(-likeness, count - 1)[:count]]
    return near
