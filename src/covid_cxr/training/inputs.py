"""Preprocessed inputs on disk, and the random augmentation of training."""

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

from covid_cxr import imaging
from covid_cxr.config import AugmentConfig, PreprocessSpec
from covid_cxr.inference.inputs import Preparer, rejection_of
from covid_cxr.progress import track
from covid_cxr.training.sanity_checks import ImageCheck
from covid_cxr.types import CLASSES, FloatArray, Task, class_of

_BATCH = 16
JPEG_QUALITY = (15, 76)  # half-open


def preprocess_cohort(
    cohort: pd.DataFrame,
    data_root: Path,
    spec: PreprocessSpec,
    cache: Path,
    preparer: Preparer | None = None,
) -> tuple[NDArray[np.float16], list[ImageCheck]]:
    """Preprocess and check every image of `cohort` once, into a memory-mapped file.

    The input check takes the lungs' network, which costs nothing more where the model is cropped
    to the lungs, and about 20 ms an image on one core where it is not.

    Args:
        cohort: rows to read, in the order of the result.
        data_root: folder that `path` is relative to.
        spec: the preprocessing that the bundle will carry.
        cache: `.npy` file to write; float16 keeps a thousand images at 100 MB.
        preparer: of `spec`, called with the radiographs in order; None for a new one.

    Returns:
        float16 (N, 1, S, S) in [0, 1], memory-mapped, and what the check says of each image (N).

    Raises:
        UnreadableImage: a file that cannot be decoded.
        AlteredImage: a file has been replaced since the cohort was built.
    """
    shape = (len(cohort), 1, spec.size, spec.size)
    cache.parent.mkdir(parents=True, exist_ok=True)
    inputs = np.lib.format.open_memmap(cache, mode="w+", dtype=np.float16, shape=shape)
    preparer, checks = preparer or Preparer(spec), list[ImageCheck]()
    files = list(zip(cohort["path"], cohort["sha256"], strict=True))
    for start in track(range(0, len(files), _BATCH), "reading radiographs"):
        reduced, flags = [], []
        for path, sha256 in files[start : start + _BATCH]:
            one = imaging.read(data_root / path, max_pixels=spec.max_pixels, sha256=sha256)
            reduced.append(preparer.reduce(one.pixels))
            flags.append(one.flags)
        checked = zip(preparer.check(reduced), reduced, flags, strict=True)
        for i, ((prepared, analysis), pixels, own) in enumerate(checked, start=start):
            inputs[i] = prepared.image
            checks.append(ImageCheck(rejection_of(pixels, analysis) or "", own))
    inputs.flush()
    return inputs, checks


def class_numbers(cohort: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return the class number of every row, in the order of `CLASSES[task]`."""
    classes = CLASSES[task]
    return np.array([classes.index(class_of(f, task)) for f in cohort["finding"]], dtype=np.int64)


def augmentation(config: AugmentConfig, size: int) -> Compose:
    """Return the random transform of one (1, size, size) input.

    Rotation, shift and scale apply to every image, as in the original system; gamma, blur and
    noise to half of them.
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
        steps.append(RandJpeg(config.jpeg))
    if config.erasing:
        steps.append(RandCoarseDropout(1, 16, True, 0.5, 4, 56, config.erasing))
    return Compose(steps)


class RandJpeg(RandomizableTransform):
    """JPEG compression with probability `prob`."""

    def __call__(self, image: Tensor) -> Tensor:
        """Return an image (1, S, S) in [0, 1], compressed or as it is."""
        self.randomize(None)
        if not self._do_transform:
            return image
        pixels = np.asarray(image, dtype=np.float32)
        return torch.from_numpy(jpeg_compressed(pixels, int(self.R.randint(*JPEG_QUALITY))))


def jpeg_compressed(image: FloatArray, quality: int) -> FloatArray:
    """Return an image (1, S, S), clipped to [0, 1], after JPEG compression.

    Public COVID-19 radiographs came from journals and were compressed, those of archives were not:
    a model that is not trained on both can tell the sources apart by compression artefacts.

    Args:
        image: preprocessed.
        quality: of the JPEG, 1 to 100.
    """
    grey = np.rint(np.clip(image[0].astype(np.float32), 0, 1) * 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "JPEG", quality=quality)
    with Image.open(content) as decoded:
        return np.asarray(decoded, dtype=np.float32)[None] / np.float32(255)


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
