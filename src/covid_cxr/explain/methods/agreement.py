"""What several methods agree on, as a method of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Attribution, Model
from covid_cxr.explain.methods import cam, lime, occlusion
from covid_cxr.explain.rendering.overlay import limit
from covid_cxr.types import FloatArray


def explain(
    image: FloatArray, model: Model, index: int, settings: lime.LimeSettings
) -> Attribution:
    """Explain a class by what class activation map, LIME and occlusion agree on.

    A pixel supports the class only where all of them say so; see `agreement`. A model without a
    class activation map is explained by the other two. There is no fidelity: nothing is fitted.
    """
    # One reads the network and two query it as a black box: none needs gradients.
    maps = {} if model.cam(image) is None else {"cam": cam.explain(image, model, index).attribution}
    maps["lime"] = lime.explain(image, model, index, settings).attribution
    maps["occlusion"] = occlusion.explain(image, model, index, settings).attribution
    return Attribution(agreement([*maps.values()]), {"methods": [*maps]})


def agreement(maps: Sequence[FloatArray]) -> FloatArray:
    """Return what all of several maps (S, S) of one class say, float32 (S, S) in [-1, 1].

    Each map is scaled by its own full strength (`overlay.limit`, the 99th percentile of its
    magnitude) and clipped at 1. Where all have one sign, the weakest of them is what they agree on;
    where any is 0 or of the other sign, the result is 0. So 0.4 means: every method sees support
    here, at no less than 0.4 of its own full strength. A mean would let one method with large
    values outvote the others.

    Raises:
        InputError: no map, or maps of different grids.
    """
    if not maps:
        raise InputError("no map to agree with; expected at least one")
    if len(grids := {one.shape for one in maps}) > 1:
        raise InputError(f"maps have the shapes {sorted(grids)}; expected one shape")
    scaled = np.stack([one / (limit(one) or 1.0) for one in maps])
    scaled = np.clip(scaled, -1, 1)
    agreed = np.clip(scaled.min(axis=0), 0, None) + np.clip(scaled.max(axis=0), None, 0)
    return np.asarray(agreed, dtype=np.float32)
