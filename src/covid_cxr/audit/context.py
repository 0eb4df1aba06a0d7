"""What the checks work on: train and validation rows of a run, their films, and features of them.

Films are read once, and everything dear is made when a check first asks for it. No test row is in
here: a check cannot look at what it does not have.
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
from covid_cxr.audit.checks.devices import devices
from covid_cxr.cohort.splits.grouped import components, grouped_folds
from covid_cxr.config import AuditConfig, RunConfig
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.inference import Predictor
from covid_cxr.inference.inputs import ModelInput
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.inference.runtime import processors
from covid_cxr.metrics import Bootstrap
from covid_cxr.metrics.ridge import out_of_fold_scores
from covid_cxr.metrics.scores import Array, Codes
from covid_cxr.metrics.within_source import Events
from covid_cxr.models.bundle import Bundle
from covid_cxr.progress import report
from covid_cxr.types import COVID, BoolArray, FloatArray

if TYPE_CHECKING:
    from covid_cxr.training.feature_extractor import FeatureExtractor

_SMALL = 512
_BATCH = 16


class Films(NamedTuple):
    """Films (N, S, S), not standardised, and what is known of them beside the chest."""

    plain: NDArray[np.float16]
    facts: pd.DataFrame


class WideLungs(NamedTuple):
    """Lungs made wider, bool (N, S, S) that span the whole film, and where they were found (N,)."""

    wide: BoolArray
    found: NDArray[np.bool_]


class Material:
    """Everything that a check may look at.

    Args:
        run: run folder; retrainings of the full budget are kept in its folder `audit`.
        config: the run's.
        cohort: the whole `cohort.csv`, which need not be free of leaks.
        bundle: the run's.
        network: makes frozen features; None makes one when first needed. Several audits may share.
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
        folds = grouped_folds_of(cohort, config)
        linked = cohort.assign(row=cohort.index, component=components(cohort), fold=folds)
        seen = linked[linked["split"].isin(("train", "val"))]
        self.rows = drawn(seen, self.settings.images, config.seed)
        self._embedded: dict[str, FloatArray] = {}

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
        """(N,) whether a film shows COVID-19."""
        return np.asarray(self.rows["finding"] == COVID)

    @cached_property
    def clusters(self) -> Codes:
        """(N,) patients, those who share a film counted as one."""
        return np.unique(self.rows["component"], return_inverse=True)[1]

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        return np.asarray(self.rows["fold"], dtype=np.int64)

    @cached_property
    def origins(self) -> dict[str, NDArray[Any]]:
        """`source` and `site` -> (N,) names, those of the two that have more than one."""
        source = self.rows["source"].astype(str)
        site = source.str.cat(self.rows["site"].astype(str).replace("", "not stated"), sep="/")
        named = {"source": source, "site": site if source.nunique() > 1 else self.rows["site"]}
        return {name: each.to_numpy(str) for name, each in named.items() if each.nunique() > 1}

    @property
    def origin(self) -> tuple[str, NDArray[Any]] | None:
        """What films are compared within: the source, else the site; None where all are of one."""
        return next(iter(self.origins.items()), None)

    @cached_property
    def origin_codes(self) -> Codes | None:
        return None if self.origin is None else np.unique(self.origin[1], return_inverse=True)[1]

    @cached_property
    def films(self) -> Films:
        spec, size = self.config.preprocess, self.settings.size
        grid = regions.plain(spec, size)

        def one(path: str) -> tuple[FloatArray, dict[str, Any]]:
            radiograph = imaging.read(self.data_root / path, max_pixels=spec.max_pixels)
            small = _reduced(radiograph.pixels)
            clean = remove_markers(small)
            known = acquisition_features.film_facts(
                radiograph, small, clean != small, self.data_root / path
            )
            shown = clean if spec.remove_markers else small
            return imaging.preprocess(shown, grid)[0], known

        plain = np.empty((len(self.rows), size, size), np.float16)
        found: list[dict[str, Any]] = []
        with ThreadPoolExecutor(self._threads) as pool:
            for film, known in pool.map(one, self.rows["path"]):
                plain[len(found)] = film
                found.append(known)
                report("audit: reading radiographs", len(found), len(self.rows))
        stated = devices(self.rows, self.data_root, self.config.cohort)
        return Films(plain, acquisition_features.table(found, self.rows, stated))

    @cached_property
    def lungs(self) -> WideLungs:
        segmenter, plain = LungSegmenter(threads=self._threads), self.films.plain
        masks = np.zeros(plain.shape, bool)
        for start in range(0, len(plain), _BATCH):
            batch = plain[start : start + _BATCH].astype(np.float32)
            for place, lungs in enumerate(segmenter.segment(list(batch)), start=start):
                if lungs is not None:
                    masks[place] = mask_on_grid(lungs.both, plain.shape[1:])
            report("audit: finding lungs", start + len(batch), len(plain))
        return WideLungs(regions.widened(masks), np.asarray(masks.any(axis=(1, 2))))

    @cached_property
    def seen(self) -> regions.Views:
        """Films (N, S, S) with their lungs as the recipe sees them: whole, or cut to lungs."""
        wide = self.lungs.wide
        if self.config.preprocess.lung_margin is None:
            return regions.Views(self.films.plain, wide, regions.template(wide))
        films, lungs = regions.cut_to_lungs(self.films.plain, wide, self.config.preprocess)
        return regions.Views(films, lungs, regions.template(lungs))

    def view(self, name: str, rows: slice | NDArray[Any] = slice(None)) -> FloatArray:
        """Return model input (n, 1, S, S) of one of `regions.VIEWS`."""
        films, lungs, template = self.seen
        views = regions.Views(films[rows].astype(np.float32), lungs[rows], template)
        return regions.shown(name, views, self.config.preprocess)

    def embedded(self, name: str) -> FloatArray:
        """Return the frozen features (N, 1280) of one of `regions.VIEWS`."""
        if name not in self._embedded:
            total, parts = len(self.rows), []
            for start in range(0, total, _BATCH):
                parts.append(self.network.features(self.view(name, slice(start, start + _BATCH))))
                report(f"audit: extracting features of {name}", min(start + _BATCH, total), total)
            self._embedded[name] = np.concatenate(parts)
        return self._embedded[name]

    @cached_property
    def network(self) -> FeatureExtractor:
        # Only here is torch needed, to export it; tables can be audited without.
        from covid_cxr.training.feature_extractor import FeatureExtractor

        return self._network or FeatureExtractor(self.settings.size, self._threads)

    @cached_property
    def scores(self) -> Array:
        """(N,) out-of-fold scores of the cheap recipe on whole films."""
        return out_of_fold_scores(self.embedded("whole"), self.events, self.folds)

    @cached_property
    def predictor(self) -> Predictor:
        return Predictor(self.bundle, self._threads)

    def validation(self, count: int, chosen: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
        """Return at most `count` validation rows that are `chosen`, drawn by seed."""
        rows = self.rows[self.rows["split"] == "val"]
        rows = rows[chosen(rows)]
        return rows.sample(min(count, len(rows)), random_state=self.seed).sort_values("image_id")

    def prepared(self, rows: pd.DataFrame) -> list[ModelInput]:
        """Return some rows' films as the bundle takes them."""
        read = [self.predictor.read(self.data_root / path).pixels for path in rows["path"]]
        return self.predictor.preparer.prepare(read)

    def reduced(self, path: str) -> FloatArray:
        """Return a film (h, w) of at most 512 pixels a side."""
        return _reduced(self.predictor.read(self.data_root / path).pixels)


def grouped_folds_of(cohort: pd.DataFrame, config: RunConfig, seed: int | None = None) -> pd.Series:
    """Return the fold of every train and val row; fewer folds where there are few patients."""
    chosen = cohort["split"].isin(("train", "val"))
    most = components(cohort)[chosen].nunique()
    return grouped_folds(
        cohort, min(config.audit.folds, most), config.seed if seed is None else seed
    )


def drawn(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return all rows, or those of whole patients drawn until there are `most`; index from 0."""
    if len(rows) > most:
        sizes = rows.groupby("component").size().sample(frac=1, random_state=seed)
        rows = rows[rows["component"].isin(sizes.index[sizes.cumsum() <= most])]
    return rows.sort_values("image_id").reset_index(drop=True)


def _reduced(pixels: FloatArray) -> FloatArray:
    """Return a film of at most 512 pixels a side, as preprocessing looks for markers on it."""
    longest = max(pixels.shape)
    if longest <= _SMALL:
        return pixels
    height, width = (max(1, round(each * _SMALL / longest)) for each in pixels.shape)
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0))
