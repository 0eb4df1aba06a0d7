"""One file in, one explained answer out."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from covid_cxr import explain, images
from covid_cxr.explain.render import Facts, overlay
from covid_cxr.inference.runtime import Outputs, Runtime
from covid_cxr.models.bundle import Bundle
from covid_cxr.types import COVID, Explanation, FloatArray, Prediction, Radiograph

Source = str | os.PathLike[str] | bytes | Radiograph

# Below this spread of grey levels (out of 1) there is nothing on the film to read.
_BLANK = 0.01


@dataclass(frozen=True)
class Reading:
    """A prediction with the picture of why; shows itself in a notebook.

    `explanation` is None where the image was abstained from, or where the model has no class
    activation map and no other method was asked for.
    """

    prediction: Prediction
    radiograph: Radiograph
    explanation: Explanation | None

    @cached_property
    def picture(self) -> Image.Image | None:
        """The radiograph beside its overlay, green for the class and red against it."""
        if self.explanation is None:
            return None
        return overlay(self.radiograph.pixels, self.explanation, facts(self.prediction))

    def _repr_png_(self) -> bytes | None:
        if self.picture is None:
            return None
        buffer = io.BytesIO()
        self.picture.save(buffer, "PNG")
        return buffer.getvalue()


class Predictor:
    """A bundle made ready to answer.

    Args:
        bundle: an opened, verified bundle.
        threads: CPU threads; None for all cores.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self.bundle = bundle
        self.runtime = Runtime(bundle, threads)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.bundle.manifest.classes

    def predict(
        self,
        source: Source,
        explain: str | None = None,
        options: explain.Options | None = None,
    ) -> Reading:
        """Answer one radiograph.

        Args:
            source: a path, a file's content, or a radiograph already read.
            explain: a name in `covid_cxr.explain.EXPLAINERS`; None takes the class activation
                map, which costs nothing, where the model has one.
            options: samples and seed of the explainer.

        Raises:
            UnreadableImage: the source is no image that can be decoded.
            UnknownName: no such explainer.
        """
        started = time.perf_counter()
        radiograph = source if isinstance(source, Radiograph) else self.read(source)
        film = self.prepare(radiograph)
        prediction = self.judge([radiograph], self.runtime.run(film[None]))[0]
        method = explain or ("cam" if self.bundle.manifest.has_cam else None)
        explanation = None
        if method and prediction.status == "ok":
            explanation = self.explain(film, prediction.predicted_class, method, options)
        prediction = replace(prediction, seconds=time.perf_counter() - started)
        return Reading(prediction, radiograph, explanation)

    def read(self, source: str | os.PathLike[str] | bytes) -> Radiograph:
        """Decode a film, no larger than the bundle's spec allows.

        Raises:
            UnreadableImage: no image that can be decoded.
        """
        return images.read(source, max_pixels=self.bundle.manifest.preprocess.max_pixels)

    def prepare(self, radiograph: Radiograph) -> FloatArray:
        """Return the model's input (1, S, S) for a radiograph, as the bundle's spec says."""
        return images.preprocess(radiograph.pixels, self.bundle.manifest.preprocess)

    def explain(
        self, film: FloatArray, label: str, method: str, options: explain.Options | None = None
    ) -> Explanation:
        """Explain the score of class `label` for one preprocessed film (1, S, S)."""
        return explain.get(method)(film, self.runtime, label, options or explain.Options())

    def judge(self, radiographs: Sequence[Radiograph], outputs: Outputs) -> list[Prediction]:
        """Turn the graph's answers for `radiographs` into predictions, in order."""
        return [
            self._judge_one(radiograph, probabilities)
            for radiograph, probabilities in zip(radiographs, outputs.probabilities, strict=True)
        ]

    def _judge_one(self, radiograph: Radiograph, probabilities: FloatArray) -> Prediction:
        manifest = self.bundle.manifest
        if float(np.ptp(radiograph.pixels)) < _BLANK:
            flags = (*radiograph.flags, "blank image")
            return Prediction(radiograph.origin, "abstained", flags=flags, model=manifest.id)
        scores = {name: float(p) for name, p in zip(self.classes, probabilities, strict=True)}
        return Prediction(
            file=radiograph.origin,
            status="ok",
            predicted_class=predicted_class(scores, manifest.threshold),
            probabilities=scores,
            threshold=manifest.threshold,
            flags=radiograph.flags,
            model=manifest.id,
        )


def predicted_class(probabilities: dict[str, float], threshold: float) -> str:
    """Return COVID-19 from its threshold on, else the most probable other class.

    >>> predicted_class({"normal": 0.5, "pneumonia": 0.2, "covid-19": 0.3}, threshold=0.25)
    'covid-19'
    """
    if probabilities[COVID] >= threshold:
        return COVID
    others = {name: p for name, p in probabilities.items() if name != COVID}
    return max(others, key=others.__getitem__)


def facts(prediction: Prediction) -> Facts:
    """Return what a picture of `prediction` says beside the map."""
    probability = prediction.probabilities[prediction.predicted_class]
    return Facts(probability, prediction.threshold, prediction.file)
