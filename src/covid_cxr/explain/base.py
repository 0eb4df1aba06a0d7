"""What every explainer is given, and the checks and the record that all share.

A method is one function from an image and a model to an `Attribution`; `explainer` checks what it
is given and makes an `Explanation` of what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from covid_cxr.errors import InputError, UnknownName
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


Fill = Literal["mean", "dark", "blur", "dataset"]
Superpixels = Literal["quickshift", "slic", "lungs", "grid"]
Sampling = Literal["bernoulli", "antithetic", "balanced"]


@dataclass(frozen=True)
class Options:
    """How an explanation is made.

    Attributes:
        samples: most perturbed images that a sampling method shows to the model, at least 10.
        seed: random seed.
        batch_size: images per forward pass.
        superpixels: the regions that are hidden: "quickshift" (the original), "slic", "lungs" (SLIC
            that never crosses the border of a lung; plain SLIC where none were found) or a square
            "grid".
        regions: number of superpixels to aim at; quickshift chooses its own.
        fill: what replaces a hidden region: its "mean" grey (the original), "dark" (the grey of
            clear lung), the image under a strong "blur", or the mean of the "dataset" (0.5, which
            every standardised image has). The mean of a hazy region is as hazy as the region, so
            that only the other three ask what the model would say without the haze.
        kernel_width: of LIME's weights, on cosine distance.
        sampling: how LIME chooses the hidden regions: each with probability 1/2 ("bernoulli", the
            original), "antithetic" or "balanced" (see `covid_cxr.explain.sampling`).
        stopping_reliability: LIME stops sampling once the weights fitted to the two halves of the
            samples have at least this Spearman correlation, stepped up to the whole
            (Spearman-Brown); None uses all samples.
        lungs: of this image, for superpixels that follow them; None if not known.
    """

    samples: int = 1000
    seed: int = 0
    batch_size: int = 64
    superpixels: Superpixels = "quickshift"
    regions: int = 64
    fill: Fill = "mean"
    kernel_width: float = 1.75
    sampling: Sampling = "bernoulli"
    stopping_reliability: float | None = None
    lungs: Lungs | None = None

    def __post_init__(self) -> None:
        """Reject values that no method can work with."""
        smallest = {"samples": 10, "batch_size": 1, "regions": 2}
        for name, least in smallest.items():
            if (value := getattr(self, name)) < least:
                raise InputError(f"{name.replace('_', ' ')} is {value}, expected at least {least}")
        if not self.kernel_width > 0:
            raise InputError(f"kernel width is {self.kernel_width}, expected more than 0")
        target = self.stopping_reliability
        if target is not None and not 0 < target < 1:
            raise InputError(f"stopping reliability is {target}, expected between 0 and 1")


# The default: on radiographs with opacities drawn by radiologists the most faithful to the model,
# and the most repeatable over seeds (docs/concepts/explanations.md).
RECOMMENDED = Options(
    superpixels="lungs", regions=32, fill="mean", sampling="balanced", stopping_reliability=0.9
)


class Explainer(Protocol):
    """A function that explains the probability that `model` gave to class `label` of `image`.

    Args:
        image: preprocessed, float32 (1, S, S) in [0, 1]; not written to.
        model: the model.
        label: one of `model.classes`.
        options: samples, seed and batch size; the same seed gives the same answer.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the image is not a finite float32 (1, S, S), or the method cannot explain this
            model.
    """

    def __call__(
        self, image: FloatArray, model: Model, label: str, options: Options, /
    ) -> Explanation: ...


class Attribution(NamedTuple):
    """What a method finds, before it is recorded; see `Explanation` for the fields."""

    attribution: FloatArray
    parameters: Mapping[str, object]
    segments: IntArray | None = None
    weights: tuple[float, ...] = ()
    fidelity: float | None = None


# From an image (1, S, S), a model, the output column of the explained class, and options.
Method = Callable[[FloatArray, Model, int, Options], Attribution]


def by_region(
    segments: IntArray,
    weights: NDArray[np.float64],
    parameters: Mapping[str, object],
    fidelity: float | None = None,
) -> Attribution:
    """Return the attribution of a method that gives each region (n,) a weight."""
    attribution = weights.astype(np.float32)[segments]
    return Attribution(attribution, parameters, segments, tuple(weights.tolist()), fidelity)


def explainer(name: str) -> Callable[[Method], Explainer]:
    """Make an `Explainer` called `name` of a method: check its input, record its output."""

    def decorate(method: Method) -> Explainer:
        def explain(
            image: FloatArray, model: Model, label: str, options: Options, /
        ) -> Explanation:
            check_image(image)
            result = method(image, model, class_index(model, label), options)._asdict()
            return Explanation(name, label, seed=options.seed, bundle=model.bundle_id, **result)

        explain.__module__, explain.__doc__ = method.__module__, method.__doc__
        explain.__name__ = explain.__qualname__ = method.__name__
        return explain

    return decorate


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
