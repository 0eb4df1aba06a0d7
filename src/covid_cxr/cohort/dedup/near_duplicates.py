"""Near-duplicates among many images: candidates are searched, registered and searched once more.

The index returns an image's twelve nearest. If there are fourteen variants of one radiograph, they
fill each other's twelve, and those of other images nearby, and a crop of the same radiograph is
missed. So each group is represented by one image, and images whose candidates were taken up by a
group's members are searched again, until a search finds no new copy.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from covid_cxr.cohort.dedup.candidates import candidate_pairs
from covid_cxr.cohort.dedup.fingerprint import Fingerprint
from covid_cxr.cohort.dedup.registration import COPY, similarity
from covid_cxr.progress import report

_BATCH = 256
_ROUNDS = 10  # two or three are what real collections need
# An image and its only copy take a candidate from each other; that needs no further search.
_CROWDED = 2
Pairs = NDArray[np.int64]
logger = logging.getLogger(__name__)


def find(prints: Fingerprint) -> pd.DataFrame:
    """Return `first, second, similarity` of row numbers of images that are copies, sorted.

    Args:
        prints: fingerprints uint8 (n, 64, 64), in an order that does not depend on that of the
            cohort's rows; the same order gives the same pairs.
    """
    compared = np.empty((0, 2), np.int64)
    tables = [_table(compared, np.empty(0, np.float32))]
    rows, queries = np.arange(len(prints)), None
    for _ in range(_ROUNDS):
        pairs = rows[candidate_pairs(prints[rows], queries)]
        fresh = _without(pairs, compared, len(prints))
        tables.append(_registered(prints, fresh, len(compared)))
        compared = np.concatenate((compared, fresh))
        group = groups(pd.concat(tables), len(prints))
        rows = np.unique(group, return_index=True)[1]
        queries = np.flatnonzero(np.isin(group[rows], _crowded(pairs, group)))
        if tables[-1].empty or not len(queries):
            break
    else:
        logger.warning("after %d searches some copies may still be missed", _ROUNDS)
    return pd.concat(tables).sort_values(["first", "second"], ignore_index=True)


def groups(pairs: pd.DataFrame, count: int) -> Pairs:
    """Return a group number for each image; copies of copies belong together.

    Args:
        pairs: `first, second`, row numbers.
        count: of all images.
    """
    edges = pairs[["first", "second"]].to_numpy().T
    graph = coo_array((np.ones(len(pairs)), edges), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _crowded(pairs: Pairs, group: Pairs) -> Pairs:
    """Return groups of images with several candidates in one group, or in their own."""
    both = np.concatenate((pairs, pairs[:, ::-1]))
    table = pd.DataFrame({"image": both[:, 0], "group": group[both[:, 1]]})
    lost = table.duplicated() | (table["group"] == group[both[:, 0]])
    counts = lost.groupby(table["image"]).sum()
    return np.unique(group[counts.index[counts >= _CROWDED].to_numpy(np.int64)])


def _without(pairs: Pairs, compared: Pairs, count: int) -> Pairs:
    pairs, numbers = np.sort(pairs, axis=1), np.array([count, 1])
    return pairs[~np.isin(pairs @ numbers, compared @ numbers)]


def _registered(prints: Fingerprint, pairs: Pairs, before: int) -> pd.DataFrame:
    similarities = np.empty(len(pairs), np.float32)
    for at in range(0, len(pairs), _BATCH):
        batch = pairs[at : at + _BATCH]
        similarities[at : at + _BATCH] = similarity(prints[batch[:, 0]], prints[batch[:, 1]])
        report("comparing radiographs", before + at + len(batch), before + len(pairs))
    same = similarities >= COPY
    return _table(pairs[same], similarities[same])


def _table(pairs: Pairs, similarity: NDArray[np.float32]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=["first", "second"], dtype="int64")
    return table.assign(similarity=similarity)
