"""The one way from a radiograph to an explained prediction.

Single predictions, batches, cohorts and the examples of a report all go through `Predictor.infer`
(input check, preprocessing, forward pass, postprocessing) and `Predictor.explain_inference`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from covid_cxr.errors import BundleError
from covid_cxr.explain import Settings
from covid_cxr.explain.rendering.page import draw_page
from covid_cxr.imaging.dicom.reading import FOR_PROCESSING
from covid_cxr.imaging.in_memory import ImageSource, read_image
from covid_cxr.imaging.page import png
from covid_cxr.inference.explaining import (
    Explained,
    ExplainSettings,
    Inference,
    caption_of,
    explain_inference,
    explain_input,
    on_radiograph,
)
from covid_cxr.inference.inputs import ModelInput, Preparer, ReducedPixels, rejection_of
from covid_cxr.inference.lungs import Analysis
from covid_cxr.inference.runtime import Runtime
from covid_cxr.inference.similar_cases import Reference, SimilarCase, load
from covid_cxr.models.bundle import REFERENCE, Bundle
from covid_cxr.types import COVID, Explanation, FloatArray, Prediction, Radiograph

ForProcessing = Literal["assess", "abstain"]


@dataclass(frozen=True)
class Reading:
    """A prediction with the picture of why, which a notebook draws; without one, as a table.

    `explanation` is None where the image was abstained from, where a flag says why, or where the
    model has no class activation map and no other method was asked for. `similar_cases` are the
    radiographs of the training that resemble it, nearest first; empty where the bundle has none.
    """

    prediction: Prediction
    radiograph: Radiograph
    explanation: Explanation | None
    similar_cases: tuple[SimilarCase, ...] = ()

    @cached_property
    def picture(self) -> Image.Image | None:
        """The radiograph beside its overlay, green for the class and red against it."""
        if self.explanation is None:
            return None
        return draw_page(self.radiograph.pixels, self.explanation, caption_of(self.prediction))

    def _repr_png_(self) -> bytes | None:
        return None if self.picture is None else png(self.picture)

    def _repr_html_(self) -> str | None:
        return self.prediction._repr_html_() if self.picture is None else None


class ReducedRadiograph(NamedTuple):
    """What a prediction needs of a radiograph.

    Attributes:
        origin, flags: as of the radiograph.
        pixels: of fixed size, about a megapixel, wherever the bundle's preprocessing allows.
    """

    origin: str
    flags: tuple[str, ...]
    pixels: ReducedPixels


class Predictor:
    """A bundle, ready to predict.

    Args:
        bundle: an opened, verified bundle.
        threads: CPU threads; None for all cores.
        for_processing: "assess" DICOM images that hold detector values before any processing for
            display (PS3.3 C.8.11.1.1.1), with a flag, or "abstain" from them.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, for_processing: ForProcessing = "assess"
    ) -> None:
        self.bundle, self.threads, self.for_processing = bundle, threads, for_processing
        self.runtime = Runtime(bundle, threads)
        self.preparer = Preparer(bundle.manifest.preprocess, threads, bundle.lungs)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.bundle.manifest.classes

    def predict(self, source: ImageSource, settings: ExplainSettings | None = None) -> Reading:
        """Predict and explain one radiograph.

        Args:
            source: an image as `covid_cxr.read_image` takes it: a path, bytes, a NumPy array, a
                Pillow image, a pydicom Dataset or a Radiograph.
            settings: how it is explained; None takes the class activation map, which costs
                nothing, where the model has one.

        Raises:
            UnreadableImage: the source is no image that can be decoded.
            InputError: the source is of another type.
            BundleError: the bundle's answer is not finite.
            UnknownName: no such explainer.
        """
        started = time.perf_counter()
        radiograph = self.read(source)
        (inference,) = self.infer([radiograph])
        if inference.prediction.status == "error":
            raise BundleError(inference.prediction.message)
        is_answered = inference.prediction.status == "ok"
        explained = Explained(inference.prediction)
        if settings is None and self.bundle.manifest.has_cam:
            settings = ExplainSettings("cam")
        if settings and is_answered:
            explained = self.explain_inference(inference, settings)
        similar = self.similar_cases(inference.embedding) if is_answered else ()
        prediction = replace(explained.prediction, seconds=time.perf_counter() - started)
        return Reading(prediction, radiograph, explained.explanation, similar)

    def read(self, source: ImageSource, sha256: str | None = None) -> Radiograph:
        """Read a radiograph, no larger than the bundle's settings allow; see `read_image`.

        Args:
            source: an image as `read_image` takes it.
            sha256: of a file, as a cohort states it.

        Raises:
            UnreadableImage: no image that can be decoded.
            AlteredImage: the bytes have another SHA-256 than `sha256`.
            InputError: the source is of another type.
        """
        max_pixels = self.bundle.manifest.preprocess.max_pixels
        return read_image(source, max_pixels=max_pixels, sha256=sha256)

    def prepare(self, radiograph: Radiograph) -> ModelInput:
        """Return what the model is shown of a radiograph, without the input check."""
        return self.preparer.prepare([radiograph.pixels])[0]

    def infer(self, radiographs: Sequence[Radiograph]) -> list[Inference]:
        """Check, prepare and answer radiographs together, in order.

        An answer is the same to the last bit whatever else is answered with it.
        """
        return self.infer_reduced([self.reduce(radiograph) for radiograph in radiographs])

    def reduce(self, radiograph: Radiograph) -> ReducedRadiograph:
        """Return what `infer_reduced` needs of a radiograph, so that its pixels can be let go."""
        reduced = self.preparer.reduce(radiograph.pixels)
        return ReducedRadiograph(radiograph.origin, radiograph.flags, reduced)

    def infer_reduced(self, radiographs: Sequence[ReducedRadiograph]) -> list[Inference]:
        """Do as `infer` does, for radiographs of which only this is left."""
        if not radiographs:
            return []
        checked = self.preparer.check([radiograph.pixels for radiograph in radiographs])
        outputs = self.runtime.run(np.stack([model_input.image for model_input, _ in checked]))
        answers = zip(radiographs, checked, outputs.probabilities, outputs.embedding, strict=True)
        return [
            Inference(self._postprocess(radiograph, analysis, scores), model_input, embedding)
            for radiograph, (model_input, analysis), scores, embedding in answers
        ]

    def explain_inference(self, inference: Inference, settings: ExplainSettings) -> Explained:
        """Explain a prediction whose status is "ok", or flag why it cannot be explained.

        Raises:
            UnknownName: no such explainer.
        """
        return explain_inference(self.runtime, inference, settings)

    def explain_class(
        self, model_input: ModelInput, label: str, method: str, options: Settings | None = None
    ) -> Explanation:
        """Explain the score of any class, whatever was predicted and however low the fidelity.

        Args:
            model_input: as `prepare` returns it.
            label: the class.
            method: a name in `covid_cxr.explain.EXPLAINERS`.
            options: the explainer's settings; None takes its defaults.

        Raises:
            InputError: the method cannot explain this model.
            UnknownName: no such explainer.
        """
        return on_radiograph(
            explain_input(self.runtime, model_input, label, method, options), model_input
        )

    def similar_cases(self, embedding: FloatArray) -> tuple[SimilarCase, ...]:
        """Return the three radiographs of the training nearest to an embedding (E,)."""
        return tuple(self._reference.nearest(embedding)) if self._reference else ()

    @cached_property
    def _reference(self) -> Reference | None:
        return load(self.bundle.folder / REFERENCE) if self.bundle.has_reference else None

    def _postprocess(
        self, radiograph: ReducedRadiograph, analysis: Analysis, probabilities: FloatArray
    ) -> Prediction:
        manifest = self.bundle.manifest
        rejection = rejection_of(radiograph.pixels, analysis)
        if self.for_processing == "abstain" and FOR_PROCESSING in radiograph.flags:
            rejection = "not assessed"
        if rejection:
            flags = (*radiograph.flags, rejection)
            return Prediction(radiograph.origin, "abstained", flags=flags, model=manifest.id)
        if not np.isfinite(probabilities).all():
            message = (
                f"'{radiograph.origin}': bundle {manifest.id} answers with numbers that are not "
                "finite; train or export it again"
            )
            return Prediction(radiograph.origin, "error", message, model=manifest.id)
        scores = {name: float(p) for name, p in zip(self.classes, probabilities, strict=True)}
        return Prediction(
            file=radiograph.origin,
            status="ok",
            predicted_class=predicted_class(scores, manifest.threshold),
            probabilities=scores,
            threshold=manifest.threshold,
            flags=(*radiograph.flags, *analysis.warnings),
            model=manifest.id,
        )


def predicted_class(probabilities: Mapping[str, float], threshold: float) -> str:
    """Return COVID-19 from its threshold on, else the most probable other class.

    >>> predicted_class({"normal": 0.5, "pneumonia": 0.2, "covid-19": 0.3}, threshold=0.25)
    'covid-19'
    """
    if probabilities[COVID] >= threshold:
        return COVID
    others = {name: p for name, p in probabilities.items() if name != COVID}
    return max(others, key=others.__getitem__)
