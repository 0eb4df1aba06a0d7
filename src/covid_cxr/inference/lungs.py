"""Segments the lungs and runs the input check, with one small network; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
from pydantic import ValidationError

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec, Strict
from covid_cxr.errors import BundleError
from covid_cxr.files import sha256_of
from covid_cxr.imaging.morphology import bounds
from covid_cxr.inference.input_check import InputCheck, warnings_of
from covid_cxr.inference.runtime import open_session
from covid_cxr.models.bundle import SHIPPED_LUNGS
from covid_cxr.models.manifest import LUNGS, LUNGS_MANIFEST
from covid_cxr.types import BoolArray, FloatArray, Lungs

GRAPH, MANIFEST, CARD = LUNGS, LUNGS_MANIFEST, "LUNGS_CARD.md"
MASKS, FEATURES = "probabilities", "features"  # outputs of the graph
REASON_LOGITS, DISTANCE = "reason_logits", "distance"  # and of one with an input check
# Limits of what can be lungs. Of 207 radiographs of four sources all but one keep within them.
_SMALLEST = 0.04  # share of the image that each lung covers at least
_UNCERTAIN = 0.45  # largest part of the lungs' area with a probability from 0.1 to 0.9
_LEVEL = 0.6  # least share of their common height at which both lungs stand
_BATCH = 16


class LungManifest(Strict):
    """What the network is, and how well it does on patients that it was not trained on.

    Attributes:
        sha256: of lungs.onnx.
        input_check: reasons and limits; None where the graph has no input check yet.
    """

    id: str
    sha256: str
    input_check: InputCheck | None = None
    preprocess: PreprocessSpec
    created: str
    command: str
    metrics: dict[str, Any]


class Analysis(NamedTuple):
    """What the lung network says of a radiograph.

    Attributes:
        lungs: None where they were not found.
        rejection: why this is no upright frontal chest radiograph; None where it is one.
        warnings: what a reader should know of the radiograph.
    """

    lungs: Lungs | None
    rejection: str | None
    warnings: tuple[str, ...]


class LungSegmenter:
    """A lung network, opened.

    Args:
        folder: holds `lungs.onnx` and `lungs.json`; None for the one that ships.
        threads: CPU threads; None for all cores.

    Raises:
        BundleError: a file is missing or was altered.
    """

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        self._folder = folder or SHIPPED_LUNGS
        self.manifest = _read_manifest(self._folder)
        self._session = open_session(self._folder / GRAPH, threads)

    def segment(self, radiographs: Sequence[FloatArray]) -> list[Lungs | None]:
        """Return the lungs of radiographs (H, W) in [0, 1]; None where none were found.

        Lungs count as found if each covers 4 % of the image, their borders are clear, both stand
        at one height, and the patient's right one lies on the left. An image that shows no chest,
        or one that lies on its side, has blurred or scattered borders.
        """
        return [
            lungs_of(masks)
            for batch in self._batches(radiographs)
            for masks in self.probabilities(batch)
        ]

    def analyse(self, radiographs: Sequence[FloatArray]) -> list[Analysis]:
        """Segment the lungs of radiographs (H, W) and check them, in one pass of the network.

        Raises:
            BundleError: the network has no input check.
        """
        inputs = (self.prepare(pixels) for pixels in radiographs)
        return self.analyse_inputs(zip(inputs, radiographs, strict=True))

    def prepare(self, pixels: FloatArray) -> FloatArray:
        """Return the network's input (1, S, S) of a radiograph (H, W) in [0, 1]."""
        return imaging.preprocess(pixels, self.manifest.preprocess)

    def analyse_inputs(self, inputs: Iterable[tuple[FloatArray, FloatArray]]) -> list[Analysis]:
        """Analyse radiographs of which only this is left.

        Args:
            inputs: of each radiograph what `prepare` returns, and itself or its `sample_of`.

        Raises:
            BundleError: the network has no input check.
        """
        check = self.manifest.input_check
        if check is None:
            raise BundleError(
                f"the lung network in '{self._folder}' has no input check; "
                "fit one with python -m research.input_check"
            )
        pairs = list(inputs)
        lungs: list[Lungs | None] = []
        rejections: list[str | None] = []
        for start in range(0, len(pairs), _BATCH):
            batch = np.stack([prepared for prepared, _ in pairs[start : start + _BATCH]])
            masks, logits, distances = self.outputs(batch, MASKS, REASON_LOGITS, DISTANCE)
            lungs += [lungs_of(both) for both in masks]
            lungs_found = [both is not None for both in lungs[-len(batch) :]]
            rejections += check.rejections(logits, distances, lungs_found)
        return [
            Analysis(both, rejection, warnings_of(sample, both))
            for (_, sample), both, rejection in zip(pairs, lungs, rejections, strict=True)
        ]

    def probabilities(self, batch: FloatArray) -> FloatArray:
        """Return (N, 2, S, S) of preprocessed radiographs (N, 1, S, S): right lung, left lung."""
        return self.outputs(batch, MASKS)[0]

    def outputs(self, batch: FloatArray, *names: str) -> list[FloatArray]:
        """Return the named outputs of the graph for preprocessed radiographs (N, 1, S, S).

        Raises:
            BundleError: the graph has no such output.
        """
        missing = set(names) - {output.name for output in self._session.get_outputs()}
        if missing:
            raise BundleError(
                f"'{self._folder / GRAPH}' has no output '{min(missing)}'; "
                "fit its input check with python -m research.input_check"
            )
        arrays: list[FloatArray] = self._session.run(list(names), {"images": batch})
        return arrays

    def _batches(self, radiographs: Sequence[FloatArray]) -> Iterator[FloatArray]:
        for start in range(0, len(radiographs), _BATCH):
            chunk = radiographs[start : start + _BATCH]
            yield np.stack([self.prepare(pixels) for pixels in chunk])


