"""`Model`: what `covid_cxr.load` returns, a predictor with what people ask of a model in Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from covid_cxr import explain
from covid_cxr.explain.settings import FAIR
from covid_cxr.imaging.in_memory import ImageSource, check_source, name_of
from covid_cxr.inference.answers import Work, answers_of
from covid_cxr.inference.entries import Entry, expand
from covid_cxr.inference.explaining import ExplainSettings, Inference, check_method
from covid_cxr.inference.predictions_csv import columns
from covid_cxr.inference.predictor import Predictor, Reading
from covid_cxr.types import BoolArray, FloatArray, Lungs, Prediction, Radiograph

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class InputCheckResult:
    """Whether an image is an upright frontal chest radiograph, which alone is predicted.

    Attributes:
        passed: it is one, and is predicted.
        reason: why it is rejected; empty where it passed.
        warnings: what a reader should know of an image that passed ("hardly any contrast").
    """

    passed: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()


class Model(Predictor):
    """A trained model, ready to predict and explain; `covid_cxr.load` opens one.

    Every method takes what `covid_cxr.read_image` reads: a path, the content of a file as bytes, a
    NumPy array, a Pillow image, a pydicom Dataset, or a Radiograph. Several threads may share a
    model. Research software, not a medical device.

    >>> import covid_cxr
    >>> from covid_cxr.phantoms import draw
    >>> model = covid_cxr.load(threads=1)
    >>> model.classes
    ('non-covid-19', 'covid-19')
    >>> reading = model.predict(draw("covid-19", seed=1).pixels)
    >>> reading.prediction.status
    'ok'
    """

    def predict_many(self, sources: ImageSource | Iterable[ImageSource]) -> pd.DataFrame:
        """Predict any number of radiographs; a table with one row for each.

        What cannot be read gives a row with status "error" and the reason as its message, and the
        others are predicted all the same. Progress is reported by `covid_cxr.progress`.

        Args:
            sources: images as `read_image` takes them. A folder stands for all files in it and
                below, in order of their names.

        Returns:
            The columns of predictions.csv: file, status ("ok", "abstained" where the input check
            rejected the image, or "error"), message, predicted_class, probability_<class> for each
            class, threshold, flags, explanation, explanation_fidelity, model, seconds.

        Raises:
            InputError: a source that is no image at all, such as None; nothing is predicted then.

        >>> import covid_cxr
        >>> from covid_cxr.phantoms import draw
        >>> images = [draw(finding, seed=1).pixels for finding in ("normal", "covid-19")]
        >>> table = covid_cxr.load(threads=1).predict_many(images)
        >>> table[["file", "status"]].values.tolist()
        [['<array 0>', 'ok'], ['<array 1>', 'ok']]
        """
        import pandas as pd

        entries = list(_entries(sources))
        answers = chain.from_iterable(answers_of(Work(self), entries, len(entries)))
        rows = [_row(answer.prediction, self.classes) for answer in answers]
        return pd.DataFrame(rows, columns=columns(self.classes))

    def explain(
        self,
        source: ImageSource,
        method: str = "lime",
        *,
        min_fidelity: float = FAIR,
        **settings: Any,
    ) -> Reading:
        """Predict one radiograph and explain why, by a chosen method.

        Args:
            source: an image as `read_image` takes it.
            method: one of `covid_cxr.explainers()`.
            min_fidelity: an explanation that follows the model less well than this is replaced by
                the class activation map, and a flag of the prediction says so; 0 keeps all.
            settings: of the method, such as samples, regions, fill and seed.

        Returns:
            The prediction with its explanation. The explanation is None where the input check
            rejected the image, or where a flag of the prediction says why there is none.

        Raises:
            InputError: the source is no radiograph, a setting is unknown or out of range, or the
                method needs weights or class activation maps that the bundle does not hold.
            UnknownName: no such method.

        >>> import covid_cxr
        >>> from covid_cxr.phantoms import draw
        >>> model = covid_cxr.load(threads=1)
        >>> reading = model.explain(draw("covid-19", seed=1).pixels, "occlusion-regions", regions=9)
        >>> reading.explanation.method
        'occlusion-regions'
        """
        check_method(self.bundle, method)
        options = explain.get(method).configure(settings)
        return self.predict(source, ExplainSettings(method, options, least_fidelity=min_fidelity))

    def embed(self, source: ImageSource) -> FloatArray:
        """Return the network's pooled features of one radiograph, float32 (E,).

        They are returned for any image, whatever the input check says of it.

        Raises:
            InputError: the source is no image.

        >>> import covid_cxr
        >>> from covid_cxr.phantoms import draw
        >>> covid_cxr.load(threads=1).embed(draw("normal", seed=1).pixels).shape
        (1280,)
        """
        return self._infer_one(source).embedding

    def segment_lungs(self, source: ImageSource) -> Lungs | None:
        """Return masks (H, W) of both lungs, of the image's own size; None if not found.

        Raises:
            InputError: the source is no image.

        >>> import covid_cxr
        >>> from covid_cxr.phantoms import draw
        >>> pixels = draw("normal", seed=1).pixels
        >>> lungs = covid_cxr.load(threads=1).segment_lungs(pixels)
        >>> lungs.both.shape == pixels.shape
        True
        """
        radiograph = self.read(source)
        (lungs,) = self.preparer.segmenter.segment([radiograph.pixels])
        if lungs is None:
            return None
        shape = radiograph.pixels.shape
        return Lungs(_resized(lungs.right, shape), _resized(lungs.left, shape))

    def check_input(self, source: ImageSource) -> InputCheckResult:
        """Tell whether an image is an upright frontal chest radiograph, and if not, why not.

        Raises:
            InputError: the source is no image.

        >>> import covid_cxr
        >>> from covid_cxr.phantoms import draw
        >>> pixels = draw("normal", seed=1).pixels
        >>> model = covid_cxr.load(threads=1)
        >>> model.check_input(pixels).passed, model.check_input(pixels[::-1]).passed
        (True, False)
        """
        prediction = self._infer_one(source).prediction
        if prediction.status == "ok":
            return InputCheckResult(True, warnings=prediction.flags)
        return InputCheckResult(False, prediction.flags[-1], prediction.flags[:-1])

    def _infer_one(self, source: ImageSource) -> Inference:
        (inference,) = self.infer([self.read(source)])
        return inference


def _entries(sources: ImageSource | Iterable[ImageSource]) -> Iterator[Entry]:
    """Yield every source with what its row calls it; folders as the files in them.

    Raises:
        InputError: one is of no kind that can be read.
    """
    is_one = isinstance(sources, str | os.PathLike | bytes | Radiograph)
    if not is_one and not isinstance(sources, Iterable):
        check_source(sources)
    listed: list[Any] = [sources] if is_one else list(sources)  # type: ignore[arg-type]
    for source in listed:
        check_source(source)
    for number, source in enumerate(listed):
        if isinstance(source, str | os.PathLike):
            yield from expand([Path(source)])
        elif isinstance(source, Radiograph):
            yield Entry(source.origin, source)
        else:
            yield Entry(f"{name_of(source)[:-1]} {number}>", source)


def _row(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, object]:
    scores = prediction.probabilities
    probabilities = {f"probability_{name}": scores.get(name, np.nan) for name in classes}
    return asdict(prediction) | probabilities | {"flags": "; ".join(prediction.flags)}


def _resized(mask: BoolArray, shape: tuple[int, ...]) -> BoolArray:
    """Return a mask at another size, each pixel from the nearest."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(shape, mask.shape, strict=True)
    )
    resized: BoolArray = mask[np.ix_(rows, columns)]
    return resized
