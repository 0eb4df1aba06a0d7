"""Radiographs -> model input, cut to the lungs where the model sees them alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging.crop import lung_box
from covid_cxr.inference.input_check import sample_of
from covid_cxr.inference.lungs import Analysis, LungSegmenter
from covid_cxr.types import Box, FloatArray, Lungs

BLANK = "blank image"
_LEAST_SPREAD = 0.01  # of grey levels (out of 1) of an image that shows anything


class ModelInput(NamedTuple):
    """What a model is shown of a radiograph.

    Attributes:
        image: float32 (1, S, S) in [0, 1].
        box: the part of the radiograph that it spans.
        lungs: on the whole radiograph; None where they were not found, or not looked for because
            the model sees the whole radiograph.
    """

    image: FloatArray
    box: Box
    lungs: Lungs | None


class ReducedPixels(NamedTuple):
    """What prediction needs of a radiograph, about as large for any size of the radiograph.

    Attributes:
        pixels: (h, w) in [0, 1], as `imaging.reduce` leaves them.
        lung_input: of the lung network, (1, S, S).
        sample: the greys that warnings are given for.
        spread: between its brightest and its darkest pixel.
    """

    pixels: FloatArray
    lung_input: FloatArray
    sample: FloatArray
    spread: float


def rejection_of(radiograph: ReducedPixels, analysis: Analysis) -> str | None:
    """Return why a radiograph is not answered; None where it is."""
    return BLANK if radiograph.spread < _LEAST_SPREAD else analysis.rejection


class Preparer:
    """Prepares radiographs as a model's spec says; training and prediction share it.

    Prediction abstains from what the input check rejects. Training only counts it, because its
    images come with labels.

    Args:
        spec: of the model.
        threads: CPU threads of the lung network; None for all cores.
        lungs: folder of the lung network; None for the one in the package.
    """

    def __init__(
        self, spec: PreprocessSpec, threads: int | None = None, lungs: Path | None = None
    ) -> None:
        self.spec, self._threads, self._lungs = spec, threads, lungs

    @property
    def needs_lungs(self) -> bool:
        """Whether the model's input depends on where the lungs are."""
        return self.spec.lung_margin is not None

    def prepare(self, radiographs: Sequence[FloatArray]) -> list[ModelInput]:
        """Return model input of radiographs (H, W) in [0, 1], in order."""
        if self.needs_lungs:
            lungs = self.segmenter.segment(radiographs)
        else:
            lungs = [None] * len(radiographs)
        return [self._one(pixels, both) for pixels, both in zip(radiographs, lungs, strict=True)]

    def reduce(self, pixels: FloatArray) -> ReducedPixels:
        """Return what `check` needs of a radiograph (H, W) in [0, 1]."""
        return ReducedPixels(
            imaging.reduce(pixels, self.spec),
            self.segmenter.prepare(pixels),
            sample_of(pixels).copy(),  # a view would keep all pixels in memory
            float(np.ptp(pixels)),
        )

    def check(self, radiographs: Sequence[ReducedPixels]) -> list[tuple[ModelInput, Analysis]]:
        """Return model input of radiographs, each with what the input check says of it.

        Raises:
            BundleError: the lung network has no input check.
        """
        inputs = ((one.lung_input, one.sample) for one in radiographs)
        analyses = zip(radiographs, self.segmenter.analyse_inputs(inputs), strict=True)
        return [(self._one(one.pixels, analysis.lungs), analysis) for one, analysis in analyses]

    @cached_property
    def segmenter(self) -> LungSegmenter:
        return LungSegmenter(self._lungs, threads=self._threads)

    def _one(self, pixels: FloatArray, lungs: Lungs | None) -> ModelInput:
        image = imaging.preprocess(pixels, self.spec, lungs)
        return ModelInput(image, lung_box(self.spec, lungs), lungs)
