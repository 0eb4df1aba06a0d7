"""What every explainer is given, and the checks they share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.types import Explanation, FloatArray, Lungs


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
        samples: perturbed images a sampling method shows to the model at most, at least 10.
        seed: of every random draw.
        batch_size: images handed to the model at once.
        superpixels: the regions that are hidden: "quickshift" as the original did, "slic", "lungs"
            (SLIC that never crosses the border of a lung; plain SLIC where none were found) or a
            square "grid".
        regions: how many superpixels are wanted; quickshift chooses its own number.
        fill: what is put in place of a hidden region: its own "mean" grey, as the original did,
            "dark" (the grey of clear lung), the film under a strong "blur", or the mean of the
            "dataset" (0.5, which every standardised film has). A hazy region's mean is as hazy as
            the region, so that only the others ask what the model would say without the haze.
        kernel_width: of LIME's weights, on cosine distance.
        sampling: how LIME chooses the hidden regions: each with probability 1/2 ("bernoulli", as
            the original did), "antithetic" or "balanced" (see `covid_cxr.explain.sampling`).
        stopping_reliability: stop sampling once the weights of both halves of the samples rank
            alike, their Spearman correlation stepped up to the whole (Spearman-Brown) at least
            this; None never stops.
        lungs: of this film, for superpixels that follow them; None where not known.
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
        """Refuse values that no method can work with."""
        if self.samples < 10:
            raise InputError(f"samples is {self.samples}, expected at least 10")
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}, expected at least 1")
        if self.regions < 2:
            raise InputError(f"regions is {self.regions}, expected at least 2")
        if not self.kernel_width > 0:
            raise InputError(f"kernel width is {self.kernel_width}, expected more than 0")
        if self.stopping_reliability is not None and not 0 < self.stopping_reliability < 1:
            value = self.stopping_reliability
            raise InputError(f"stopping reliability is {value}, expected between 0 and 1")


# What is used unless something else is asked for: of what was measured on films with radiologists'
# masks the most faithful to the model, and the most alike from seed to seed (docs/explaining.md).
RECOMMENDED = Options(
    superpixels="lungs", regions=32, fill="mean", sampling="balanced", stopping_reliability=0.9
)


class Explainer(Protocol):
    """A function that says why `model` gave `image` its probability of `label`.

    Args:
        image: preprocessed, float32 (1, S, S) in [0, 1]; not written to.
        model: the model.
        label: one of `model.classes`.
        options: samples, seed and batch size; the same seed gives the same answer.
    """

    def __call__(
        self, image: FloatArray, model: Model, label: str, options: Options, /
    ) -> Explanation: ...


def class_index(model: Model, label: str) -> int:
    """Return the output column of class `label`.

    Raises:
        UnknownName: the model has no such class.
    """
    if label not in model.classes:
        raise UnknownName("class", label, model.classes)
    return model.classes.index(label)


def check_image(image: FloatArray) -> None:
    """Make sure that `image` is one preprocessed radiograph, float32 (1, S, S) and finite.

    Raises:
        InputError: anything else.
    """
    if image.ndim != 3 or image.shape[0] != 1 or image.shape[1] != image.shape[2]:
        raise InputError(f"image has shape {image.shape}, expected (1, S, S) as preprocessed")
    if image.dtype != np.float32 or not np.isfinite(image).all():
        raise InputError(f"image is {image.dtype}, expected finite float32; preprocess it first")
