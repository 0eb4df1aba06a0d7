"""Candidate pairs: which of many fingerprints to register, without comparing all with all.

Fingerprints are averaged to 8 x 8, and the cohort's own principal components make of that 48
numbers in which the average chest is at the centre and only what is particular to an image is left.
An inverted file (Sivic and Zisserman, ICCV 2003) assigns images to the cells of 4 sqrt(n) pivots;
each image is compared with those of the 64 cells nearest to it, so work grows with n sqrt(n).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from covid_cxr.cohort.dedup.fingerprint import Fingerprint

_COARSE = 8
_COMPONENTS = 48
_NEAREST = 12
_FEWER, _MANY = 8, 20_000  # above so many images fewer candidates, to end within minutes
_PROBES = 64
_ALL_PAIRS = 200  # so few are compared all with all; components of so few would be noise
_ROWS = 4096
Vectors = NDArray[np.float32]
Pairs = NDArray[np.int64]


def candidate_pairs(prints: Fingerprint, queries: Pairs | None = None) -> Pairs:
    """Return pairs (m, 2) of row numbers, first below second, each once and sorted.

    Args:
        prints: fingerprints uint8 (n, 64, 64), in an order that does not depend on that of the
            cohort's rows; the same order gives the same pairs.
        queries: the rows whose nearest ones are wanted; None for all.
    """
    n = len(prints)
    queries = np.arange(n) if queries is None else queries
    if n <= _ALL_PAIRS:
        pairs = np.stack(np.triu_indices(n, 1), axis=1)
        return np.asarray(pairs[np.isin(pairs, queries).any(axis=1)])
    near = _nearest(_vectors(prints), queries)
    pairs = np.stack((np.repeat(queries, near.shape[1]), near.ravel()), axis=1)
    pairs = np.sort(pairs[pairs[:, 1] >= 0], axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


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


def _nearest(vectors: Vectors, queries: Pairs) -> Pairs:
    """Return the rows (m, 12 or 8) nearest to each query, -1 where there are fewer."""
    n = len(vectors)
    pivots = vectors[np.random.default_rng(0).permutation(n)[: 4 * math.isqrt(n)]]
    probes = min(_PROBES, len(pivots))
    order = np.concatenate(
        [_closest_cells(vectors[i : i + _ROWS], pivots, probes) for i in range(0, n, _ROWS)]
    )
    members = np.argsort(order[:, 0], kind="stable")
    bounds = np.searchsorted(order[members, 0], np.arange(len(pivots) + 1))
    cells = [members[bounds[i] : bounds[i + 1]] for i in range(len(pivots))]
    return _search(vectors, queries, order[queries], cells)


def _closest_cells(vectors: Vectors, pivots: Vectors, probes: int) -> Pairs:
    similarity = vectors @ pivots.T
    best = np.argpartition(-similarity, probes - 1, axis=1)[:, :probes]
    ranked = np.argsort(-np.take_along_axis(similarity, best, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(best, ranked, axis=1))


def _search(vectors: Vectors, queries: Pairs, order: Pairs, cells: list[Pairs]) -> Pairs:
    most = _NEAREST if len(vectors) <= _MANY else _FEWER
    near = np.full((len(queries), most), -1, np.int64)
    for number, (row, probed) in enumerate(zip(queries, order, strict=True)):
        others = np.concatenate([cells[cell] for cell in probed])
        similarity = vectors[others] @ vectors[row]
        similarity[others == row] = -2  # an image is not a copy of itself
        count = min(most, len(others) - 1)
        if count:
            near[number, :count] = others[np.argpartition(-similarity, count - 1)[:count]]
    return near
