"""What every network of the zoo is: features, an embedding and a linear head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Output(NamedTuple):
    """What one forward pass gives; C classes, E embedding size, K feature channels."""

    logits: Tensor  # (N, C)
    embedding: Tensor  # (N, E)
    features: Tensor  # (N, K, h, w)


@dataclass(frozen=True)
class Recipe:
    """How a network was meant to be trained; a run's config can overrule the rate.

    Attributes:
        learning_rate: Adam's step size.
        activity_l2: weight of the summed squared outputs of hidden layers, per image.
        prior_bias: start the output bias at the classes' log prior.
        bf16: bf16 autocast was measured faster on CPUs for this network.
    """

    learning_rate: float
    activity_l2: float = 0.0
    prior_bias: bool = False
    bf16: bool = True


class Classifier(nn.Module):
    """A network over one-channel radiographs in [0, 1].

    The normalisation the backbone expects is part of the module, hence of the exported graph.

    Args:
        features: (N, 3, S, S) -> (N, K, h, w).
        head: the linear layer from embedding to logits.
        recipe: how to train it.
        embed: (N, K, h, w) -> (N, E); None for the mean over positions, which makes class
            activation maps exact.
        mean, std: the normalisation, the same for the three equal channels.
        dropout: probability applied to the embedding before the head, in training.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Module,
        head: nn.Linear,
        recipe: Recipe,
        *,
        embed: nn.Module | None = None,
        mean: float = 0.5,
        std: float = 0.5,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.features = features
        self.has_cam = embed is None
        self.embed = embed or nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.recipe = recipe
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    def forward(self, images: Tensor) -> Output:
        """Return logits, embedding and feature map of `images` (N, 1, S, S) in [0, 1]."""
        x = ((images - self.mean) / self.std).expand(-1, 3, -1, -1)
        features = self.features(x)
        embedding = self.embed(features)
        return Output(self.head(self.dropout(embedding)), embedding, features)

    def cam(self, features: Tensor) -> Tensor:
        """Return each class's map (N, C, h, w); its mean over positions plus bias is the logit.

        Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016.
        """
        return torch.einsum("ck,nkhw->nchw", self.head.weight, features)

    def set_prior(self, prior: Sequence[float]) -> None:
        """Set the output bias to log p, so that logit differences start at the log-odds."""
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor([math.log(p) for p in prior]))

    def regularised_layers(self) -> list[nn.Module]:
        """Return the layers whose outputs `recipe.activity_l2` penalises: all but the head."""
        return [
            layer
            for layer in self.modules()
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer is not self.head
        ]
