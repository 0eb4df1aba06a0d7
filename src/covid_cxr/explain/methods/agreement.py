"""What several methods agree on, as a method of its own."""

from __future__ import annotations

from covid_cxr.explain.base import Model, Options, check_image
from covid_cxr.explain.methods import cam, lime, occlusion
from covid_cxr.explain.rendering.zones import agreed
from covid_cxr.types import Explanation, FloatArray

# One that reads the network, and two that only ask it: none needs gradients.
_METHODS = (cam.explain, lime.explain, occlusion.explain)


def explain(image: FloatArray, model: Model, label: str, options: Options) -> Explanation:
    """Explain `label` by what class activation map, LIME and occlusion agree on.

    A place supports the class only where all of them say so; see `zones.agreement`. A model
    without a class activation map is explained by the other two.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the image is no float32 (1, S, S).
    """
    check_image(image)
    methods = _METHODS if model.cam(image) is not None else _METHODS[1:]
    return agreed([each(image, model, label, options) for each in methods])
