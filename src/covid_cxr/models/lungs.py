"""The network that finds the lungs: a small residual U-Net.

Ronneberger et al., "U-Net", MICCAI 2015, with the residual units of Kerfoot et al., "Left-ventricle
quantification using residual U-Net", STACOM 2018, as MONAI builds it.
"""

from __future__ import annotations

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

CHANNELS = (16, 32, 64, 128, 256)
_LAST = 8


def lung_network() -> nn.Module:
    """Return a fresh network: films (N, 1, S, S) in [0, 1] -> logits (N, 2, S, S), S a multiple
    of 16; channel 0 is the patient's right lung, 1 the left.
    """
    unet = UNet(
        spatial_dims=2,
        in_channels=1,
        # Not 2: the last block rectifies as many channels as it hands on, and one of two may die.
        out_channels=_LAST,
        channels=CHANNELS,
        strides=(2,) * (len(CHANNELS) - 1),
        num_res_units=2,
        act="RELU",  # a third faster to train than PReLU in bf16
        norm="batch",  # folded into the convolutions once exported
        dropout=0.1,
    )
    return nn.Sequential(unet, nn.Conv2d(_LAST, 2, 1))


class LungGraph(nn.Module):
    """What is exported: probabilities instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, S, S) -> probabilities (N, 2, S, S)."""
        return torch.sigmoid(self.network(images))
