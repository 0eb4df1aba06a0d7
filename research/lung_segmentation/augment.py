"""Random changes to images and their lung masks together, a whole batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TURN, _SHEAR, _SHIFT = 0.22, 0.1, 0.2  # radians; shares of the half edge
_STRETCH, _ASPECT = 0.25, 0.12  # of the logarithm of the scale
_KNOTS, _BEND = 5, 0.05


def augment(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images (N, 1, S, S) and masks (N, 2, S, S) bent alike, images changed in grey too.

    Images come as they do from other detectors and other patients: turned, moved, stretched, bent,
    lighter, darker, noisy, blurred, with haze over the lungs (what the network must not take for
    the lung's border) and with blank rectangles (labels, devices). Half of them are mirrored, the
    two masks then change places: a lung is named by its side of the image, not by the heart.
    """
    images, masks = _mirror(images, masks, rng)
    grid = _grid(images, rng)
    images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    masks = functional.grid_sample(masks, grid, padding_mode="zeros", align_corners=False)
    return _grey(_blank(_haze(images, rng), rng), rng), masks


def _uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=rng) * (high - low) + low


def _mirror(images: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    chosen = torch.rand(len(images), 1, 1, 1, generator=rng) < 0.5
    images = torch.where(chosen, images.flip(3), images)
    return images, torch.where(chosen, masks.flip(1, 3), masks)


def _grid(images: Tensor, rng: torch.Generator) -> Tensor:
    n, _, edge, _ = images.shape
    angle, shear = _uniform(rng, -_TURN, _TURN, n), _uniform(rng, -_SHEAR, _SHEAR, n)
    scale, aspect = _uniform(rng, -_STRETCH, _STRETCH, n), _uniform(rng, -_ASPECT, _ASPECT, n)
    wide, high = torch.exp(scale + aspect), torch.exp(scale - aspect)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = wide * angle.cos(), -high * angle.sin() + shear
    theta[:, 1, 0], theta[:, 1, 1] = wide * angle.sin(), high * angle.cos()
    theta[:, :, 2] = _uniform(rng, -_SHIFT, _SHIFT, n, 2)
    bend = _uniform(rng, -_BEND, _BEND, n, 2, _KNOTS, _KNOTS)
    bend = functional.interpolate(bend, (edge, edge), mode="bicubic", align_corners=True)
    straight = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return straight + bend.permute(0, 2, 3, 1)


def _haze(images: Tensor, rng: torch.Generator) -> Tensor:
    """Brighten one to three soft ellipses a image, as opacities do."""
    n, _, edge, _ = images.shape
    axis = torch.linspace(0, 1, edge)
    for _ in range(3):
        centre, width = _uniform(rng, 0.1, 0.9, n, 2, 1), _uniform(rng, 0.05, 0.25, n, 2, 1)
        falloff = torch.exp(-(((axis - centre) / width) ** 2))
        strength = _uniform(rng, -0.3, 0.45, n, 1, 1).clamp(min=0)  # none for four in ten
        images = images + (strength * falloff[:, 0, :, None] * falloff[:, 1, None, :])[:, None]
    return images


def _blank(images: Tensor, rng: torch.Generator) -> Tensor:
    """Put a rectangle of one grey on half of the images."""
    images, edge = images.clone(), images.shape[-1]
    for row in (torch.rand(len(images), generator=rng) < 0.5).nonzero().flatten():
        high, wide = (int(v) for v in _uniform(rng, 0.04, 0.22, 2) * edge)
        top, left = (int(v) for v in _uniform(rng, 0, 0.95, 2) * edge)
        grey = torch.rand(1, generator=rng)
        images[row, :, top : top + high, left : left + wide] = grey
    return images


def _grey(images: Tensor, rng: torch.Generator) -> Tensor:
    n = len(images)
    contrast, light = _uniform(rng, 0.65, 1.4, n, 1, 1, 1), _uniform(rng, -0.12, 0.12, n, 1, 1, 1)
    images = ((images - 0.5) * contrast + 0.5 + light).clamp(0, 1)
    images = images ** torch.exp(_uniform(rng, -0.5, 0.5, n, 1, 1, 1))
    blurred = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    images = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.3, blurred, images)
    noise = torch.randn(images.shape, generator=rng) * _uniform(rng, 0, 0.05, n, 1, 1, 1)
    return (images + noise).clamp(0, 1)
