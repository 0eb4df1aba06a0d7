"""Random splits and folds over patients and duplicates, stratified by source and finding."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from covid_cxr.config import CohortConfig
from covid_cxr.errors import CohortError
from covid_cxr.types import FINDINGS

_SEVERITY: Mapping[str, int] = {finding: rank for rank, finding in enumerate(FINDINGS)}


def components(cohort: pd.DataFrame) -> pd.Series:
    """Return a component number a row: rows of a patient or duplicate group belong together.

    Excluded rows take part: an excluded copy shows that its patient is also the other's.
    The columns `patient_id`, `duplicate_group` and `sha256` are read; "" connects nothing.
    """
    n = len(cohort)
    rows, keys, offset = [], [], n
    for column in ("patient_id", "duplicate_group", "sha256"):
        filled = np.flatnonzero((cohort[column] != "").to_numpy())
        codes, values = pd.factorize(cohort[column].iloc[filled])
        rows.append(filled)
        keys.append(codes + offset)
        offset += len(values)
    edges = (np.concatenate(rows), np.concatenate(keys))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(offset, offset))
    _, labels = connected_components(graph, directed=False)
    return pd.Series(labels[:n], index=cohort.index, name="component")


def assign(cohort: pd.DataFrame, config: CohortConfig, seed: int) -> pd.Series:
    """Return the split of every row: train, val, test, external or excluded.

    Whole components are assigned, within a stratum of source and most severe finding, so that
    the shares of images come as near to the configured ones as whole components allow. The order
    of rows plays no part, and adding a source leaves the split of the others as it was.

    Args:
        cohort: with `image_id, source, patient_id, finding, sha256, duplicate_group, exclusion`.
        config: shares, and the sources that stay out as `external`.
        seed: of the draw.
    """
    split = pd.Series("excluded", index=cohort.index, dtype="str", name="split")
    included = cohort["exclusion"] == ""
    external = cohort["source"].isin(config.external)
    split[included & external] = "external"
    shares = (config.train, config.val, config.test)
    dealt = deal(cohort, included & ~external, shares, seed)
    split[dealt.index] = dealt.map(dict(enumerate(("train", "val", "test"))))
    return split


def grouped_folds(cohort: pd.DataFrame, k: int, seed: int) -> pd.Series:
    """Return the fold number (0..k-1) of every row in train and val; other rows are not in it.

    Folds keep components whole and are stratified like the split; they serve out-of-fold scores.

    Raises:
        CohortError: k is under 2 or there are fewer components than folds.
    """
    chosen = cohort["split"].isin(("train", "val"))
    groups = components(cohort)[chosen].nunique()
    if not 2 <= k <= groups:
        raise CohortError(f"{k} folds over {groups} patients: expected 2 to {groups} folds")
    return deal(cohort, chosen, [1 / k] * k, seed).rename("fold")


def deal(cohort: pd.DataFrame, chosen: pd.Series, shares: Sequence[float], seed: int) -> pd.Series:
    """Return, for the chosen rows, the number of the share that each row's component fell to.

    Args:
        cohort: with `image_id, source, patient_id, finding, sha256, duplicate_group`.
        chosen: bool a row; the others link components but are not dealt.
        shares: sum to 1.
        seed: of the draw.
    """
    rows = cohort.loc[chosen, ["image_id", "source", "finding"]]
    rows = rows.assign(component=components(cohort)[chosen], rank=rows["finding"].map(_SEVERITY))
    # The worst finding of the component, and the source that shows it, make its stratum. Sorted by
    # image, the groups have an order that does not depend on that of the rows.
    rows = rows.sort_values(["rank", "source", "image_id"], ascending=[False, True, True])
    groups = rows.groupby("component", sort=False).agg(
        source=("source", "first"),
        finding=("finding", "first"),
        size=("image_id", "size"),
    )
    answer = pd.Series(0, index=groups.index)
    for (source, finding), stratum in groups.groupby(["source", "finding"]):
        rng = np.random.default_rng([seed, zlib.crc32(f"{source}\n{finding}".encode())])
        answer[stratum.index] = _apportion(stratum["size"].to_numpy(), shares, rng)
    return rows["component"].map(answer).reindex(cohort.index[chosen])


def _apportion(
    sizes: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign components, large ones first, by Sainte-Lague's rule; equal sizes are shuffled.

    Each goes where (images there + half its own) / share is least, which keeps the shares
    unbiased within every size, so that patients with many images do not all end in train.
    """
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    # A random order of the shares breaks ties, else the first fold would be the largest.
    places = rng.permutation(len(shares))
    share = np.asarray(shares)[places]
    filled = np.zeros(len(shares))
    answer = np.zeros(len(sizes), dtype=np.int64)
    for component in order:
        best = int(np.argmin((filled + sizes[component] / 2) / share))
        filled[best] += sizes[component]
        answer[component] = places[best]
    return answer
