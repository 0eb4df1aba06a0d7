"""Why a model gave a prediction: the map, with a fallback where its fidelity is low, and its files.

Every explanation of a prediction comes from `explain_inference`, whoever asks for it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from covid_cxr import explain
from covid_cxr.errors import InputError
from covid_cxr.explain import resampling
from covid_cxr.explain.counterfactual import (
    Counterfactual,
    CounterfactualSettings,
    counterfactual_regions,
)
from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle
from covid_cxr.explain.rendering.page import Caption
from covid_cxr.explain.rendering.writing import save
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.explain.settings import FAIR
from covid_cxr.files import atomic_write
from covid_cxr.imaging.crop import crop_lungs
from covid_cxr.imaging.page import png
from covid_cxr.inference.inputs import ModelInput
from covid_cxr.inference.runtime import Runtime
from covid_cxr.inference.similar_cases import ImageLoader, SimilarCase, draw_similar_cases
from covid_cxr.models.bundle import Bundle
from covid_cxr.types import Explanation, FloatArray, Lungs, Prediction

NO_LUNGS = "lungs not found"
NO_EXPLANATION = "no explanation"  # begins the flag that says why there is none


@dataclass(frozen=True)
class ExplainSettings:
    """How predictions are explained.

    Attributes:
        method: a name in `covid_cxr.explain.EXPLAINERS`.
        options: the method's own settings; None takes its defaults.
        style: palette, opacity and lines.
        least_fidelity: a map of less is not given; a flag says so, and the class activation map
            is given instead where the model has an exact one.
        counterfactual: also find the fewest regions without which the class would be another.
        montage: also draw montages of all images of a batch.
        load_image: loads a radiograph of the training by its id, to draw similar cases; None
            draws none.
    """

    method: str
    options: explain.Settings | None = None
    style: OverlayStyle = DEFAULT_STYLE
    least_fidelity: float = FAIR
    counterfactual: bool = False
    montage: bool = False
    load_image: ImageLoader | None = None

    def __post_init__(self) -> None:
        """Reject a fidelity that no map could be compared with."""
        if math.isnan(self.least_fidelity):
            raise InputError("least fidelity is nan, expected a number such as 0.5")


@dataclass(frozen=True)
class Inference:
    """A prediction, and what is needed to explain it.

    The radiograph itself is not kept: a million pixels take four megabytes.

    Attributes:
        prediction: answered or abstained from.
        input: what the model was shown.
        embedding: float32 (E,).
    """

    prediction: Prediction
    input: ModelInput
    embedding: FloatArray


class Explained(NamedTuple):
    """A prediction with its explanation.

    Attributes:
        prediction: with the flags and the fidelity of the explanation.
        explanation: on a grid that spans the radiograph; None where a flag says why.
        counterfactual: None where none was asked for.
    """

    prediction: Prediction
    explanation: Explanation | None = None
    counterfactual: Counterfactual | None = None


def check_method(bundle: Bundle, method: str) -> None:
    """Check that `method` exists and can explain the bundle's model.

    Raises:
        InputError: the bundle lacks what the method needs; the message names ours that it has all
            for.
        UnknownName: no such explainer.
        MissingDependency: it needs a package that is not installed.
    """
    needed = explain.needs(method)
    lacking = {
        need
        for need, is_there in (
            (explain.CLASS_MAPS, bundle.manifest.has_cam),
            (explain.WEIGHTS, bundle.has_weights),
        )
        if not is_there
    }
    if needed in lacking:
        others = [name for name in explain.EXPLAINERS if explain.NEEDS.get(name) not in lacking]
        raise InputError(
            f"'{method}' needs {needed}, which bundle {bundle.id} does not hold; "
            f"it can be explained by {', '.join(others)}"
        )
    explain.get(method)


def explain_input(
    model: Runtime,
    model_input: ModelInput,
    label: str,
    method: str,
    options: explain.Settings | None = None,
    *,
    lungs: Lungs | None = None,
) -> Explanation:
    """Explain the score of class `label` on the model's input grid.

    Args:
        model: what is explained.
        model_input: what it was shown.
        label: the class.
        method: a name in `covid_cxr.explain.EXPLAINERS`.
        options: the method's own settings; None takes its defaults.
        lungs: on the whole radiograph, for superpixels that follow them; None where not known.

    Raises:
        InputError: the method cannot explain this model.
        UnknownName: no such explainer.
    """
    within = crop_lungs(lungs, model_input.box) if lungs else None
    return explain.get(method)(model_input.image, model, label, options, lungs=within)


def on_radiograph(
    explanation: Explanation, model_input: ModelInput, lungs: Lungs | None = None
) -> Explanation:
    """Return an explanation on a grid that spans the radiograph, with its shares by lung zone."""
    return with_lungs(resampling.on_radiograph(explanation, model_input.box), lungs)


def explain_inference(model: Runtime, inference: Inference, settings: ExplainSettings) -> Explained:
    """Explain a prediction whose status is "ok".

    Raises:
        UnknownName: no such explainer.
    """
    model_input, lungs = inference.input, inference.input.lungs
    prediction = inference.prediction if lungs else flagged(inference.prediction, NO_LUNGS)
    label, options, method = prediction.predicted_class, settings.options, settings.method
    explain.get(method)
    try:
        on_input = explain_input(model, model_input, label, method, options, lungs=lungs)
    except InputError as error:
        return Explained(flagged(prediction, f"{NO_EXPLANATION}: {error}"))
    if on_input.fidelity is not None and on_input.fidelity < settings.least_fidelity:
        low = f"fidelity {on_input.fidelity:.2f} of {method} is below {settings.least_fidelity:g}"
        if not model.bundle.manifest.has_cam:
            return Explained(flagged(prediction, f"{NO_EXPLANATION}: {low}"))
        # Exact and free, so that nobody is left without a picture of why.
        prediction = flagged(prediction, f"{low}: class activation map drawn instead")
        on_input = explain_input(model, model_input, label, "cam", lungs=lungs)
    prediction = replace(prediction, explanation_fidelity=on_input.fidelity)
    counterfactual = None
    if settings.counterfactual:
        counterfactual = _counterfactual(model, model_input, on_input, options)
    return Explained(prediction, on_radiograph(on_input, model_input, lungs), counterfactual)


def write_explanation(
    stem: Path,
    pixels: FloatArray,
    explained: Explained,
    settings: ExplainSettings,
    similar_cases: Sequence[SimilarCase],
) -> Prediction:
    """Write picture and JSON of an explanation, and similar cases where they can be loaded.

    Args:
        stem: path without suffix.
        pixels: the radiograph as read, (H, W) in [0, 1].
        explained: with an explanation.
        settings: palette and image loader.
        similar_cases: of the training, nearest first.

    Returns:
        The prediction, which names the picture.
    """
    prediction, explanation, counterfactual = explained
    assert explanation is not None
    more: dict[str, Any] = {"similar_cases": [case._asdict() for case in similar_cases]}
    if counterfactual:
        more["counterfactual"] = asdict(counterfactual)
    caption = caption_of(prediction, more)
    picture = save(stem, pixels, explanation, caption, settings.style)
    if settings.load_image:
        cases = draw_similar_cases(pixels, prediction.file, similar_cases, settings.load_image)
        atomic_write(stem.with_name(f"{stem.name}-similar-cases.png"), png(cases))
    return replace(prediction, explanation=f"{stem.parent.name}/{picture.name}")


def picture_stem(file: str) -> str:
    """Return a file name for the picture of `file`: readable, safe, and its own.

    Two files of one name in different folders get different pictures, and a second run over the
    same files replaces its own.

    >>> picture_stem("ward 3/chest.png")
    'chest-b07651d0'
    """
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(file).stem).strip("._-")[:60]
    return f"{readable or 'image'}-{hashlib.sha256(file.encode()).hexdigest()[:8]}"


def caption_of(prediction: Prediction, more: Mapping[str, Any] | None = None) -> Caption:
    """Return what a picture of `prediction` says beside the map."""
    probability = prediction.probabilities.get(prediction.predicted_class, 0.0)
    return Caption(
        probability, prediction.threshold, prediction.file, flags=prediction.flags, more=more or {}
    )


def flagged(prediction: Prediction, flag: str) -> Prediction:
    """Return the prediction with one more flag."""
    return replace(prediction, flags=(*prediction.flags, flag))


def _counterfactual(
    model: Runtime, model_input: ModelInput, on_input: Explanation, options: explain.Settings | None
) -> Counterfactual:
    within = crop_lungs(model_input.lungs, model_input.box) if model_input.lungs else None
    kinds = (explain.RegionSettings, explain.FillSettings, explain.Settings)
    shared = next((kind.names() for kind in kinds if isinstance(options, kind)), ())
    settings = CounterfactualSettings(**{name: getattr(options, name) for name in shared})
    return counterfactual_regions(
        model_input.image,
        model,
        on_input,
        on_input.label,
        threshold=model.bundle.manifest.threshold,
        settings=settings.model_copy(update={"lungs": within}),
    )
