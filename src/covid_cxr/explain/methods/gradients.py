"""Explainers that need gradients, and so torch and the bundle's weights.

All of them take the gradient of the margin: the class's logit less the mean of the other logits,
before the calibration's temperature, which scales it and changes no sign.

Guided back-propagation is left out on purpose, and so is guided Grad-CAM. Its pictures stay
nearly the same when the network's weights are replaced by random ones, so they show the film's
edges and not what the network learnt: Adebayo et al., "Sanity checks for saliency maps",
NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Model, Options, check_image, class_index
from covid_cxr.explain.rendering.grid import from_cells
from covid_cxr.explain.superpixels import covered
from covid_cxr.models import zoo
from covid_cxr.types import Explanation, FloatArray

STEPS = 64  # of the path of integrated gradients, by Gauss-Legendre
_AT_ONCE = 16  # images that a backward pass remembers every layer of
_KEPT = 2  # networks kept in memory


def gradcam(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) with Grad-CAM.

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017. Two choices differ from the paper, so that the map means the same
    as the class activation map: the gradient is that of the logit minus the mean of the other
    logits, and negative values are kept. It is taken at the last feature map, enlarged and
    smoothed as a class activation map is.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the bundle ships no weights, or the image is no float32 (1, S, S).
    """
    return _at_features("gradcam", image, model, label, options)


def gradcam_plus_plus(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) with Grad-CAM++.

    Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations for deep
    convolutional networks", WACV 2018. The paper keeps positive gradients and positive values
    only. Here a channel's weight is the paper's for the class less the paper's against it (the
    same for the negated margin), and negative values of the map are kept, so that the map of one
    class of two is the negative of the other's. The paper's common factor exp(margin) is left
    out. It counts on features of one sign; where they have both, their magnitude is summed.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the bundle ships no weights, or the image is no float32 (1, S, S).
    """
    return _at_features("gradcam++", image, model, label, options)


def integrated_gradients(
    image: FloatArray, model: Model, label: str, options: Options
) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) with integrated gradients.

    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017. The map is
    the margin's gradient along the straight way from a baseline to the film, times their
    difference: a pixel's share, in nats, of the margin's difference between the two. Gradients
    are those of at most 64 steps (fewer where `options.samples` is less).

    The baseline follows `options.fill`: the film under a strong blur for "blur", the grey of
    clear lung (0.2) for "dark", else 0.5, the mean of every standardised film. A pixel that
    equals the baseline gets nothing, whatever it says to the model.

    `parameters` has both margins, and as `completeness_delta` what the sum of the map misses
    of their difference, the error of the finite steps.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the bundle ships no weights, or the image is no float32 (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    margin = _margin(_network(model), index)
    base = baseline(image, options)
    film, start = (torch.from_numpy(each.copy())[None] for each in (image, base))
    steps = min(STEPS, options.samples)
    attribution, delta = IntegratedGradients(margin).attribute(
        film,
        start,
        n_steps=steps,
        internal_batch_size=min(_AT_ONCE, options.batch_size),
        return_convergence_delta=True,
    )
    with torch.no_grad():
        ends = margin(torch.cat([film, start])).tolist()
    return Explanation(
        method="integrated-gradients",
        label=label,
        attribution=np.asarray(attribution.detach()[0, 0].numpy(), dtype=np.float32),
        parameters={
            "steps": steps,
            "baseline": _fill(options),
            "margin": ends[0],
            "margin_of_baseline": ends[1],
            "completeness_delta": float(delta),
        },
        seed=options.seed,
        bundle=model.bundle_id,
    )


def baseline(image: FloatArray, options: Options) -> FloatArray:
    """Return where integrated gradients start from, float32 (1, S, S): see there."""
    whole = np.zeros(image.shape[1:], dtype=np.int32)
    return covered(image[0], whole, replace(options, fill=_fill(options)))[None]


def _fill(options: Options) -> Literal["dark", "blur", "dataset"]:
    return "dataset" if options.fill == "mean" else options.fill


def _at_features(
    method: str, image: FloatArray, model: Model, label: str, options: Options
) -> Explanation:
    check_image(image)
    index = class_index(model, label)
    features, gradient = _features(_network(model), image, index)
    weights = _WEIGHTS[method](features, gradient)
    cells = torch.einsum("k,khw->hw", weights, features).numpy()
    return Explanation(
        method=method,
        label=label,
        attribution=from_cells(cells, image.shape[1:]),
        parameters={
            "layer": "features",
            "grid": list(cells.shape),
            "against": "mean of the other classes",
        },
        seed=options.seed,
        bundle=model.bundle_id,
    )


def _mean_gradient(features: Tensor, gradient: Tensor) -> Tensor:
    return gradient.mean(dim=(1, 2))


def _plus_plus(features: Tensor, gradient: Tensor) -> Tensor:
    """The paper's alpha g^2 / (2 g^2 + g^3 sum A), reduced by g^2, for |g| and with g's sign."""
    total = features.abs().sum(dim=(1, 2), keepdim=True)
    return (gradient / (2 + gradient.abs() * total)).sum(dim=(1, 2))


# Features and gradient (K, h, w) -> the weight of each channel (K,).
_WEIGHTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": _mean_gradient,
    "gradcam++": _plus_plus,
}


def _features(network: nn.Module, image: FloatArray, index: int) -> tuple[Tensor, Tensor]:
    """Return the last feature map (K, h, w) and the gradient of the margin with respect to it.

    Every classifier answers its features beside its logits, so that no hook is needed: the
    network is shared between calls, and hooks of two threads would see each other's films.
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
        return zoo.load_weights(model.weights)  # which says what is wrong
    facts = file.stat()
    return _loaded(model.weights.resolve(), (facts.st_ino, facts.st_mtime_ns, facts.st_size))


@lru_cache(_KEPT)
def _loaded(folder: Path, version: tuple[int, ...]) -> nn.Module:
    return zoo.load_weights(folder).requires_grad_(False)
