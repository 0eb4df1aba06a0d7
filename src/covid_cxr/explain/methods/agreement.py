"""What several methods agree on, as a method of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Attribution, Model, Options, explainer
from covid_cxr.explain.methods import cam, lime, occlusion
from covid_cxr.explain.rendering.overlay import limit
from covid_cxr.types import Explanation, FloatArray

# One reads the network and two query it as a black box: none needs gradients.
_METHODS = (cam.explain, lime.explain, occlusion.explain)


@explainer("agreement")
def explain(image: FloatArray, model: Model, index: int, options: Options) -> Attribution:
    """Explain a class by what class activation map, LIME and occlusion agree on; see `Explainer`.

    A pixel supports the class only where all of them say so; see `agreement`. A model without a
    class activation map is explained by the other two. There is no fidelity: nothing is fitted.
    """
    methods = _METHODS if model.cam(image) is not None else _METHODS[1:]
    maps = [method(image, model, model.classes[index], options) for method in methods]
    return Attribution(agreement(maps), {"methods": [one.method for one in maps]})


def agreement(explanations: Sequence[Explanation]) -> FloatArray:
    """Return what all of several maps say of one class, float32 (S, S) in [-1, 1].

    Each map is scaled by its own full strength (`overlay.limit`, the 99th percentile of its
    magnitude) and clipped at 1. Where all have one sign, the weakest of them is what they agree on;
    where any is 0 or of the other sign, the result is 0. So 0.4 means: every method sees support
    here, at no less than 0.4 of its own full strength. A mean would let one method with large
    values outvote the others.

    Raises:
        InputError: no explanation, or explanations of different classes or grids.
    """
    if not explanations:
        raise InputError("no explanation to agree with; expected at least one")
    subjects = {f"{one.label} {one.attribution.shape}" for one in explanations}
    if len(subjects) > 1:
        differing = "; ".join(sorted(subjects))
        raise InputError(f"explanations differ in class or grid ({differing}); expected one")
    scaled = np.stack([one.attribution / (limit(one.attribution) or 1.0) for one in explanations])
    scaled = np.clip(scaled, -1, 1)
    agreed = np.clip(scaled.min(axis=0), 0, None) + np.clip(scaled.max(axis=0), None, 0)
    return np.asarray(agreed, dtype=np.float32)
