"""What a check can use: a run's training and validation rows, their images, and features of them.

Images are read once, and everything expensive is computed when a check first asks for it. No test
row is in here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from covid_cxr import imaging
from covid_cxr.audit import acquisition_features, regions
from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.config import AuditConfig, RunConfig
from covid_cxr.errors import CohortError, CovidCxrError
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.inference import Predictor
from covid_cxr.inference.inputs import ModelInput
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.inference.runtime import processors
from covid_cxr.metrics import Bootstrap, Interval, Paired
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import Events, Ranking, auroc_interval, paired_auroc
from covid_cxr.models.bundle import Bundle
from covid_cxr.progress import report, track
from covid_cxr.types import COVID, BoolArray, FloatArray, Radiograph

if TYPE_CHECKING:
    from covid_cxr.training.feature_extractor import FeatureExtractor

Rows = slice | NDArray[Any]
_REDUCED = 512
_BATCH = 16


class ReadImages(NamedTuple):
    """Images (N, S, S), not standardised, and what is measured of each without the chest (N)."""

    pixels: NDArray[np.float16]
    measured: list[dict[str, Any]]


class DilatedLungs(NamedTuple):
    """Dilated lung masks (N, S, S), and for which images (N,) lungs were segmented."""

    masks: BoolArray
    segmented: NDArray[np.bool_]


class AuditContext:
    """Everything that a check can use.

    Args:
        run: run folder; scores of retrained networks are kept in its folder `audit`.
        config: the run's.
        cohort: the whole `cohort.csv`, which need not be free of leaks.
        bundle: the run's.
        network: extracts image features; None builds one when first needed. Several audits may
            share one.
    """

    def __init__(
        self,
        run: Path,
        config: RunConfig,
        cohort: pd.DataFrame,
        bundle: Bundle,
        *,
        network: FeatureExtractor | None = None,
    ) -> None:
        self.run, self.config, self.cohort, self.bundle = run, config, cohort, bundle
        self._network, self._threads = network, processors()
        linked = cohort.assign(row=cohort.index, component=components(cohort))
        audited = linked[linked["split"].isin(("train", "val"))]
        self.rows = sample_patients(audited, self.settings.images, config.seed)
        self._features: dict[str, FloatArray] = {}
        self._unreadable: CovidCxrError | None = None

    @property
    def settings(self) -> AuditConfig:
        return self.config.audit

    @property
    def data_root(self) -> Path:
        return Path(self.config.data_root or ".")

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def bootstrap(self) -> Bootstrap:
        """The bootstrap over patients behind every interval."""
        return Bootstrap(self.settings.bootstrap, self.seed)

    @cached_property
    def events(self) -> Events:
        """(N,) whether an image shows COVID-19."""
        return np.asarray(self.rows["finding"] == COVID)

    @cached_property
    def clusters(self) -> Codes:
        """(N,) patient of each image; patients who share an image count as one."""
        return np.unique(self.rows["component"], return_inverse=True)[1]

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """(N,) fold of each image.

        Raises:
            CohortError: images with, or without, COVID-19 are of fewer than two patients.
        """
        self.require_both_classes()
        folds = audit_folds(self.cohort, self.config)
        return np.asarray(folds[self.rows["row"]], dtype=np.int64)

    def require_both_classes(self) -> None:
        """Raise an error where no classifier can be trained on some patients and scored on others.

        Raises:
            CohortError: images with, or without, COVID-19 are of fewer than two patients.
        """
        for name, chosen in (("with", self.events), ("without", ~self.events)):
            patients = np.unique(self.clusters[chosen]).size
            if patients < 2:
                raise CohortError(
                    f"the training and validation images {name} COVID-19 come from {patients} "
                    "patients, expected 2 or more"
                )

    @cached_property
    def origins(self) -> dict[str, NDArray[Any]]:
        """`source` and `site` -> (N,) names; only those of the two with several values."""
        source = self.rows["source"].astype(str)
        site = source.str.cat(self.rows["site"].astype(str).replace("", "not stated"), sep="/")
        named = {"source": source, "site": site if source.nunique() > 1 else self.rows["site"]}
        return {
            name: column.to_numpy(str) for name, column in named.items() if column.nunique() > 1
        }

    @property
    def origin(self) -> tuple[str, NDArray[Any]] | None:
        """Within what images are compared: the source, else the site; None if there is only one."""
        return next(iter(self.origins.items()), None)

    @cached_property
    def origin_codes(self) -> Codes | None:
        return None if self.origin is None else np.unique(self.origin[1], return_inverse=True)[1]

    @cached_property
    def images(self) -> ReadImages:
        """The images, read once.

        Raises:
            CohortError: there is none.
            UnreadableImage: one can no longer be read; raised again without reading the others.
        """
        if self._unreadable:
            raise self._unreadable
        if self.rows.empty:
            raise CohortError("the cohort has no training or validation image")
        try:
            return self._read_all()
        except CovidCxrError as error:
            self._unreadable = error
            raise

    @cached_property
    def acquisition(self) -> pd.DataFrame:
        """The acquisition features (N, F) of the images."""
        stated = acquisition_features.devices(self.rows, self.data_root)
        return acquisition_features.table(self.images.measured, self.rows, stated)

    def _read_all(self) -> ReadImages:
        spec, size = self.config.preprocess, self.settings.size
        resize = regions.resize_only(spec, size)

        def read(path: str, sha256: str) -> tuple[FloatArray, dict[str, Any]]:
            radiograph = imaging.read(
                self.data_root / path, max_pixels=spec.max_pixels, sha256=sha256
            )
            reduced = _reduce(radiograph.pixels)
            clean = remove_markers(reduced)
            features = acquisition_features.of_image(
                radiograph, reduced, clean != reduced, self.data_root / path
            )
            pixels = clean if spec.remove_markers else reduced
            return imaging.preprocess(pixels, resize)[0], features

        pixels = np.empty((len(self.rows), size, size), np.float16)
        features: list[dict[str, Any]] = []
        with ThreadPoolExecutor(self._threads) as pool:
            results = pool.map(read, self.rows["path"], self.rows["sha256"])
            reading = track(results, "audit: reading radiographs", len(self.rows))
            for row, (image, measured) in enumerate(reading):
                pixels[row] = image
                features.append(measured)
        return ReadImages(pixels, features)

    @cached_property
    def lungs(self) -> DilatedLungs:
        segmenter, pixels = LungSegmenter(threads=self._threads), self.images.pixels
        masks = np.zeros(pixels.shape, bool)
        for start in range(0, len(pixels), _BATCH):
            batch = pixels[start : start + _BATCH].astype(np.float32)
            for row, lungs in enumerate(segmenter.segment(list(batch)), start=start):
                if lungs is not None:
                    masks[row] = mask_on_grid(lungs.both, pixels.shape[1:])
            report("audit: segmenting lungs", start + len(batch), len(pixels))
        return DilatedLungs(regions.dilate(masks), np.asarray(masks.any(axis=(1, 2))))

    @cached_property
    def _regions(self) -> regions.Regions:
        """Images and lungs as the recipe preprocesses them: whole, or cropped to the lungs."""
        pixels, masks = self.images.pixels, self.lungs.masks
        if self.config.preprocess.lung_margin is not None:
            pixels, masks = regions.crop_to_lungs(pixels, masks, self.config.preprocess)
        return regions.Regions(pixels, masks, regions.template(masks))

    def inputs(self, view: str, rows: Rows = slice(None)) -> FloatArray:
        """Return model inputs (n, 1, S, S) of one of `regions.VIEWS`."""
        images, lungs, template = self._regions
        chosen = regions.Regions(images[rows].astype(np.float32), lungs[rows], template)
        return regions.view_inputs(view, chosen, self.config.preprocess)

    def features(self, view: str) -> FloatArray:
        """Return the image features (N, F) of one of `regions.VIEWS`."""
        if view not in self._features:
            self.require_both_classes()
            starts = range(0, len(self.rows), _BATCH)
            parts = [
                self.network.features(self.inputs(view, slice(start, start + _BATCH)))
                for start in track(starts, f"audit: extracting features of {view}")
            ]
            self._features[view] = np.concatenate(parts)
        return self._features[view]

    @cached_property
    def network(self) -> FeatureExtractor:
        # Only here is torch needed, to export it; tables can be audited without.
        from covid_cxr.training.feature_extractor import FeatureExtractor

        return self._network or FeatureExtractor(self.settings.size, self._threads)

    @cached_property
    def scores(self) -> Array:
        """(N,) out-of-fold scores of the linear probe on whole images."""
        return out_of_fold_scores(self.features("whole"), self.events, self.folds)

    def auroc(
        self, scores: Array, rows: Rows = slice(None), origin: Codes | None = None
    ) -> Interval:
        """Return the AUROC of scores of some rows, within origins if given, over patients."""
        events, clusters = self.events[rows], self.clusters[rows]
        return auroc_interval(events, Ranking(scores, origin), clusters, self.bootstrap)

    def paired_auroc(self, first: Ranking, second: Ranking, rows: Rows = slice(None)) -> Paired:
        """Return the AUROCs of two rankings of the same rows and their difference, paired."""
        events, clusters = self.events[rows], self.clusters[rows]
        return paired_auroc(events, first, second, clusters, self.bootstrap)

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor(self.bundle, self._threads)

    def sample_validation(
        self, count: int, condition: Callable[[pd.DataFrame], Any]
    ) -> pd.DataFrame:
        """Return at most `count` random validation rows that meet the condition."""
        rows = self.rows[self.rows["split"] == "val"]
        rows = rows[condition(rows)]
        return rows.sample(min(count, len(rows)), random_state=self.seed).sort_values("image_id")

    def prepare(self, rows: pd.DataFrame) -> list[ModelInput]:
        """Return the images of some rows as the bundle's network takes them."""
        radiographs = [self._read(*file) for file in zip(rows["path"], rows["sha256"], strict=True)]
        return self.predictor.preparer.prepare([radiograph.pixels for radiograph in radiographs])

    def read_reduced(self, row: pd.Series) -> FloatArray:
        """Return the image (h, w) of a row, of at most 512 pixels a side."""
        return _reduce(self._read(row["path"], row["sha256"]).pixels)

    def _read(self, path: str, sha256: str) -> Radiograph:
        return self.predictor.read(self.data_root / path, sha256)


def audit_folds(cohort: pd.DataFrame, config: RunConfig, seed: int | None = None) -> pd.Series:
    """Return the fold of every train and val row; fewer folds where there are few patients."""
    audited = cohort["split"].isin(("train", "val"))
    count = min(config.audit.folds, components(cohort)[audited].nunique())
    return grouped_folds(cohort, count, config.seed if seed is None else seed)


def sample_patients(rows: pd.DataFrame, limit: int, seed: int) -> pd.DataFrame:
    """Return the rows of random whole patients, `limit` at most, sorted and numbered from 0."""
    if len(rows) > limit:
        sizes = rows.groupby("component").size().sample(frac=1, random_state=seed)
        rows = rows[rows["component"].isin(sizes.index[sizes.cumsum() <= limit])]
    return rows.sort_values("image_id").reset_index(drop=True)


def _reduce(pixels: FloatArray) -> FloatArray:
    """Return an image of at most 512 pixels a side, the size at which markers are detected."""
    longest = max(pixels.shape)
    if longest <= _REDUCED:
        return pixels
    height, width = (max(1, round(edge * _REDUCED / longest)) for edge in pixels.shape)
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0))
