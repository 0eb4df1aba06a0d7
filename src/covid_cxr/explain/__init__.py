"""Explainers: why a model gave one radiograph its score.

`EXPLAINERS` maps a name to "module:function", so that listing the choices imports nothing
heavy. An installed package adds its own through the entry point group `covid_cxr.explainers`
and proves itself with `covid_cxr.testing.explainers.ExplainerContract`.
"""

from __future__ import annotations

from typing import cast

from covid_cxr import registry
from covid_cxr.explain.base import RECOMMENDED, Explainer, Model, Options

__all__ = ["EXPLAINERS", "GROUP", "RECOMMENDED", "Explainer", "Model", "Options", "get"]

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


def get(name: str) -> Explainer:
    """Import and return the explainer called `name`, ours or an installed plugin's.

    Raises:
        UnknownName: no explainer has that name.
        MissingDependency: it needs a package that is not installed (torch, for the
            three that take gradients).
    """
    return cast(Explainer, registry.resolve("explainer", name, EXPLAINERS, GROUP))
