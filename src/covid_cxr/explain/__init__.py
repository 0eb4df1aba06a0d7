"""Explainers: why a model gave one radiograph its score.

`EXPLAINERS` maps a name to "module:function", so that listing the choices imports nothing
heavy. An installed package adds its own through the entry point group `covid_cxr.explainers`
and proves itself with `covid_cxr.testing.explainers.ExplainerContract`.
"""

from __future__ import annotations

from covid_cxr import registry
from covid_cxr.explain.base import Attribution, Explainer, Model, by_region
from covid_cxr.explain.settings import FillSettings, RegionSettings, Settings, parse
from covid_cxr.types import Explanation, FloatArray, Lungs

__all__ = [
    "CLASS_MAPS",
    "EXPLAINERS",
    "GROUP",
    "NEEDS",
    "WEIGHTS",
    "Attribution",
    "Explainer",
    "FillSettings",
    "Model",
    "RegionSettings",
    "Settings",
    "by_region",
    "explain_image",
    "get",
    "names",
    "needs",
    "parse",
    "settings_of",
]

EXPLAINERS: dict[str, str] = {
    "lime": "covid_cxr.explain.methods.lime:explain",
    "occlusion": "covid_cxr.explain.methods.occlusion:explain",
    "occlusion-regions": "covid_cxr.explain.methods.occlusion:explain_regions",
    "agreement": "covid_cxr.explain.methods.agreement:explain",
    "cam": "covid_cxr.explain.methods.cam:explain",
    "gradcam": "covid_cxr.explain.methods.gradients:gradcam",
    "gradcam++": "covid_cxr.explain.methods.gradients:gradcam_plus_plus",
    "integrated-gradients": "covid_cxr.explain.methods.gradients:integrated_gradients",
}
GROUP = "covid_cxr.explainers"
CLASS_MAPS, WEIGHTS = "class activation maps", "weights (weights.safetensors)"
# What our methods need of a bundle that not every bundle has.
NEEDS: dict[str, str] = {
    "cam": CLASS_MAPS,
    "gradcam": WEIGHTS,
    "gradcam++": WEIGHTS,
    "integrated-gradients": WEIGHTS,
}


def names() -> list[str]:
    """Return the names of all explainers: ours in their order, then those of plugins."""
    return [*EXPLAINERS, *sorted(registry.names(EXPLAINERS, GROUP).keys() - EXPLAINERS.keys())]


def get(name: str) -> Explainer:
    """Import and return the explainer called `name`, ours or an installed plugin's.

    Raises:
        UnknownName: no explainer has that name.
        MissingDependency: it needs a package that is not installed (torch, for the
            three that take gradients).
        InputError: it is a plugin whose function has not the signature of a method.
    """
    entry = ("explainer", name, EXPLAINERS, GROUP)
    return Explainer.of(name, registry.resolve(*entry), registry.described(*entry))


def settings_of(name: str) -> type[Settings]:
    """Return the class of an explainer's settings; its `model_fields` have bounds and defaults.

    Raises:
        UnknownName, MissingDependency, InputError: as `get` does.
    """
    return get(name).settings


def needs(name: str) -> str | None:
    """Return what an explainer needs of a bundle that not every bundle has.

    Returns:
        `CLASS_MAPS` or `WEIGHTS`; None for one that explains any model.

    Raises:
        UnknownName: no explainer has that name.
        MissingDependency, InputError: it is a plugin that cannot be imported.
    """
    return NEEDS.get(name) if name in EXPLAINERS else settings_of(name).needs


def explain_image(
    method: str,
    model: Model,
    image: FloatArray,
    label: str,
    *,
    lungs: Lungs | None = None,
    **settings: object,
) -> Explanation:
    """Explain the probability that a model gave to class `label` of an image.

    Args:
        method: name of an explainer.
        model: the model.
        image: preprocessed, float32 (1, S, S) in [0, 1].
        label: one of `model.classes`.
        lungs: of this image, for methods that follow them.
        settings: the method's own, as numbers or text.

    Raises:
        UnknownName: no such explainer, class or setting.
        InputError: a setting is out of bounds, or the method cannot explain this model.
    """
    explainer = get(method)
    return explainer(image, model, label, explainer.configure(settings), lungs=lungs)
