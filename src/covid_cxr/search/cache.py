"""Inputs, lungs and features on disk, each computed once for all trials that share it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from covid_cxr.config import PreprocessSpec, RunConfig
from covid_cxr.inference.inputs import Preparer
from covid_cxr.inference.lungs import Analysis, LungSegmenter
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.feature_extractor import View, extract_view, feature_views
from covid_cxr.training.inputs import preprocess_cohort
from covid_cxr.training.run import labelled_data
from covid_cxr.types import FloatArray, Lungs


class TrainingCache:
    """The training data of any recipe on the same rows; safe for several processes.

    A file is named by a hash of all settings that it depends on and renamed when whole, so that a
    killed process leaves none that is half written.

    Args:
        folder: of the files.
        rows: train and val rows of the cohort.
        data_root: folder that the rows' paths are relative to.
    """

    def __init__(self, folder: Path, rows: pd.DataFrame, data_root: Path) -> None:
        self.folder, self.rows, self.data_root = folder, rows, data_root
        self._images = [*zip(rows["image_id"], rows["sha256"], strict=True)]

    def data(self, config: RunConfig) -> TrainingData:
        """Return the inputs and, for a linear probe, features of all rows; none is chosen yet."""
        inputs, features = self.inputs(config.preprocess), None
        if config.training.method == "linear-probe":
            features = np.stack([self._features(config, view) for view in feature_views(config)])
        return labelled_data(config, self.rows, inputs, features)

    def inputs(self, spec: PreprocessSpec) -> NDArray[np.float16]:
        """Return float16 (N, 1, S, S), memory-mapped."""

        def compute(path: Path) -> None:
            preparer, lungs = Preparer(spec), self._path("lungs", self._images)
            # until they are stored, one process segments lungs and others wait for them
            lock = nullcontext() if lungs.exists() else FileLock(lungs.with_suffix(".lock"))
            with lock:
                preparer.segmenter = segmenter = _LungsOnce(lungs)
                preprocess_cohort(self.rows, self.data_root, spec, path, preparer)
                segmenter.save()

        inputs: NDArray[np.float16] = self._once(self._inputs_path(spec), compute)
        return inputs

    def _features(self, config: RunConfig, view: View) -> FloatArray:
        key: list[Any] = [self._inputs_path(config.preprocess).stem, config.model, view]
        if view == "jpeg":
            key.append(config.seed)  # of the qualities

        def compute(path: Path) -> None:
            np.save(path, extract_view(config, self.inputs(config.preprocess), view))

        features: FloatArray = self._once(self._path("features", key), compute)
        return features

    def _inputs_path(self, spec: PreprocessSpec) -> Path:
        return self._path("inputs", [spec.model_dump(mode="json"), self._images])

    def _path(self, kind: str, key: object) -> Path:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"{kind}-{digest}.npy"

    def _once(self, path: Path, compute: Callable[[Path], None]) -> Any:
        """Return the array in `path`, computed first where no process has yet."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    unfinished = path.with_suffix(".part.npy")
                    compute(unfinished)
                    unfinished.replace(path)
        return _opened(path)


@lru_cache(maxsize=16)
def _opened(path: Path) -> Any:
    return np.load(path, mmap_mode="r")


class _LungsOnce(LungSegmenter):
    """Segments radiographs that come in one order; reads the lungs from disk the next time.

    Args:
        path: `.npy` file, bool (N, 2, h, w); nothing but False where no lungs were found.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._stored: NDArray[np.bool_] | None = np.load(path) if path.exists() else None
        self._done: list[Lungs | None] = []

    def analyse_inputs(self, inputs: Iterable[tuple[FloatArray, FloatArray]]) -> list[Analysis]:
        """Return what is known of the next radiographs; of stored lungs, nothing but where."""
        if self._stored is None:
            analyses = super().analyse_inputs(inputs)
        else:
            start = len(self._done)
            masks = self._stored[start : start + len(list(inputs))]
            both = [Lungs(right, left) if right.any() else None for right, left in masks]
            analyses = [Analysis(lungs, None, ()) for lungs in both]
        self._done += [analysis.lungs for analysis in analyses]
        return analyses

    def save(self) -> None:
        """Store the lungs for the next time."""
        shapes = [lungs.right.shape for lungs in self._done if lungs]
        if self._stored is not None or not shapes:
            return
        masks = np.zeros((len(self._done), 2, *shapes[0]), np.bool_)
        for row, lungs in zip(masks, self._done, strict=True):
            if lungs:
                row[:] = lungs.right, lungs.left
        unfinished = self._path.with_suffix(".part.npy")
        np.save(unfinished, masks)
        unfinished.replace(self._path)
