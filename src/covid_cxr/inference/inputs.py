"""Radiographs -> model input, with the lungs found where the model looks at them alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.imaging.crop import lung_box
from covid_cxr.inference.lungs import LungFinder
from covid_cxr.types import Box, FloatArray, Lungs


class Prepared(NamedTuple):
    """What a model is shown of a film.

    Attributes:
        image: float32 (1, S, S) in [0, 1].
        field: the part of the film that it spans.
        lungs: on the whole film; None where they were not found, or not looked for because the
            model sees the whole film.
        sought: lungs were looked for.
    """

    image: FloatArray
    field: Box
    lungs: Lungs | None
    sought: bool = False


class Gated(NamedTuple):
    """What a model is shown of a film, and whether it may answer.

    Attributes:
        film: the input.
        refusal: why the picture is no upright frontal chest radiograph; None where it is one.
        remarks: what a reader should know of a film that is answered.
    """

    film: Prepared
    refusal: str | None
    remarks: tuple[str, ...]


class Preparer:
    """Prepares films as a model's spec says; training and prediction share it.

    Prediction also asks the gate; training does not, because its films come with labels.

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

    def prepare(self, films: Sequence[FloatArray]) -> list[Prepared]:
        """Return model input of radiographs (H, W) in [0, 1], in order."""
        if not self.needs_lungs:
            return [self._one(film, None) for film in films]
        found = zip(films, self.find_lungs(films), strict=True)
        return [self._one(film, lungs, sought=True) for film, lungs in found]

    def gate(self, films: Sequence[FloatArray]) -> list[Gated]:
        """Return model input of radiographs (H, W), each with what the gate says of it.

        The lung network runs once a film. Where it has no gate (those of older bundles), every
        film passes.
        """
        if not (self.needs_lungs or self._finder.has_gate):
            return [Gated(film, None, ()) for film in self.prepare(films)]
        looks = self._finder.look(films)
        return [
            Gated(self._one(film, look.lungs, sought=True), look.refusal, look.remarks)
            for film, look in zip(films, looks, strict=True)
        ]

    def find_lungs(self, films: Sequence[FloatArray]) -> list[Lungs | None]:
        """Return where the lungs lie on radiographs (H, W); None where they are not to be seen."""
        return self._finder.find(films)

    def _one(self, film: FloatArray, lungs: Lungs | None, *, sought: bool = False) -> Prepared:
        image = imaging.preprocess(film, self.spec, lungs)
        return Prepared(image, lung_box(self.spec, lungs), lungs, sought)

    @cached_property
    def _finder(self) -> LungFinder:
        return LungFinder(self._lungs, threads=self._threads)
