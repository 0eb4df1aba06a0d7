"""Class activation map: a second output of the exported graph, so no second pass.

Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.
"""

from __future__ import annotations

import numpy as np

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Model, Options, check_image, class_index
from covid_cxr.explain.rendering.grid import SMOOTHING, from_cells
from covid_cxr.types import Explanation, FloatArray


def explain(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain the class `label` for one preprocessed image (1, S, S).

    Where the head is linear over pooled features, a logit is its bias plus the mean of its
    class map over positions. The softmax depends on differences of logits alone, so the
    evidence shown is the map of `label` minus the mean map of the other classes: in the binary
    case the log-odds, taken apart by position. It is brought to (S, S) bilinearly and smoothed.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the model has no class activation map, or the image is no float32 (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    maps = model.cam(image)
    if maps is None:
        raise InputError(
            f"model '{model.bundle_id}' has no class activation map: its head is not linear over "
            "pooled features; use lime, or gradcam with a bundle that ships weights.safetensors"
        )
    return Explanation(
        method="cam",
        label=label,
        attribution=from_cells(margin(maps, index), image.shape[1:]),
        parameters={
            "grid": list(maps.shape[1:]),
            "against": "mean of the other classes",
            "smoothing": round(SMOOTHING, 4),
        },
        seed=options.seed,
        bundle=model.bundle_id,
    )


def margin(maps: FloatArray, index: int) -> FloatArray:
    """Return the map (h, w) of class `index` minus the mean of the others, from (C, h, w)."""
    others = np.delete(maps, index, axis=0)
    difference: FloatArray = maps[index] - others.mean(axis=0)
    return difference
