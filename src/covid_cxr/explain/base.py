"""What an explainer is, and the checks and the record that all of them share.

An explainer is one function of an image and a model:

    def my_method(image, model, index, settings: MySettings) -> FloatArray: ...

`Explainer` wraps it: it checks the image, the class and the settings before, and the map after, and
makes an `Explanation` of it. The function needs no decorator and registers nowhere but in
`EXPLAINERS` or as an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.settings import Settings, configure
from covid_cxr.types import Explanation, FloatArray, IntArray, Lungs

Real = TypeVar("Real", bound=np.floating)
AGAINST = "mean of the other classes"  # what a margin compares a class with


class Model(Protocol):
    """The trained model as an explainer sees it; `inference.Runtime` is one."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""

    @property
    def bundle_id(self) -> str:
        """Id of the bundle, written into every explanation."""

    @property
    def weights(self) -> Path | None:
        """Bundle folder that holds `weights.safetensors`; None where they were not shipped."""

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, C) class probabilities of preprocessed images (N, 1, S, S) in [0, 1].

        The caller reuses `images` for the next batch, so no view of it may be kept.
        """

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return the (C, h, w) class activation maps of one image (1, S, S).

        None where the head is not linear over pooled features.
        """


class Attribution(NamedTuple):
    """What a method finds, where it is more than a map.

    Attributes:
        attribution: float32 (S, S), signed: positive supports the class.
        parameters: what the method was run with beside its settings, JSON-ready.
        segments: int32 (S, S), region numbers 0..n-1, where the method works on regions.
        weights: one a region.
        fidelity: at most 1; None where undefined.
    """

    attribution: FloatArray
    parameters: Mapping[str, object] = MappingProxyType({})
    segments: IntArray | None = None
    weights: tuple[float, ...] = ()
    fidelity: float | None = None


# (image, model, index) or (image, model, index, settings): an image float32 (1, S, S) in [0, 1],
# which is not written to, a model, the output column of the explained class, and the method's own
# settings; returns the map (S, S) alone or an `Attribution`.
Method = Callable[..., Attribution | FloatArray]


@dataclass(frozen=True)
class Explainer:
    """A method by its name, with the checks before and after it.

    Attributes:
        name: written into every explanation.
        method: the function.
        settings: class of its settings.
    """

    name: str
    method: Method = field(repr=False)
    settings: type[Settings]

    @classmethod
    def of(cls, name: str, method: Method, owner: str = "") -> Self:
        """Return the explainer that a function is; its settings are those of its signature.

        Args:
            name: of the explainer.
            method: the function.
            owner: how an error message begins; "" for kind and name.

        Raises:
            InputError: the function has not the signature of a method.
        """
        return cls(name, method, _settings_class(owner or f"explainer '{name}'", method))

    def configure(self, values: Mapping[str, object]) -> Settings:
        """Return the method's settings with `values` in place of defaults.

        Raises:
            UnknownName: the method has no such setting.
            InputError: a value is of the wrong type or out of bounds.
        """
        return configure(self.settings, values, self.name)

    def __call__(
        self,
        image: FloatArray,
        model: Model,
        label: str,
        settings: Settings | None = None,
        *,
        lungs: Lungs | None = None,
    ) -> Explanation:
        """Explain the probability that `model` gave to class `label` of `image`.

        Args:
            image: preprocessed, float32 (1, S, S) in [0, 1]; not written to.
            model: the model.
            label: one of `model.classes`.
            settings: of the class `self.settings`; None takes the defaults.
            lungs: of this image, for methods that follow them; None leaves those of `settings`.

        Raises:
            UnknownName: the model has no class `label`.
            InputError: the image is not a finite float32 (1, S, S), the settings are another
                method's, or the method cannot explain this model.
        """
        check_image(image)
        index = class_index(model, label)
        settings = self._own(settings)
        if lungs is not None:
            settings = settings.model_copy(update={"lungs": lungs})
        has_settings = len(signature(self.method).parameters) > 3
        answer = self.method(image, model, index, *([settings] if has_settings else []))
        fields = self._checked(answer, image.shape[1:])._asdict()
        fields["parameters"] = settings.record() | dict(fields["parameters"])
        return Explanation(self.name, label, seed=settings.seed, bundle=model.bundle_id, **fields)

    def _own(self, settings: Settings | None) -> Settings:
        if settings is None:
            return self.settings()
        if not isinstance(settings, self.settings):
            raise InputError(
                f"explainer '{self.name}' was given {type(settings).__name__}, "
                f"expected {self.settings.__name__}"
            )
        return settings

    def _checked(self, answer: Attribution | FloatArray, shape: tuple[int, ...]) -> Attribution:
        whole = answer if isinstance(answer, Attribution) else Attribution(answer)
        attribution = np.asarray(whole.attribution, dtype=np.float32)
        if attribution.shape != shape or not np.isfinite(attribution).all():
            raise InputError(
                f"explainer '{self.name}' returned a map of shape {attribution.shape} with "
                f"{int((~np.isfinite(attribution)).sum())} values that are not finite, expected "
                f"finite {shape}; report it to its author"
            )
        return whole._replace(attribution=attribution)


def _settings_class(owner: str, method: Method) -> type[Settings]:
    """Return the class that a method's fourth parameter is annotated with."""
    where = f"{getattr(method, '__module__', '?')}:{getattr(method, '__qualname__', method)}"
    try:
        parameters, hints = list(signature(method).parameters), get_type_hints(method)
    except (TypeError, ValueError, NameError) as error:
        raise InputError(f"{owner} ({where}) has no readable signature: {error}") from error
    if len(parameters) == 3:
        return Settings
    settings: Any = hints.get(parameters[3]) if len(parameters) == 4 else None
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        raise InputError(
            f"{owner} ({where}) takes ({', '.join(parameters)}), expected (image, "
            "model, index) or (image, model, index, settings), settings annotated with a subclass "
            "of covid_cxr.explain.Settings"
        )
    return settings


def by_region(
    segments: IntArray,
    weights: NDArray[np.float64],
    parameters: Mapping[str, object] = MappingProxyType({}),
    fidelity: float | None = None,
) -> Attribution:
    """Return the attribution of a method that gives each region (n,) a weight."""
    attribution = weights.astype(np.float32)[segments]
    return Attribution(attribution, parameters, segments, tuple(weights.tolist()), fidelity)


def class_index(model: Model, label: str) -> int:
    """Return the output column of class `label`.

    Raises:
        UnknownName: the model has no such class.
    """
    if label not in model.classes:
        raise UnknownName("class", label, model.classes)
    return model.classes.index(label)


def check_image(image: FloatArray) -> None:
    """Check that `image` is one preprocessed radiograph, float32 (1, S, S) and finite.

    Raises:
        InputError: anything else.
    """
    if image.ndim != 3 or image.shape[0] != 1 or image.shape[1] != image.shape[2]:
        raise InputError(f"image has shape {image.shape}, expected (1, S, S) as preprocessed")
    if image.dtype != np.float32 or not np.isfinite(image).all():
        raise InputError(f"image is {image.dtype}, expected finite float32; preprocess it first")


def margin(scores: NDArray[Real], index: int) -> NDArray[Real]:
    """Return the scores (C, ...) of class `index` less the mean of the other classes."""
    others: NDArray[Real] = np.delete(scores, index, axis=0).mean(axis=0)
    return np.asarray(scores[index] - others)