def lungs_of(probabilities: FloatArray) -> Lungs | None:
    """Return the lungs in a network's output (2, S, S); None if they cannot be lungs."""
    right, left = (_largest_piece(lung > 0.5) for lung in probabilities)
    area = float(right.mean() + left.mean())
    if min(right.mean(), left.mean()) < _SMALLEST:
        return None
    doubtful = (probabilities > 0.1) & (probabilities < 0.9)
    uncertain = (doubtful[0] | doubtful[1]).mean()
    in_order = _middle(right) < _middle(left)
    if uncertain > _UNCERTAIN * area or _common_height(right, left) < _LEVEL or not in_order:
        return None
    return Lungs(right, left)


def _middle(mask: BoolArray) -> float:
    """Return the mean column of a mask (H, W) that is not empty."""
    columns = np.count_nonzero(mask, axis=0)
    return float(columns @ np.arange(len(columns)) / columns.sum())


def _common_height(right: BoolArray, left: BoolArray) -> float:
    """Return the rows that both lungs reach over the rows that either does."""
    rows = right.any(axis=1), left.any(axis=1)
    return float((rows[0] & rows[1]).sum() / (rows[0] | rows[1]).sum())


def _largest_piece(mask: BoolArray) -> BoolArray:
    """Keep the largest piece, holes filled."""
    piece_mask, box = np.zeros_like(mask), bounds(mask)
    piece = mask[box]
    numbers, count = scipy.ndimage.label(piece)
    if count > 1:
        piece = numbers == np.bincount(numbers.ravel())[1:].argmax() + 1
    # As `binary_fill_holes`, in a third of the time: outside is what a rim around it touches.
    outside, _ = scipy.ndimage.label(np.pad(~piece, 1, constant_values=True))
    piece_mask[box] = outside[1:-1, 1:-1] != outside[0, 0]
    return piece_mask


def _read_manifest(folder: Path) -> LungManifest:
    try:
        raw = json.loads((folder / MANIFEST).read_text("utf-8"))
        manifest = LungManifest.model_validate(raw)
        intact = sha256_of(folder / GRAPH) == manifest.sha256
    except (OSError, ValueError, ValidationError) as error:
        raise BundleError(
            f"'{folder}' holds no lung network that can be read ({GRAPH}, {MANIFEST}); "
            "copy it again, or make one with python -m research.lung_segmentation"
        ) from error
    if not intact:
        raise BundleError(f"'{folder / GRAPH}' was altered (sha256 differs); copy it again")
    return manifest
