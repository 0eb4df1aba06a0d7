"""Preprocessed films on disk, and the random changes that training makes to them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffine,
    RandCoarseDropout,
    RandFlip,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandomizableTransform,
)
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from covid_cxr import imaging
from covid_cxr.config import AugmentConfig, PreprocessSpec
from covid_cxr.inference.inputs import Preparer
from covid_cxr.progress import track
from covid_cxr.types import CLASSES, FloatArray, Task, class_of

_AT_ONCE = 16
QUALITY = (15, 76)  # of compression, the last not reached


def preprocess_all(
    cohort: pd.DataFrame,
    data_root: Path,
    spec: PreprocessSpec,
    cache: Path,
) -> NDArray[np.float16]:
    """Preprocess every film of `cohort` once, into a file that is read as memory.

    Args:
        cohort: rows to read, in the order of the result.
        data_root: folder that `path` is relative to.
        spec: the preprocessing that the bundle will carry.
        cache: `.npy` file to write; float16 keeps a thousand films at 100 MB.

    Returns:
        float16 (N, 1, S, S) in [0, 1], memory-mapped.
    """
    shape = (len(cohort), 1, spec.size, spec.size)
    cache.parent.mkdir(parents=True, exist_ok=True)
    films = np.lib.format.open_memmap(cache, mode="w+", dtype=np.float16, shape=shape)
    preparer, paths = Preparer(spec), cohort["path"].tolist()
    for start in track(range(0, len(paths), _AT_ONCE), "reading radiographs"):
        chunk = [data_root / path for path in paths[start : start + _AT_ONCE]]
        read = [imaging.read(path, max_pixels=spec.max_pixels).pixels for path in chunk]
        for i, film in enumerate(preparer.prepare(read), start=start):
            films[i] = film.image
    films.flush()
    return films


def labels_of(cohort: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return the class number of every row, in the order of `CLASSES[task]`."""
    classes = CLASSES[task]
    return np.array([classes.index(class_of(f, task)) for f in cohort["finding"]], dtype=np.int64)


def augmentation(config: AugmentConfig, size: int) -> Compose:
    """Return the random transform of one (1, size, size) film.

    Rotation, shift and scale act on every film, as in the original system; gamma, blur and noise
    on half of them.
    """
    steps: list[Callable[..., Any]] = []
    if config.rotation or config.shift or config.scale:
        steps.append(_affine(config, size))
    if config.flip:
        steps.append(RandFlip(prob=config.flip, spatial_axis=1))
    if config.gamma:
        steps.append(RandAdjustContrast(prob=0.5, gamma=(1 / (1 + config.gamma), 1 + config.gamma)))
    if config.blur:
        sigma = (0.0, config.blur)
        steps.append(RandGaussianSmooth(sigma_x=sigma, sigma_y=sigma, prob=0.5))
    if config.noise:
        steps.append(RandGaussianNoise(prob=0.5, std=config.noise))
    if config.jpeg:
        steps.append(RandCompress(config.jpeg))
    if config.erasing:
        steps.append(RandCoarseDropout(1, 16, True, 0.5, 4, 56, config.erasing))
    return Compose(steps)


class RandCompress(RandomizableTransform):
    """Compresses a film as JPEG; `prob` is how often."""

    def __call__(self, film: Tensor) -> Tensor:
        """Return a film (1, S, S) in [0, 1], compressed or as it is."""
        self.randomize(None)
        if not self._do_transform:
            return film
        pixels = np.asarray(film, dtype=np.float32)
        return torch.from_numpy(compressed(pixels, int(self.R.randint(*QUALITY))))


def compressed(film: FloatArray, quality: int) -> FloatArray:
    """Return a film (1, S, S), values held to [0, 1], after JPEG compression.

    Public COVID-19 films came out of journals and were compressed, archives' films were not: the
    traces of compression tell the one from the other, and so does a model that is not shown both.

    Args:
        film: preprocessed.
        quality: of the JPEG, 1 to 100.
    """
    levels = np.rint(np.clip(film[0].astype(np.float32), 0, 1) * 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "JPEG", quality=quality)
    with Image.open(content) as image:
        return np.asarray(image, dtype=np.float32)[None] / np.float32(255)


def _affine(config: AugmentConfig, size: int) -> RandAffine:
    pixels = config.shift * size
    return RandAffine(
        prob=1.0,
        rotate_range=float(np.deg2rad(config.rotation)),
        translate_range=(pixels, pixels),
        scale_range=(config.scale, config.scale),
        mode="bilinear",
        padding_mode="border",
    )


class Films(Dataset[tuple[Tensor, Tensor]]):
    """Chosen rows of all films with their class numbers; augmented when `transform` is given.

    Each draw is seeded by (seed, epoch, row), so that a resumed training sees what an
    uninterrupted one would have seen.
    """

    def __init__(
        self,
        films: NDArray[np.float16],
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        transform: Compose | None = None,
        seed: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self.films, self.labels, self.rows = films, labels, rows
        self.transform, self.seed = transform, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        """Return one film float32 (1, S, S) in [0, 1] and its class number."""
        row = int(self.rows[i])
        film = torch.from_numpy(self.films[row].astype(np.float32))
        if self.transform is not None:
            seed = np.random.SeedSequence([*self.seed(), row]).generate_state(1)[0]
            self.transform.set_random_state(seed=int(seed))
            film = torch.as_tensor(self.transform(film)).clamp(0, 1)
        return film, torch.tensor(self.labels[row])
