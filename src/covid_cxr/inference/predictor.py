"""One file in, one explained answer out."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image

from covid_cxr import explain, imaging
from covid_cxr.explain.base import Options
from covid_cxr.explain.rendering.grid import on_radiograph
from covid_cxr.explain.rendering.page import Caption, draw_page
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.imaging.crop import crop_lungs
from covid_cxr.inference import similar_cases as known
from covid_cxr.inference.inputs import Gated, Prepared, Preparer
from covid_cxr.inference.runtime import Outputs, Runtime, processors
from covid_cxr.models.bundle import REFERENCE, Bundle
from covid_cxr.types import COVID, Explanation, FloatArray, Lungs, Prediction, Radiograph

Source = str | os.PathLike[str] | bytes | Radiograph

# Below this spread of grey levels (out of 1) there is nothing on the film to read.
_BLANK = 0.01
NO_LUNGS = "lungs not found"


@dataclass(frozen=True)
class Reading:
    """A prediction with the picture of why; shows itself in a notebook.

    `explanation` is None where the image was abstained from, or where the model has no class
    activation map and no other method was asked for. `neighbours` are the films of the training
    that it looks like, nearest first; empty where the bundle knows none.
    """

    prediction: Prediction
    radiograph: Radiograph
    explanation: Explanation | None
    neighbours: tuple[known.Neighbour, ...] = ()

    @cached_property
    def picture(self) -> Image.Image | None:
        """The radiograph beside its overlay, green for the class and red against it."""
        if self.explanation is None:
            return None
        return draw_page(self.radiograph.pixels, self.explanation, facts(self.prediction))

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
        self.bundle, self.threads = bundle, threads
        self.runtime = Runtime(bundle, threads)
        self.preparer = Preparer(bundle.manifest.preprocess, threads, bundle.lungs)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.bundle.manifest.classes

    @cached_property
    def halved(self) -> Predictor:
        """The same predictor on half the threads: two calls at a time then fill the cores.

        A network that splits each small step over all of them waits more than it works.
        """
        all_of_them = self.threads or processors()
        if all_of_them == 1:
            return self
        half = copy(self)
        half.threads = -(-all_of_them // 2)
        half.preparer = Preparer(self.preparer.spec, half.threads, self.bundle.lungs)
        half.runtime = Runtime(self.bundle, half.threads)
        return half

    def predict(
        self,
        source: Source,
        explain: str | None = None,
        options: Options | None = None,
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
        gated = self.preparer.gate([radiograph.pixels])
        film = gated[0].film
        outputs = self.runtime.run(film.image[None])
        prediction = self.judge([radiograph], gated, outputs)[0]
        method = explain or ("cam" if self.bundle.manifest.has_cam else None)
        is_answered = prediction.status == "ok"
        alike = self.neighbours(outputs.embedding[0]) if is_answered else ()
        explanation = None
        if method and is_answered:
            lungs = self.lungs_of(film, radiograph)
            label = prediction.predicted_class
            explanation = self.explain(film, label, method, options, lungs=lungs)
            prediction = flagged(prediction, lungs)
        prediction = replace(prediction, seconds=time.perf_counter() - started)
        return Reading(prediction, radiograph, explanation, alike)

    def read(self, source: str | os.PathLike[str] | bytes) -> Radiograph:
        """Decode a film, no larger than the bundle's spec allows.

        Raises:
            UnreadableImage: no image that can be decoded.
        """
        return imaging.read(source, max_pixels=self.bundle.manifest.preprocess.max_pixels)

    def prepare(self, radiograph: Radiograph) -> Prepared:
        """Return what the model is shown of a radiograph, as the bundle's spec says."""
        return self.preparer.prepare([radiograph.pixels])[0]

    def explain(
        self,
        film: Prepared,
        label: str,
        method: str,
        options: Options | None = None,
        *,
        lungs: Lungs | None = None,
    ) -> Explanation:
        """Explain the score of class `label` for one film, on a grid that spans the film.

        Args:
            film: as `prepare` returns it.
            label: the class.
            method: a name in `covid_cxr.explain.EXPLAINERS`.
            options: samples and seed of the explainer; None for what is recommended.
            lungs: of the film, for superpixels that follow them and for the evidence; None where
                not known.
        """
        found = self.explain_input(film, label, method, options, lungs=lungs)
        return with_lungs(on_radiograph(found, film.field), lungs)

    def explain_input(
        self,
        film: Prepared,
        label: str,
        method: str,
        options: Options | None = None,
        *,
        lungs: Lungs | None = None,
    ) -> Explanation:
        """Explain as `explain` does, on the model's input grid and without the evidence."""
        within = crop_lungs(lungs, film.field) if lungs else None
        chosen = replace(options or explain.RECOMMENDED, lungs=within)
        return explain.get(method)(film.image, self.runtime, label, chosen)

    def lungs_of(self, film: Prepared, radiograph: Radiograph) -> Lungs | None:
        """Return where the lungs lie; None where they are not to be seen."""
        if film.sought:
            return film.lungs
        return self.preparer.find_lungs([radiograph.pixels])[0]

    def neighbours(self, embedding: FloatArray) -> tuple[known.Neighbour, ...]:
        """Return the three films of the training nearest to an embedding (E,)."""
        return tuple(self._reference.nearest(embedding)) if self._reference else ()

    @cached_property
    def _reference(self) -> known.Reference | None:
        if not self.bundle.has_reference:
            return None
        return known.load(self.bundle.folder / REFERENCE)

    def judge(
        self, radiographs: Sequence[Radiograph], gated: Sequence[Gated], outputs: Outputs
    ) -> list[Prediction]:
        """Turn the graph's answers for `radiographs` into predictions, in order.

        Args:
            radiographs: N films as read.
            gated: what the gate says of each.
            outputs: of the graph, for what each film was shown as.
        """
        return [
            self._judge_one(*each)
            for each in zip(radiographs, gated, outputs.probabilities, strict=True)
        ]

    def _judge_one(
        self, radiograph: Radiograph, gated: Gated, probabilities: FloatArray
    ) -> Prediction:
        manifest = self.bundle.manifest
        is_blank = float(np.ptp(radiograph.pixels)) < _BLANK
        refusal = "blank image" if is_blank else gated.refusal
        if refusal:
            flags = (*radiograph.flags, refusal)
            return Prediction(radiograph.origin, "abstained", flags=flags, model=manifest.id)
        scores = {name: float(p) for name, p in zip(self.classes, probabilities, strict=True)}
        return Prediction(
            file=radiograph.origin,
            status="ok",
            predicted_class=predicted_class(scores, manifest.threshold),
            probabilities=scores,
            threshold=manifest.threshold,
            flags=(*radiograph.flags, *gated.remarks),
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


def facts(prediction: Prediction) -> Caption:
    """Return what a picture of `prediction` says beside the map."""
    probability = prediction.probabilities[prediction.predicted_class]
    return Caption(probability, prediction.threshold, prediction.file, flags=prediction.flags)


def flagged(prediction: Prediction, lungs: Lungs | None) -> Prediction:
    """Return the prediction, with a flag where lungs were looked for and not found."""
    flags = prediction.flags if lungs else (*prediction.flags, NO_LUNGS)
    return replace(prediction, flags=flags)
