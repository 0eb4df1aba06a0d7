"""Random changes to films and their lung masks together, a whole batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TURN, _SHEAR, _SHIFT = 0.22, 0.1, 0.2  # radians; shares of the half edge
_STRETCH, _ASPECT = 0.25, 0.12  # of the logarithm of the scale
_KNOTS, _BEND = 5, 0.05


def augment(films: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return films (N, 1, S, S) and masks (N, 2, S, S) bent alike, films changed in grey too.

    Films come as they do from other detectors and other patients: turned, moved, stretched, bent,
    lighter, darker, noisy, blurred, with haze over the lungs (what the network must not take for
    the lung's border) and with blank rectangles (labels, devices). Half of them are mirrored, the
    two masks then change places: a lung is named by its side of the film, not by the heart.
    """
    films, masks = _mirror(films, masks, rng)
    grid = _grid(films, rng)
    films = functional.grid_sample(films, grid, padding_mode="border", align_corners=False)
    masks = functional.grid_sample(masks, grid, padding_mode="zeros", align_corners=False)
    return _grey(_blank(_haze(films, rng), rng), rng), masks


def _uniform(rng: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=rng) * (high - low) + low


def _mirror(films: Tensor, masks: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    chosen = torch.rand(len(films), 1, 1, 1, generator=rng) < 0.5
    films = torch.where(chosen, films.flip(3), films)
    return films, torch.where(chosen, masks.flip(1, 3), masks)


def _grid(films: Tensor, rng: torch.Generator) -> Tensor:
    n, _, edge, _ = films.shape
    angle, shear = _uniform(rng, -_TURN, _TURN, n), _uniform(rng, -_SHEAR, _SHEAR, n)
    scale, aspect = _uniform(rng, -_STRETCH, _STRETCH, n), _uniform(rng, -_ASPECT, _ASPECT, n)
    wide, high = torch.exp(scale + aspect), torch.exp(scale - aspect)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = wide * angle.cos(), -high * angle.sin() + shear
    theta[:, 1, 0], theta[:, 1, 1] = wide * angle.sin(), high * angle.cos()
    theta[:, :, 2] = _uniform(rng, -_SHIFT, _SHIFT, n, 2)
    bend = _uniform(rng, -_BEND, _BEND, n, 2, _KNOTS, _KNOTS)
    bend = functional.interpolate(bend, (edge, edge), mode="bicubic", align_corners=True)
    straight = functional.affine_grid(theta, list(films.shape), align_corners=False)
    return straight + bend.permute(0, 2, 3, 1)


def _haze(films: Tensor, rng: torch.Generator) -> Tensor:
    """Brighten one to three soft ellipses a film, as opacities do."""
    n, _, edge, _ = films.shape
    axis = torch.linspace(0, 1, edge)
    for _ in range(3):
        centre, width = _uniform(rng, 0.1, 0.9, n, 2, 1), _uniform(rng, 0.05, 0.25, n, 2, 1)
        falloff = torch.exp(-(((axis - centre) / width) ** 2))
        strength = _uniform(rng, -0.3, 0.45, n, 1, 1).clamp(min=0)  # none for four in ten
        films = films + (strength * falloff[:, 0, :, None] * falloff[:, 1, None, :])[:, None]
    return films


def _blank(films: Tensor, rng: torch.Generator) -> Tensor:
    """Put a rectangle of one grey on half of the films."""
    films, edge = films.clone(), films.shape[-1]
    for row in (torch.rand(len(films), generator=rng) < 0.5).nonzero().flatten():
        high, wide = (int(v) for v in _uniform(rng, 0.04, 0.22, 2) * edge)
        top, left = (int(v) for v in _uniform(rng, 0, 0.95, 2) * edge)
        grey = torch.rand(1, generator=rng)
        films[row, :, top : top + high, left : left + wide] = grey
    return films


def _grey(films: Tensor, rng: torch.Generator) -> Tensor:
    n = len(films)
    contrast, light = _uniform(rng, 0.65, 1.4, n, 1, 1, 1), _uniform(rng, -0.12, 0.12, n, 1, 1, 1)
    films = ((films - 0.5) * contrast + 0.5 + light).clamp(0, 1)
    films = films ** torch.exp(_uniform(rng, -0.5, 0.5, n, 1, 1, 1))
    blurred = functional.avg_pool2d(films, 3, stride=1, padding=1, count_include_pad=False)
    films = torch.where(torch.rand(n, 1, 1, 1, generator=rng) < 0.3, blurred, films)
    noise = torch.randn(films.shape, generator=rng) * _uniform(rng, 0, 0.05, n, 1, 1, 1)
    return (films + noise).clamp(0, 1)
