"""Features of radiographs as they are, wrongly oriented or inverted, and of other images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from covid_cxr import imaging, phantoms
from covid_cxr.inference.input_check import NO_CHEST
from covid_cxr.inference.lungs import FEATURES, MASKS, LungSegmenter, lungs_of
from covid_cxr.progress import report, track
from covid_cxr.types import FINDINGS, BoolArray, FloatArray
from research.input_check import other_pictures
from research.input_check.transforms import TRANSFORMS, UNCHANGED, reason_of, transformed, varied
from research.lung_segmentation.export import SPEC

PHANTOMS, PICTURES, OTHERS = "drawn phantoms", "pictures", "others"  # sources without radiographs
_BATCH = 16


@dataclass(frozen=True)
class Samples:
    """What the lung network computes of N images.

    Attributes:
        rows: source, patient_id, view, split, family, kind, transform, varied (bool), reason (""
            for what must be answered), a row a sample.
        features: float16 (N, D), pooled.
        lungs_found: bool (N,).
    """

    rows: pd.DataFrame
    features: NDArray[np.float16]
    lungs_found: BoolArray

    def where(self, condition: pd.Series | BoolArray) -> Samples:
        """Return the samples for which `condition` (N,) holds."""
        chosen = np.asarray(condition, dtype=np.bool_)
        rows = self.rows[chosen].reset_index(drop=True)
        return Samples(rows, self.features[chosen], self.lungs_found[chosen])


def pooled(features: FloatArray) -> FloatArray:
    """Return (N, D) of features (N, C, h, w): every row kept, each column with its mirror image.

    An image and its mirror image have the same pooled features.
    """
    both = (features + features[..., ::-1])[..., : pooled_columns(features.shape[3])] / 2
    return np.asarray(both.reshape(len(features), -1), np.float32)


def pooled_columns(width: int) -> int:
    """Return the number of columns that `pooled` leaves."""
    return (width + 1) // 2


def feature_shape(segmenter: LungSegmenter) -> tuple[int, int, int]:
    """Return C, h, w of a network's features."""
    blank = np.zeros((1, 1, SPEC.size, SPEC.size), np.float32)
    channels, height, width = segmenter.outputs(blank, FEATURES)[0].shape[1:]
    return channels, height, width


def joined(parts: Sequence[Samples]) -> Samples:
    """Return all samples as one table."""
    return Samples(
        pd.concat([part.rows for part in parts], ignore_index=True).fillna(""),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.lungs_found for part in parts]),
    )


def of_cohort(
    segmenter: LungSegmenter, cohort: pd.DataFrame, data_root: Path, seed: int
) -> Samples:
    """Sample every radiograph of `cohort` as it is, varied, and wrong in each way.

    Each radiograph is varied once, and each varied one is made wrong in one of the ways in turn.
    """
    parts = []
    for start in range(0, len(cohort), _BATCH):
        rows = cohort.iloc[start : start + _BATCH]
        radiographs = [imaging.read(data_root / path).pixels for path in rows["path"]]
        records = rows[["source", "patient_id", "view", "split"]].to_dict("records")
        parts.append(_of_upright(segmenter, radiographs, records, (seed, start)))
        report("analysing radiographs", start + len(rows), len(cohort))
    return joined(parts)


def of_phantoms(segmenter: LungSegmenter, count: int, seed: int) -> Samples:
    """Sample phantoms, as the demo uses them, in the same ways; they are measured alone."""
    sites = [hospital.name for hospital in phantoms.HOSPITALS]
    parts = []
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        radiographs = [
            phantoms.draw(FINDINGS[n % 3], seed * 10_000 + n, hospital=sites[n % len(sites)]).pixels
            for n in numbers
        ]
        records = [{"source": PHANTOMS, "patient_id": str(n), "split": "test"} for n in numbers]
        parts.append(_of_upright(segmenter, radiographs, records, (seed, start)))
    return joined(parts)


def of_pictures(segmenter: LungSegmenter, count: int, seed: int) -> Samples:
    """Sample `count` pictures of each kind that is no chest radiograph."""
    families = {kind: family for family, kinds in other_pictures.FAMILIES.items() for kind in kinds}
    parts = []
    for kind, family in track(families.items(), "drawing pictures", len(families)):
        record = {"source": PICTURES, "split": "train", "family": family, "kind": kind}
        parts.append(_of_others(segmenter, other_pictures.draw(kind, count, seed), record))
    return joined(parts)


def of_folder(segmenter: LungSegmenter, folder: Path) -> Samples | None:
    """Sample pictures that are no chest radiograph, one folder a kind; they are measured alone."""
    parts = []
    for kind in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        pictures = [imaging.read(file).pixels for file in sorted(kind.iterdir())]
        record = {"source": OTHERS, "split": "test", "family": OTHERS, "kind": kind.name}
        parts.append(_of_others(segmenter, pictures, record))
    return joined(parts) if parts else None


def _of_upright(
    segmenter: LungSegmenter,
    radiographs: Sequence[FloatArray],
    records: Sequence[Mapping[str, Any]],
    seed: tuple[int, int],
) -> Samples:
    inputs = np.stack([imaging.preprocess(pixels, SPEC) for pixels in radiographs])
    variants = varied(inputs, int(np.random.SeedSequence(seed).generate_state(1)[0]))
    parts = [
        _of_transformed(segmenter, inputs, records, UNCHANGED, False),
        _of_transformed(segmenter, variants, records, UNCHANGED, True),
    ]
    for number, name in enumerate(TRANSFORMS):
        wrong = [imaging.preprocess(transformed(pixels, name), SPEC) for pixels in radiographs]
        parts.append(_of_transformed(segmenter, np.stack(wrong), records, name, False))
        turn = [i for i in range(len(records)) if (seed[1] + i) % len(TRANSFORMS) == number]
        if turn:
            wrong = [imaging.preprocess(transformed(variants[i, 0], name), SPEC) for i in turn]
            chosen = [records[i] for i in turn]
            parts.append(_of_transformed(segmenter, np.stack(wrong), chosen, name, True))
    return joined(parts)


def _of_transformed(
    segmenter: LungSegmenter,
    inputs: FloatArray,
    records: Sequence[Mapping[str, Any]],
    transform: str,
    is_varied: bool,
) -> Samples:
    more = {"transform": transform, "varied": is_varied, "reason": reason_of(transform)}
    return _sampled(segmenter, inputs, [{**record, **more} for record in records])


def _of_others(
    segmenter: LungSegmenter, pictures: Sequence[FloatArray], record: Mapping[str, Any]
) -> Samples:
    inputs = np.stack([imaging.preprocess(pixels, SPEC) for pixels in pictures])
    more = {"transform": UNCHANGED, "varied": False, "reason": NO_CHEST}
    return _sampled(segmenter, inputs, [{**record, **more}] * len(pictures))


def _sampled(segmenter: LungSegmenter, inputs: FloatArray, rows: list[dict[str, Any]]) -> Samples:
    features, lungs_found = [], []
    for batch in _batches(inputs):
        masks, maps = segmenter.outputs(batch, MASKS, FEATURES)
        features.append(pooled(maps).astype(np.float16))
        lungs_found += [lungs_of(both) is not None for both in masks]
    return Samples(
        pd.DataFrame(rows), np.concatenate(features), np.array(lungs_found, dtype=np.bool_)
    )


def _batches(inputs: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(inputs), _BATCH):
        yield np.ascontiguousarray(inputs[start : start + _BATCH])
