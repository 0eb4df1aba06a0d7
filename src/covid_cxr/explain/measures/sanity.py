"""Does an explanation depend on what the network has learned?

Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018: the layers are set back to random
values from the head down, in a cascade. A map that does not change shows the image, not the model.
Needs torch and the bundle's weights; torch is imported when a cascade begins.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from skimage.metrics import structural_similarity

from covid_cxr.errors import InputError
from covid_cxr.explain.measures.stability import map_correlation
from covid_cxr.types import FloatArray

if TYPE_CHECKING:
    from torch import nn

    from covid_cxr.models.zoo.classifier import Classifier

# Stage -> share of the network's layers, counted from the output, that are random in it.
STAGES: dict[str, float] = {"head": 0.0, "quarter": 0.25, "half": 0.5, "all": 1.0}


@dataclass(frozen=True)
class NetworkModel:
    """A torch network as an explainer sees a model.

    Attributes:
        network: in evaluation mode.
        weights: bundle folder that holds its manifest and these very weights.
        classes: in the order of its outputs.
        bundle_id: written into explanations.
        temperature: logits are divided by it.
    """

    network: Classifier
    weights: Path | None
    classes: tuple[str, ...]
    bundle_id: str
    temperature: float = 1.0

    def probabilities(self, images: FloatArray) -> FloatArray:
        """Return (N, C) probabilities of preprocessed images (N, 1, S, S)."""
        import torch

        with torch.inference_mode():
            logits = self.network(torch.from_numpy(images)).logits / self.temperature
            probabilities: FloatArray = torch.softmax(logits, dim=1).numpy()
        return probabilities

    def cam(self, image: FloatArray) -> FloatArray | None:
        """Return the class activation maps (C, h, w) of one image (1, S, S); None without."""
        import torch

        if not self.network.has_cam:
            return None
        with torch.inference_mode():
            features = self.network(torch.from_numpy(image[None])).features
            maps: FloatArray = (self.network.cam(features) / self.temperature)[0].numpy()
        return maps


def cascade(
    folder: Path, images: FloatArray, *, stages: Sequence[str] = tuple(STAGES), seed: int = 0
) -> Iterator[tuple[str, NetworkModel]]:
    """Yield the network of a bundle, random from the head down to each stage.

    Layers are initialised as before any training. Their batch norms then take mean and variance
    from `images`: with the trained ones the signal would vanish on its way, and a network without a
    signal has no map at all.

    Args:
        folder: bundle with `weights.safetensors`.
        images: preprocessed, float32 (N, 1, S, S); a few are enough.
        stages: some of `STAGES`.
        seed: of the random layers.

    Raises:
        InputError: the bundle ships no weights.
    """
    from safetensors.torch import save_file

    from covid_cxr.models import zoo
    from covid_cxr.models.bundle import WEIGHTS
    from covid_cxr.models.manifest import MANIFEST

    if not (folder / WEIGHTS).is_file():
        raise InputError(f"bundle '{folder}' ships no {WEIGHTS}; use a bundle from your own run")
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    classes, temperature = tuple(manifest["classes"]), float(manifest["temperature"])
    for stage in stages:
        network = zoo.load_weights(folder)
        randomise(network, STAGES[stage], images, seed)
        with TemporaryDirectory(prefix="covid-cxr-random-") as temporary:
            shutil.copy(folder / MANIFEST, temporary)
            weights = {name: value.contiguous() for name, value in network.state_dict().items()}
            save_file(weights, Path(temporary, WEIGHTS))
            name = f"{manifest['id']}-{stage}"
            yield stage, NetworkModel(network, Path(temporary), classes, name, temperature)


def randomise(network: Classifier, share: float, images: FloatArray, seed: int) -> None:
    """Set the last `share` of a network's layers, the head at least, back to random values."""
    import torch

    layers = [m for m in network.modules() if next(m.parameters(False), None) is not None]
    chosen = layers[-max(1, round(share * len(layers))) :]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in chosen:
            _reset(layer)
    norms = [layer for layer in chosen if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all batches that are shown
        norm.train()
    if norms:
        with torch.no_grad():
            network(torch.from_numpy(images))
    network.eval()


def similarity(before: FloatArray, after: FloatArray) -> dict[str, float]:
    """Return how alike two maps (S, S) are: `spearman`, `spearman_strength` and `ssim`.

    The second compares magnitudes: a map of the opposite sign still points at the same region.
    SSIM (Wang et al., IEEE TIP 2004) compares both as images, grey for 0 and white for the largest
    magnitude.
    """
    first, second = (0.5 + one / (2 * np.abs(one).max() or 1.0) for one in (before, after))
    return {
        "spearman": map_correlation(before, after),
        "spearman_strength": map_correlation(np.abs(before), np.abs(after)),
        "ssim": float(structural_similarity(first, second, data_range=1.0)),  # type: ignore[no-untyped-call]
    }


def _reset(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if reset is None:
        raise InputError(
            f"layer {type(layer).__name__} cannot be set back to random values: it has no "
            "reset_parameters()"
        )
    reset()
