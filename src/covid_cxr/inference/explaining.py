"""One answered film explained: map, lungs, neighbours, counterfactual regions, picture and JSON."""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from covid_cxr.errors import InputError
from covid_cxr.explain import RECOMMENDED, Options
from covid_cxr.explain.methods.counterfactual import counterfactual_regions
from covid_cxr.explain.rendering.grid import on_radiograph
from covid_cxr.explain.rendering.montage import Tile
from covid_cxr.explain.rendering.overlay import DEFAULT_STYLE, OverlayStyle
from covid_cxr.explain.rendering.sentence import FAIR
from covid_cxr.explain.rendering.writing import save
from covid_cxr.explain.rendering.zones import with_lungs
from covid_cxr.files import atomic_write
from covid_cxr.imaging.crop import crop_lungs
from covid_cxr.inference.alike import Known, alike
from covid_cxr.inference.inputs import Prepared
from covid_cxr.inference.predictor import Predictor, facts, flagged
from covid_cxr.types import Explanation, FloatArray, Lungs, Prediction, Radiograph


@dataclass(frozen=True)
class How:
    """How the films of a batch are explained.

    Attributes:
        method: a name in `covid_cxr.explain.EXPLAINERS`.
        options: samples, seed and regions.
        style: palette, opacity and lines.
        least_fidelity: a map of less is not drawn; its row says so, and the class activation map
            is drawn instead where the model has an exact one.
        counterfactual: also look for the smallest set of regions without which the call would be
            another.
        montage: also draw montages of all radiographs.
        known: finds a film of the training by its id, to draw those that a film looks like; None
            draws none.
    """

    method: str
    options: Options = RECOMMENDED
    style: OverlayStyle = DEFAULT_STYLE
    least_fidelity: float = FAIR
    counterfactual: bool = False
    montage: bool = False
    known: Known | None = None


class Answered(NamedTuple):
    """A film with its prediction, before it is explained."""

    prediction: Prediction
    radiograph: Radiograph
    prepared: Prepared
    embedding: FloatArray  # (E,)


def explained(
    predictor: Predictor, film: Answered, stem: Path, how: How
) -> tuple[Prediction, Tile]:
    """Explain an answered film, write its picture and JSON, and return its row and its tile.

    Args:
        predictor: the model.
        film: answered with status `ok`.
        stem: path of picture and JSON, without suffix.
        how: method and looks.
    """
    started = time.perf_counter()
    prediction, label = film.prediction, film.prediction.predicted_class
    lungs = predictor.lungs_of(film.prepared, film.radiograph)
    prediction = flagged(prediction, lungs)
    try:
        seen = predictor.explain_input(film.prepared, label, how.method, how.options, lungs=lungs)
    except InputError as error:
        return _without(prediction, film, f"no explanation: {error}", started)
    if seen.fidelity is not None and seen.fidelity < how.least_fidelity:
        told = f"fidelity {seen.fidelity:.2f} of {how.method} is below {how.least_fidelity:g}"
        if not predictor.bundle.manifest.has_cam:
            return _without(prediction, film, f"no explanation: {told}", started)
        # Exact and free, so that nobody is left without a picture of why.
        prediction = _remarked(prediction, f"{told}: class activation map drawn instead")
        seen = predictor.explain_input(film.prepared, label, "cam", how.options, lungs=lungs)
    found = with_lungs(on_radiograph(seen, film.prepared.field), lungs)
    prediction = replace(prediction, explanation_fidelity=found.fidelity)
    beside = replace(facts(prediction), more=_more(predictor, film, seen, how, lungs))
    picture = save(stem, film.radiograph.pixels, found, beside, how.style)
    if how.known:
        _draw_alike(predictor, film, stem, how.known)
    prediction = replace(
        prediction,
        explanation=f"{stem.parent.name}/{picture.name}",
        seconds=prediction.seconds + time.perf_counter() - started,
    )
    return prediction, Tile(film.radiograph.pixels, found, beside)


def _without(
    prediction: Prediction, film: Answered, why: str, started: float
) -> tuple[Prediction, Tile]:
    seconds = prediction.seconds + time.perf_counter() - started
    told = replace(_remarked(prediction, why), seconds=seconds)
    return told, Tile(film.radiograph.pixels, None, facts(told), told.predicted_class)


def _remarked(prediction: Prediction, remark: str) -> Prediction:
    return replace(prediction, flags=(*prediction.flags, remark))


def _more(
    predictor: Predictor, film: Answered, seen: Explanation, how: How, lungs: Lungs | None
) -> dict[str, Any]:
    """Return what else the JSON holds: similar films and the counterfactual regions."""
    alike = predictor.neighbours(film.embedding)
    more: dict[str, Any] = {"neighbours": [each._asdict() for each in alike]}
    if how.counterfactual:
        threshold = predictor.bundle.manifest.threshold
        within = crop_lungs(lungs, film.prepared.field) if lungs else None
        options = replace(how.options, lungs=within)
        counterfactual = counterfactual_regions(
            film.prepared.image,
            predictor.runtime,
            seen,
            seen.label,
            threshold=threshold,
            options=options,
        )
        more["counterfactual"] = asdict(counterfactual)
    return more


def _draw_alike(predictor: Predictor, film: Answered, stem: Path, known: Known) -> None:
    found = predictor.neighbours(film.embedding)
    picture = io.BytesIO()
    page = alike(film.radiograph.pixels, film.prediction.file, found, known)
    page.save(picture, "PNG")
    atomic_write(stem.with_name(f"{stem.name}-alike.png"), picture.getvalue())
