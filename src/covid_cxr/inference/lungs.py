"""Finds the lungs on a film, with the small network that ships in the package; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field, ValidationError
from scipy import ndimage

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec, Strict
from covid_cxr.errors import BundleError
from covid_cxr.files import sha256_of
from covid_cxr.imaging.regions import bounds
from covid_cxr.inference.input_check import Gate, remarks
from covid_cxr.inference.runtime import open_session
from covid_cxr.models.bundle import GATE, LUNGS, LUNGS_MANIFEST
from covid_cxr.types import BoolArray, FloatArray, Lungs

GRAPH, MANIFEST, CARD = LUNGS, LUNGS_MANIFEST, "LUNGS_CARD.md"
SHIPPED = Path(__file__).parents[1] / "bundles" / "lungs"
# Limits of what can be lungs. Of 207 films of four sources all but one keep within them.
_SMALLEST = 0.04  # share of the film that each lung covers at least
_UNSURE = 0.45  # most of the lungs' area that may be doubtful: probability from 0.1 to 0.9
_LEVEL = 0.6  # least share of their common height at which both lungs stand
_BATCH = 16
FEATURES = "features"  # the graph's second output, which the gate judges; older ones lack it


class LungManifest(Strict):
    """What the network is, and how well it does on patients that it was not trained on."""

    id: str
    sha256: str = Field(description="of lungs.onnx")
    gate: str | None = Field(None, description="sha256 of gate.npz; None where there is none")
    preprocess: PreprocessSpec
    created: str
    command: str
    metrics: dict[str, Any]


class Look(NamedTuple):
    """What is seen of a film at one look.

    Attributes:
        lungs: None where they are not to be seen.
        refusal: why this is no upright frontal chest radiograph; None where it is one.
        remarks: what a reader should know of the film.
    """

    lungs: Lungs | None
    refusal: str | None
    remarks: tuple[str, ...]


class LungFinder:
    """A lung network made ready to answer.

    Args:
        folder: holds `lungs.onnx` and `lungs.json`, and `gate.npz` where the network has a gate;
            None for the one that ships.
        threads: CPU threads; None for all cores.

    Raises:
        BundleError: a file is missing or was altered.
    """

    def __init__(self, folder: Path | None = None, threads: int | None = None) -> None:
        self._folder = folder = folder or SHIPPED
        self.manifest = _manifest(folder)
        self._gate = _gate(folder, self.manifest)
        self._session = open_session(folder / GRAPH, threads)

    def find(self, films: Sequence[FloatArray]) -> list[Lungs | None]:
        """Return the lungs of radiographs (H, W) in [0, 1]; None where none are to be seen.

        A film's lungs are found if each covers 4 % of it, their borders are clear, both stand at
        one height, and the patient's right one lies on the left. Whatever shows no chest, or one
        that lies on its side, has blurred or scattered borders.
        """
        return [look.lungs for look in self._look(films, None)]

    def look(self, films: Sequence[FloatArray]) -> list[Look]:
        """Find the lungs of radiographs (H, W) and ask the gate; the network runs once a film.

        Where there is no gate nothing is refused or remarked on.
        """
        return self._look(films, self._gate)

    @property
    def has_gate(self) -> bool:
        return self._gate is not None

    def probabilities(self, batch: FloatArray) -> FloatArray:
        """Return (N, 2, S, S) of preprocessed films (N, 1, S, S): right lung, left lung."""
        found: FloatArray = self._session.run(["probabilities"], {"images": batch})[0]
        return found

    def see(self, batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return probabilities (N, 2, S, S) and features (N, C, S/32, S/32) of preprocessed films.

        Raises:
            BundleError: the network's graph has no features.
        """
        if FEATURES not in {each.name for each in self._session.get_outputs()}:
            raise BundleError(
                f"'{self._folder / GRAPH}' has no output '{FEATURES}', which its gate needs; "
                "make both with covid-cxr gate"
            )
        masks, features = self._session.run(["probabilities", FEATURES], {"images": batch})
        return masks, features

    def _look(self, films: Sequence[FloatArray], gate: Gate | None) -> list[Look]:
        looks: list[Look] = []
        for start in range(0, len(films), _BATCH):
            chunk = films[start : start + _BATCH]
            batch = np.stack([imaging.preprocess(f, self.manifest.preprocess) for f in chunk])
            if gate is None:
                looks += [Look(lungs_of(each), None, ()) for each in self.probabilities(batch)]
                continue
            masks, features = self.see(batch)
            found = [lungs_of(each) for each in masks]
            refusals = gate.judge(features, found)
            looks += [
                Look(lungs, refusal, remarks(film, lungs))
                for film, lungs, refusal in zip(chunk, found, refusals, strict=True)
            ]
        return looks


def lungs_of(probabilities: FloatArray) -> Lungs | None:
    """Return the lungs that a network's answer (2, S, S) shows; None if they cannot be lungs."""
    right, left = (_whole(each > 0.5) for each in probabilities)
    area = float(right.mean() + left.mean())
    if min(right.mean(), left.mean()) < _SMALLEST:
        return None
    doubtful = (probabilities > 0.1) & (probabilities < 0.9)
    unsure = (doubtful[0] | doubtful[1]).mean()
    on_its_side = _middle(right) < _middle(left)
    if unsure > _UNSURE * area or _common_height(right, left) < _LEVEL or not on_its_side:
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


def _whole(mask: BoolArray) -> BoolArray:
    """Keep the largest piece, holes filled."""
    whole, box = np.zeros_like(mask), bounds(mask)
    piece = mask[box]
    numbers, count = ndimage.label(piece)
    if count > 1:
        piece = numbers == np.bincount(numbers.ravel())[1:].argmax() + 1
    # As `binary_fill_holes`, in a third of the time: outside is what a rim around it touches.
    outside, _ = ndimage.label(np.pad(~piece, 1, constant_values=True))
    whole[box] = outside[1:-1, 1:-1] != outside[0, 0]
    return whole


def _manifest(folder: Path) -> LungManifest:
    try:
        raw = json.loads((folder / MANIFEST).read_text("utf-8"))
        manifest = LungManifest.model_validate(raw)
        intact = sha256_of(folder / GRAPH) == manifest.sha256
    except (OSError, ValueError, ValidationError) as error:
        raise BundleError(
            f"'{folder}' holds no lung network that can be read ({GRAPH}, {MANIFEST}); "
            "copy it again, or make one with covid-cxr lungs"
        ) from error
    if not intact:
        raise BundleError(f"'{folder / GRAPH}' was altered (sha256 differs); copy it again")
    return manifest


def _gate(folder: Path, manifest: LungManifest) -> Gate | None:
    """Return the gate that the manifest names."""
    if manifest.gate is None:
        return None
    path = folder / GATE
    if not path.is_file():
        raise BundleError(f"'{folder}' lacks {GATE}, which its {MANIFEST} names; copy it again")
    if sha256_of(path) != manifest.gate:
        raise BundleError(f"'{path}' was altered (sha256 differs); copy it again")
    return Gate.load(path)
