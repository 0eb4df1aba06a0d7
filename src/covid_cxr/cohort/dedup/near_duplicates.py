"""Which films of many are copies of each other: looked up, laid over, and looked up once more.

The index answers with a film's twelve nearest. Where a film lies there in fourteen variants, they
fill each other's twelve, and those of whoever lies near, and a crop of the same film goes unseen.
So each group that is found is stood for by one film, and the films whose places its members took
are looked up again, until no search finds a copy that was not known.
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
_ROUNDS = 10  # each takes what the last left; two or three are what real collections need
# A film and its one copy take a place from each other; that is no reason to look again.
_PLACES_LOST = 2
Pairs = NDArray[np.int64]
logger = logging.getLogger(__name__)


def find(prints: Fingerprint) -> pd.DataFrame:
    """Return `first, second, similarity` of row numbers of films that are copies, sorted.

    Args:
        prints: fingerprints uint8 (n, 64, 64), in an order that does not depend on that of the
            cohort's rows; the same order gives the same pairs.
    """
    compared = np.empty((0, 2), np.int64)
    found = [_table(compared, np.empty(0, np.float32))]
    rows, asked = np.arange(len(prints)), None
    for _ in range(_ROUNDS):
        met = rows[candidate_pairs(prints[rows], asked)]
        fresh = _without(met, compared, len(prints))
        found.append(_copies(prints, fresh, len(compared)))
        compared = np.concatenate((compared, fresh))
        group = groups(pd.concat(found), len(prints))
        rows = np.unique(group, return_index=True)[1]
        asked = np.flatnonzero(np.isin(group[rows], _crowded(met, group)))
        if found[-1].empty or not len(asked):
            break
    else:
        logger.warning("after %d searches for copies there may still be some unseen", _ROUNDS)
    return pd.concat(found).sort_values(["first", "second"], ignore_index=True)


def groups(pairs: pd.DataFrame, count: int) -> Pairs:
    """Return a group number a film; copies of copies belong together.

    Args:
        pairs: `first, second`, row numbers.
        count: of all films.
    """
    edges = pairs[["first", "second"]].to_numpy().T
    graph = coo_array((np.ones(len(pairs)), edges), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _crowded(met: Pairs, group: Pairs) -> Pairs:
    """Return groups with a film that met its own or another group in several of its members."""
    both = np.concatenate((met, met[:, ::-1]))
    seen = pd.DataFrame({"film": both[:, 0], "group": group[both[:, 1]]})
    lost = seen.duplicated() | (seen["group"] == group[both[:, 0]])
    places = lost.groupby(seen["film"]).sum()
    return np.unique(group[places.index[places >= _PLACES_LOST].to_numpy(np.int64)])


def _without(pairs: Pairs, known: Pairs, count: int) -> Pairs:
    pairs, numbers = np.sort(pairs, axis=1), np.array([count, 1])
    return pairs[~np.isin(pairs @ numbers, known @ numbers)]


def _copies(prints: Fingerprint, pairs: Pairs, before: int) -> pd.DataFrame:
    found = np.empty(len(pairs), np.float32)
    for at in range(0, len(pairs), _BATCH):
        batch = pairs[at : at + _BATCH]
        found[at : at + _BATCH] = similarity(prints[batch[:, 0]], prints[batch[:, 1]])
        report("comparing radiographs", before + at + len(batch), before + len(pairs))
    copies = found >= COPY
    return _table(pairs[copies], found[copies])


def _table(pairs: Pairs, similarity: NDArray[np.float32]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=["first", "second"], dtype="int64")
    return table.assign(similarity=similarity)
