"""Explainers that need gradients, and so torch and the bundle's weights.

Grad-CAM: Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
localization", ICCV 2017.
"""

from __future__ import annotations

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Model, Options, check_image, class_index
from covid_cxr.explain.grid import from_cells
from covid_cxr.models import zoo
from covid_cxr.types import Explanation, FloatArray


def gradcam(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S) with Grad-CAM.

    Two choices differ from the paper, so that the map means the same as the class activation
    map: the gradient is that of the logit minus the mean of the other logits, and negative
    values are kept. It is taken at the last feature map, enlarged and smoothed as a class
    activation map is.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the bundle ships no weights, or the image is no float32 (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    if model.weights is None:
        raise InputError(
            f"bundle '{model.bundle_id}' ships no weights.safetensors; "
            "use a bundle from your own run, or cam or lime"
        )
    coarse = _attribute(zoo.load_weights(model.weights).eval(), image, index)
    return Explanation(
        method="gradcam",
        label=label,
        attribution=from_cells(coarse, image.shape[1:]),
        parameters={"layer": "features", "grid": list(coarse.shape)},
        seed=options.seed,
        bundle=model.bundle_id,
    )


def _attribute(network: nn.Module, image: FloatArray, index: int) -> FloatArray:
    def margin(images: Tensor) -> Tensor:
        logits: Tensor = network(images).logits
        others = [column for column in range(logits.shape[1]) if column != index]
        return logits[:, index] - logits[:, others].mean(dim=1)

    # captum adds hooks and asks for gradients: give it a copy, never the caller's array.
    images = torch.from_numpy(image.copy())[None].requires_grad_()
    found = LayerGradCam(margin, network.features).attribute(images, relu_attributions=False)
    return np.asarray(found.detach()[0, 0].numpy(), dtype=np.float32)
