"""Class activation map: a second output of the exported graph, so no second pass.

Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.
"""

from __future__ import annotations

from covid_cxr.errors import InputError
from covid_cxr.explain.base import AGAINST, Attribution, Model, margin
from covid_cxr.explain.resampling import SMOOTHING, from_cells
from covid_cxr.types import FloatArray


def explain(image: FloatArray, model: Model, index: int) -> Attribution:
    """Explain a class by its class activation map.

    Where the head is linear over pooled features, a logit is its bias plus the mean of its class
    map over positions. The softmax depends on differences of logits alone, so the attribution is
    the map of the class minus the mean map of the other classes: in the binary case, the log-odds
    decomposed by position. It is resized to (S, S) bilinearly and smoothed.

    Raises:
        InputError: the model has no class activation map.
    """
    maps = model.cam(image)
    if maps is None:
        raise InputError(
            f"model '{model.bundle_id}' has no class activation map: its head is not linear over "
            "pooled features; use lime, or gradcam with a bundle that ships weights.safetensors"
        )
    return Attribution(
        from_cells(margin(maps, index), image.shape[1:]),
        {"grid": list(maps.shape[1:]), "against": AGAINST, "smoothing": round(SMOOTHING, 4)},
    )
