"""What the lung network sees of films, of films put wrongly, and of pictures of other things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import imaging, phantoms
from covid_cxr.inference.input_check import NO_CHEST, pooled
from covid_cxr.inference.lungs import LungFinder, lungs_of
from covid_cxr.progress import report
from covid_cxr.types import FINDINGS, BoolArray, FloatArray
from research.input_check import other_pictures
from research.input_check.transforms import AS_IS, WRONG, changed, reason_of, varied
from research.lung_segmentation.export import SPEC

PHANTOMS, PICTURES, OTHERS = "drawn chests", "pictures", "others"  # looks at no films
_AT_ONCE = 16


@dataclass(frozen=True)
class Samples:
    """N looks of the network.

    Attributes:
        rows: source, patient_id, view, split, family, kind, change, varied (bool), reason ("" for
            what must be answered), a row a look.
        features: float16 (N, D), pooled.
        unseen: bool (N,), lungs were not found.
    """

    rows: pd.DataFrame
    features: NDArray[np.float16]
    unseen: BoolArray

    def where(self, kept: pd.Series | BoolArray) -> Samples:
        """Return the looks for which `kept` (N,) holds."""
        chosen = np.asarray(kept, dtype=np.bool_)
        rows = self.rows[chosen].reset_index(drop=True)
        return Samples(rows, self.features[chosen], self.unseen[chosen])


def joined(parts: Sequence[Samples]) -> Samples:
    """Return all looks as one table."""
    return Samples(
        pd.concat([each.rows for each in parts], ignore_index=True).fillna(""),
        np.concatenate([each.features for each in parts]),
        np.concatenate([each.unseen for each in parts]),
    )


def of_films(
    finder: LungFinder,
    cohort: pd.DataFrame,
    data_root: Path,
    seed: int,
) -> Samples:
    """Look at every film of `cohort` as it is, varied, and put wrongly in each way.

    Each film is varied once, and one such film in turn is put wrongly in one of the ways.
    """
    parts = []
    for start in range(0, len(cohort), _AT_ONCE):
        rows = cohort.iloc[start : start + _AT_ONCE]
        films = [imaging.read(data_root / path).pixels for path in rows["path"]]
        kept = rows[["source", "patient_id", "view", "split"]].to_dict("records")
        parts.append(_of_upright(finder, films, kept, (seed, start)))
        report("analysing radiographs", start + len(rows), len(cohort))
    return joined(parts)


def of_phantoms(finder: LungFinder, count: int, seed: int) -> Samples:
    """Look at drawn chests, as the demo uses them, in the same ways; they are measured alone."""
    sites = [hospital.name for hospital in phantoms.HOSPITALS]
    parts = []
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        films = [
            phantoms.draw(FINDINGS[n % 3], seed * 10_000 + n, hospital=sites[n % len(sites)]).pixels
            for n in numbers
        ]
        told = [{"source": PHANTOMS, "patient_id": str(n), "split": "test"} for n in numbers]
        parts.append(_of_upright(finder, films, told, (seed, start)))
    return joined(parts)


def of_pictures(finder: LungFinder, count: int, seed: int) -> Samples:
    """Look at `count` pictures of each kind that is no chest film."""
    parts = []
    for family, kinds in other_pictures.FAMILIES.items():
        for kind in kinds:
            told = {"source": PICTURES, "split": "train", "family": family, "kind": kind}
            parts.append(_of_others(finder, other_pictures.draw(kind, count, seed), told))
            report("drawing pictures", len(parts), len(other_pictures.KINDS))
    return joined(parts)


def of_folder(finder: LungFinder, folder: Path) -> Samples | None:
    """Look at pictures that are no chest film, one folder a kind; they are measured alone."""
    parts = []
    for kind in sorted(each for each in folder.iterdir() if each.is_dir()):
        found = [imaging.read(file).pixels for file in sorted(kind.iterdir())]
        told = {"source": OTHERS, "split": "test", "family": OTHERS, "kind": kind.name}
        parts.append(_of_others(finder, found, told))
    return joined(parts) if parts else None


def _of_upright(
    finder: LungFinder,
    films: Sequence[FloatArray],
    told: Sequence[Mapping[str, Any]],
    seed: tuple[int, int],
) -> Samples:
    grids = np.stack([imaging.preprocess(film, SPEC) for film in films])
    other = varied(grids, int(np.random.SeedSequence(seed).generate_state(1)[0]))
    parts = [_looked(finder, grids, told, AS_IS, False), _looked(finder, other, told, AS_IS, True)]
    for number, change in enumerate(WRONG):
        wrong = np.stack([imaging.preprocess(changed(film, change), SPEC) for film in films])
        parts.append(_looked(finder, wrong, told, change, False))
        chosen = [i for i in range(len(films)) if (seed[1] + i) % len(WRONG) == number]
        if chosen:
            worse = [imaging.preprocess(changed(other[i, 0], change), SPEC) for i in chosen]
            rows = [told[i] for i in chosen]
            parts.append(_looked(finder, np.stack(worse), rows, change, True))
    return joined(parts)


def _looked(
    finder: LungFinder,
    grids: FloatArray,
    told: Sequence[Mapping[str, Any]],
    change: str,
    is_varied: bool,
) -> Samples:
    more = {"change": change, "varied": is_varied, "reason": reason_of(change)}
    return _seen(finder, grids, [{**each, **more} for each in told])


def _of_others(finder: LungFinder, found: Sequence[FloatArray], told: Mapping[str, Any]) -> Samples:
    grids = np.stack([imaging.preprocess(each, SPEC) for each in found])
    more = {"change": AS_IS, "varied": False, "reason": NO_CHEST}
    return _seen(finder, grids, [{**told, **more}] * len(found))


def _seen(finder: LungFinder, grids: FloatArray, rows: list[dict[str, Any]]) -> Samples:
    features, unseen = [], []
    for batch in _batches(grids):
        masks, found = finder.see(batch)
        features.append(pooled(found).astype(np.float16))
        unseen += [lungs_of(each) is None for each in masks]
    return Samples(pd.DataFrame(rows), np.concatenate(features), np.array(unseen, dtype=np.bool_))


def _batches(grids: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(grids), _AT_ONCE):
        yield np.ascontiguousarray(grids[start : start + _AT_ONCE])
