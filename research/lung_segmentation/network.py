"""The lung network: a U-Net whose encoder was trained on ImageNet.

Ronneberger et al., "U-Net", MICCAI 2015; Tan & Le, "EfficientNet", ICML 2019, lite0 variant, as in
Iglovikov & Shvets, "TernausNet", 2018, which showed that a pretrained encoder helps small sets.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from covid_cxr.models.zoo.efficientnet import EfficientNetFeatures, pretrained

_BLOCKS = 15  # down to a 32nd of the image, where the receptive field is all of the chest
_UNTRAINED = 3  # these find edges, on radiographs as on photographs, and cost the most to train
_FINER = {10: 112, 4: 40, 2: 24, 0: 16}  # number and channels of the last block of each size
_DEEPEST = 192
_WIDTHS = (96, 48, 32, 16)  # of the decoder
_DROPOUT = 0.1


class LungNetwork(nn.Module):
    """Images (N, 1, S, S) in [0, 1] -> logits (N, 2, S, S), S a multiple of 32.

    Channel 0 is the lung on the left of the image, which is the patient's right one, 1 the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNetFeatures(pretrained(), _BLOCKS)
        self._untrained().requires_grad_(False)
        coarser = (_DEEPEST, *_WIDTHS[:-1])
        sizes = zip(coarser, _FINER.values(), _WIDTHS, strict=True)
        self.decoder = nn.ModuleList([_Join(*channels) for channels in sizes])
        self.head = nn.Sequential(nn.Dropout2d(_DROPOUT), nn.Conv2d(_WIDTHS[-1], 2, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 2, S, S)."""
        encoder, finer = self.encoder, []
        x = encoder.stem(((images - 0.5) / 0.5).expand(-1, 3, -1, -1))
        for i, block in enumerate(encoder.blocks):
            x = block(x, drop_connect_rate=encoder.drop * i / encoder.whole)
            if i in _FINER:
                finer.append(x)
        for join in self.decoder:
            x = join(x, finer.pop())
        return _twice(self.head(x))

    def train(self, mode: bool = True) -> LungNetwork:
        """Set the mode; what is not trained keeps ImageNet's running means too."""
        super().train(mode)
        self._untrained().eval()
        return self

    def _untrained(self) -> nn.Module:
        return nn.Sequential(self.encoder.stem, *self.encoder.blocks[:_UNTRAINED])


class LungGraph(nn.Module):
    """What is exported: probabilities, the mean of those for the image and for its mirror image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, S, S) -> probabilities (N, 2, S, S)."""
        mirrored = torch.sigmoid(self.network(images.flip(3)))
        return (torch.sigmoid(self.network(images)) + mirrored.flip(1, 3)) / 2


class _Join(nn.Module):
    """A coarse map brought to twice its size and joined with the finer one of the encoder."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            *_convolution(coarse + fine, width), *_convolution(width, width)
        )

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        joined: Tensor = self.convolve(torch.cat([_twice(coarse), fine], dim=1))
        return joined


def _convolution(wide: int, width: int) -> tuple[nn.Module, ...]:
    # Batch norm is folded into the convolution once exported.
    return nn.Conv2d(wide, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
