"""Explainers that need gradients, and so torch and the bundle's weights.

All of them take the gradient of the margin: the class's logit less the mean of the other logits,
before the calibration's temperature, which scales it and changes no sign.

Guided back-propagation is left out on purpose, and so is guided Grad-CAM. Its maps stay nearly the
same when the network's weights are replaced by random ones, so they show the image's edges and not
what the network has learned: Adebayo et al., "Sanity checks for saliency maps",
NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from captum.attr import IntegratedGradients
from pydantic import Field
from torch import Tensor, nn

from covid_cxr.errors import InputError
from covid_cxr.explain.base import AGAINST, Attribution, Model
from covid_cxr.explain.resampling import from_cells
from covid_cxr.explain.settings import Settings
from covid_cxr.explain.superpixels import filled
from covid_cxr.models import zoo
from covid_cxr.types import FloatArray

_BATCH = 16  # images per backward pass, which keeps the output of every layer
_KEPT = 2  # networks kept in memory


def gradcam(image: FloatArray, model: Model, index: int) -> Attribution:
    """Explain a class with Grad-CAM.

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017. Two choices differ from the paper, so that the map means the same as
    the class activation map: the gradient is that of the logit minus the mean of the other logits,
    and negative values are kept. It is taken at the last feature map, resized and smoothed as a
    class activation map is.

    Raises:
        InputError: the bundle ships no weights.
    """
    features, gradient = _features(_network(model), image, index)
    return _weighted(features, gradient.mean(dim=(1, 2)), image)


def gradcam_plus_plus(image: FloatArray, model: Model, index: int) -> Attribution:
    """Explain a class with Grad-CAM++.

    Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for deep
    convolutional networks", WACV 2018. The paper keeps positive gradients and positive values only.
    Here a channel's weight is the paper's for the class less the paper's against it (the same for
    the negated margin), and negative values of the map are kept, so that the map of one class of
    two is the negative of the other's. The paper's common factor exp(margin) is left out. It
    assumes features of one sign; where they have both, their magnitude is summed.

    Raises:
        InputError: the bundle ships no weights.
    """
    features, gradient = _features(_network(model), image, index)
    # The paper's alpha g^2 / (2 g^2 + g^3 sum A), reduced by g^2, for |g| and with g's sign.
    total = features.abs().sum(dim=(1, 2), keepdim=True)
    weights = (gradient / (2 + gradient.abs() * total)).sum(dim=(1, 2))
    return _weighted(features, weights, image)


class IntegratedGradientsSettings(Settings):
    """Settings of integrated gradients.

    Attributes:
        steps: of the path, by Gauss-Legendre.
        baseline: where it starts: 0.5, the mean of every standardised image ("dataset"), the grey
            of clear lung, 0.2 ("dark"), or the image under a strong "blur".
    """

    steps: int = Field(64, ge=10, le=1000, description="steps from the baseline to the image")
    baseline: Literal["dataset", "dark", "blur"] = Field("dataset", description="start of the path")


def integrated_gradients(
    image: FloatArray, model: Model, index: int, settings: IntegratedGradientsSettings
) -> Attribution:
    """Explain a class with integrated gradients.

    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017. The map is the
    margin's gradient along the straight path from a baseline to the image, times their difference:
    a pixel's share, in nats, of the margin's difference between the two. A pixel that equals the
    baseline gets 0, whatever its effect on the model.

    `parameters` has both margins, and as `completeness_delta` what the sum of the map misses of
    their difference, the error of the finite steps.

    Raises:
        InputError: the bundle ships no weights.
    """
    margin = _margin(_network(model), index)
    end = torch.from_numpy(image.copy())[None]
    start = torch.from_numpy(baseline(image, settings))[None]
    attribution, delta = IntegratedGradients(margin).attribute(
        end,
        start,
        n_steps=settings.steps,
        internal_batch_size=min(_BATCH, settings.batch_size),
        return_convergence_delta=True,
    )
    with torch.no_grad():
        of_image, of_baseline = margin(torch.cat([end, start])).tolist()
    return Attribution(
        np.asarray(attribution.detach()[0, 0].numpy(), dtype=np.float32),
        {
            "margin": of_image,
            "margin_of_baseline": of_baseline,
            "completeness_delta": float(delta),
        },
    )


def baseline(image: FloatArray, settings: IntegratedGradientsSettings) -> FloatArray:
    """Return where integrated gradients start from, float32 (1, S, S): see there."""
    whole = np.zeros(image.shape[1:], dtype=np.int32)
    return filled(image[0], whole, settings.baseline)[None]


def _weighted(features: Tensor, weights: Tensor, image: FloatArray) -> Attribution:
    """Return the sum of the feature maps (K, h, w), each times its weight (K,)."""
    cells = torch.einsum("k,khw->hw", weights, features).numpy()
    parameters = {"layer": "features", "grid": list(cells.shape), "against": AGAINST}
    return Attribution(from_cells(cells, image.shape[1:]), parameters)


def _features(network: nn.Module, image: FloatArray, index: int) -> tuple[Tensor, Tensor]:
    """Return the last feature map (K, h, w) and the gradient of the margin with respect to it.

    Every classifier returns its features beside its logits, so that no hook is needed: the
    network is shared between calls, and hooks of two threads would see each other's images.
    """
    # The caller's array may be read-only, and a network may have no parameters that ask for
    # gradients: a copy that does.
    images = torch.from_numpy(image.copy())[None].requires_grad_()
    answer = network(images)
    (gradient,) = torch.autograd.grad(_difference(answer.logits, index).sum(), answer.features)
    return answer.features.detach()[0], gradient[0]


def _margin(network: nn.Module, index: int) -> Callable[[Tensor], Tensor]:
    return lambda images: _difference(network(images).logits, index)


def _difference(logits: Tensor, index: int) -> Tensor:
    """(N, C) -> (N,): a class's logit less the mean of the others."""
    others = [column for column in range(logits.shape[1]) if column != index]
    return logits[:, index] - logits[:, others].mean(dim=1)


def _network(model: Model) -> nn.Module:
    """Return the bundle's network, loaded once while its weights file stays the same."""
    if model.weights is None:
        raise InputError(
            f"bundle '{model.bundle_id}' ships no weights.safetensors; "
            "use a bundle from your own run, or cam or lime"
        )
    file = model.weights / "weights.safetensors"
    if not file.is_file():
        return zoo.load_weights(model.weights)  # raises an error that says what is wrong
    status = file.stat()
    return _loaded(model.weights.resolve(), (status.st_ino, status.st_mtime_ns, status.st_size))


@lru_cache(_KEPT)
def _loaded(folder: Path, version: tuple[int, ...]) -> nn.Module:
    return zoo.load_weights(folder).requires_grad_(False)
