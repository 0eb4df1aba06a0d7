"""The classifiers by name. Listing them imports no torch; building one does.

To add one, write a function `(n_classes: int) -> Classifier` and name it here, or publish it
under the entry point group `covid_cxr.architectures`. Test it with
`covid_cxr.testing.architectures.ArchitectureContract`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from covid_cxr import registry
from covid_cxr.config import ModelSettings
from covid_cxr.errors import BundleError, InputError

if TYPE_CHECKING:
    from covid_cxr.models.zoo.classifier import Classifier

ARCHITECTURES: dict[str, str] = {
    "dcnn-resnet": "covid_cxr.models.zoo.dcnn_resnet:dcnn_resnet",
    "efficientnet-lite0": "covid_cxr.models.zoo.efficientnet:efficientnet_lite0",
    "efficientnet-lite0-stride16": (
        "covid_cxr.models.zoo.efficientnet:efficientnet_lite0_stride16"
    ),
    "resnet18": "covid_cxr.models.zoo.residual:resnet18",
    "resnet50": "covid_cxr.models.zoo.residual:resnet50",
    "densenet121": "covid_cxr.models.zoo.densenet:densenet121",
}
GROUP = "covid_cxr.architectures"


def build(
    name: str, n_classes: int, settings: ModelSettings | None = None, size: int = 224
) -> Classifier:
    """Return a fresh network, ImageNet weights included where its recipe has them.

    Args:
        name: of the architecture.
        n_classes: number of classes.
        settings: of architectures that can be configured; None for the defaults.
        size: edge of the inputs in pixels, for architectures that fit one size only.

    Raises:
        UnknownName: no such architecture; the message suggests the closest.
        MissingDependency: the `train` extra is not installed.
        InputError: a plugin's cannot be imported, or does not build a `Classifier`.
    """
    entry = ("model", name, ARCHITECTURES, GROUP)
    function, owner = registry.resolve(*entry), registry.described(*entry)
    registry.check_parameters(function, 1, owner, "build(n_classes) -> Classifier")
    from covid_cxr.models.zoo.classifier import Classifier

    if name == "dcnn-resnet":
        classifier = function(n_classes, (settings or ModelSettings()).dcnn_resnet, size)
    else:
        classifier = function(n_classes)
    if not isinstance(classifier, Classifier):
        raise InputError(f"{owner} builds a {type(classifier).__name__}, expected a Classifier")
    return classifier


def load_weights(folder: Path) -> Classifier:
    """Rebuild a bundle's torch network from its manifest and `weights.safetensors`.

    Args:
        folder: a bundle folder.

    Raises:
        BundleError: the bundle holds no weights, or they do not fit its architecture.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    settings = ModelSettings.model_validate(manifest.get("model_settings") or {})
    size = manifest["preprocess"]["size"]
    network = build(manifest["architecture"], len(manifest["classes"]), settings, size)
    try:
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except FileNotFoundError as error:
        raise BundleError(f"bundle '{folder}' holds no weights.safetensors") from error
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(f"weights in '{folder}' do not fit {manifest['architecture']}") from error
    return network.eval()
