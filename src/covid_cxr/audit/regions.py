"""Films without lungs, without all but the frame, and with nothing but lungs.

The outline of what is painted over could give away what it hid: a lung network finds less of a
lung that is full. So a template, the same for all films, is painted over besides, and the paint is
what lies around, without an edge. Films are changed before brightness and contrast are
standardised, else the part that is left would tell how white the lungs were.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from covid_cxr import imaging
from covid_cxr.config import PreprocessSpec
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.imaging.crop import crop, lung_box
from covid_cxr.types import BoolArray, FloatArray, Lungs

_MARGIN = 0.05  # share of the edge by which lungs are made wider
_COMMON = 0.15  # the template: where at least this share of films has lung
_FRAME = 0.12  # width of the frame as a share of the edge
_COARSE = 4  # paint is mixed on a grid this much coarser
_REACH = 0.06  # sigma of the paint as a share of the edge


class Views(NamedTuple):
    """What is made of some films (n, S, S) with their lungs (n, S, S)."""

    films: NDArray[np.floating]
    lungs: BoolArray
    template: BoolArray  # (S, S)


def widened(lungs: BoolArray) -> BoolArray:
    """Return lungs (N, S, S) made wider by 5 % of the edge."""
    reach = _MARGIN * lungs.shape[-1]
    wide = np.zeros_like(lungs)
    for place, lung in enumerate(lungs):
        if lung.any():
            wide[place] = ndimage.distance_transform_edt(~lung) <= reach
    return wide


def template(wide: BoolArray) -> BoolArray:
    """Return where (S, S) at least 15 % of films with lungs (N, S, S) have any."""
    found = wide[wide.any(axis=(1, 2))]
    return (
        np.asarray(found.mean(axis=0) >= _COMMON) if len(found) else np.zeros(wide.shape[1:], bool)
    )


def whole(views: Views) -> FloatArray:
    """Return the films as they are."""
    return views.films.astype(np.float32)


def lungs_removed(views: Views) -> FloatArray:
    """Return the films with lungs and template painted over."""
    return painted(views.films, views.lungs | views.template)


def frame_only(views: Views) -> FloatArray:
    """Return the outer 12 % on each side, lungs painted over; the middle is its mean."""
    size = views.films.shape[-1]
    width = round(_FRAME * size)
    middle = np.zeros((size, size), bool)
    middle[width:-width, width:-width] = True
    films = painted(views.films, views.lungs | views.template)
    return _levelled(films, np.broadcast_to(~middle, films.shape))


def lungs_only(views: Views) -> FloatArray:
    """Return the lungs; all else is their mean."""
    return _levelled(views.films, views.lungs)


def outline(views: Views) -> FloatArray:
    """Return the lungs' outline, filled: what the place and shape of the mask give away."""
    return views.lungs.astype(np.float32)


VIEWS: dict[str, Callable[[Views], FloatArray]] = {
    "whole": whole,
    "lungs removed": lungs_removed,
    "frame only": frame_only,
    "lungs only": lungs_only,
    "outline": outline,
}


def plain(spec: PreprocessSpec, size: int) -> PreprocessSpec:
    """Return what brings a film to (size, size) and does nothing else to it."""
    nothing = {"remove_markers": False, "standardise": False, "equalise": False}
    return spec.model_copy(update={"size": size, "lung_margin": None, **nothing})


def shown(name: str, views: Views, spec: PreprocessSpec) -> FloatArray:
    """Return model input (n, 1, S, S) of one of `VIEWS`, standardised as `spec` says."""
    size = views.films.shape[-1]
    made = spec.model_copy(update={"size": size, "remove_markers": False, "lung_margin": None})
    return np.stack([imaging.preprocess(film, made) for film in VIEWS[name](views)])


def cut_to_lungs(
    films: NDArray[np.float16], lungs: BoolArray, spec: PreprocessSpec
) -> tuple[NDArray[np.float16], BoolArray]:
    """Return films and lungs (N, S, S) cut as a recipe with a `lung_margin` sees them.

    The lungs are wider by `widened` already, and so is the cut.
    """
    resize, empty = plain(spec, films.shape[-1]), np.zeros(films.shape[1:], bool)
    cropped, cropped_lungs = np.empty_like(films), np.empty_like(lungs)
    for place, lung in enumerate(lungs):
        box = lung_box(spec, Lungs(lung, empty))
        part = crop(films[place].astype(np.float32), box)
        cropped[place] = imaging.preprocess(part, resize)[0]
        cropped_lungs[place] = mask_on_grid(crop(lung, box), empty.shape)
    return cropped, cropped_lungs


def painted(films: NDArray[np.floating], hidden: BoolArray) -> FloatArray:
    """Return films (n, S, S) with what is hidden replaced by a soft mean of what is around.

    Normalised convolution (Knutsson and Westin, CVPR 1993) at two widths: the narrow one where it
    reaches, the wide one in the middle of what is hidden.
    """
    films = films.astype(np.float32)
    seen = 1 - hidden.astype(np.float32)
    near, near_weight = _mixed(films * seen, seen, _REACH)
    far, _ = _mixed(films * seen, seen, 4 * _REACH)
    share = np.clip(near_weight / 0.05, 0, 1)
    paint = share * near + (1 - share) * far
    return np.where(hidden, _spread(paint, films.shape[-1]), films)


def _mixed(
    filled: FloatArray, seen: FloatArray, reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the weighted mean and its weight on the coarse grid (n, S / 4, S / 4)."""
    sigma = reach * filled.shape[-1] / _COARSE
    value, weight = (
        ndimage.gaussian_filter(_shrunk(each), (0, sigma, sigma), mode="nearest")
        for each in (filled, seen)
    )
    return value / np.maximum(weight, 1e-6), weight


def _shrunk(films: FloatArray) -> FloatArray:
    """Return means over cells of 4 x 4, the last row and column repeated where needed."""
    spare = -films.shape[-1] % _COARSE
    films = np.pad(films, ((0, 0), (0, spare), (0, spare)), mode="edge")
    n, size, _ = films.shape
    cells = films.reshape(n, size // _COARSE, _COARSE, size // _COARSE, _COARSE)
    return np.asarray(cells.mean(axis=(2, 4)))


def _spread(coarse: FloatArray, size: int) -> FloatArray:
    """Return the coarse grid on (n, size, size), linear between the middles of its cells."""
    at = (np.arange(size) + 0.5) / _COARSE - 0.5
    at = np.clip(at, 0, coarse.shape[-1] - 1)
    low = np.minimum(at.astype(int), coarse.shape[-1] - 2)
    part = (at - low).astype(np.float32)
    rows = coarse[:, low] * (1 - part)[:, None] + coarse[:, low + 1] * part[:, None]
    return np.asarray(rows[..., low] * (1 - part) + rows[..., low + 1] * part)


def _levelled(films: NDArray[np.floating], kept: BoolArray) -> FloatArray:
    """Return films with all that is not kept at the mean of what is; grey where nothing is."""
    films = films.astype(np.float32)
    count = kept.sum(axis=(1, 2))
    mean = np.where(count > 0, (films * kept).sum(axis=(1, 2)) / np.maximum(count, 1), 0.5)
    return np.where(kept, films, mean[:, None, None].astype(np.float32))
