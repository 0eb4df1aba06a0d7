"""Check 8: whether the model's answer changes with image content that is not disease.

DeGrave, Janizek and Lee, "AI for radiographic COVID-19 detection selects shortcuts over signal",
Nature Machine Intelligence 2021. The run's own bundle predicts validation images as they are and
perturbed in ways that leave the lungs unchanged; a sound model's probability hardly changes.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from covid_cxr.audit.context import AuditContext
from covid_cxr.audit.verdicts import AuditCheck, finding, not_made, text, verdict_of, worst
from covid_cxr.config.audit import Budget
from covid_cxr.imaging.markers import remove_markers
from covid_cxr.metrics.scores import Array
from covid_cxr.progress import track
from covid_cxr.results import AuditFinding
from covid_cxr.results.audit import Details
from covid_cxr.types import COVID, BoolArray, FloatArray

_DONORS = 12
_FEWEST = 5
_MARGIN = 0.04  # cropped on each side
_FRAME = 0.03


class Donor(NamedTuple):
    """An image (H, W) of another hospital, and where on it text is burnt in."""

    pixels: FloatArray
    markers: BoolArray


class Perturbation(NamedTuple):
    """A change of an image, as sentences put it; None where it needs a donor and has none."""

    description: str
    apply: Callable[[FloatArray, Donor | None, np.random.Generator], FloatArray | None]


def measure(context: AuditContext, _: Budget) -> list[AuditFinding]:
    """Return the median and the 95th percentile of the change by each perturbation."""
    rows = context.sample_validation(context.settings.perturbed, lambda rows: rows["finding"] != "")
    if len(rows) < _FEWEST:
        reason = f"there are {len(rows)} validation images, expected {_FEWEST} or more"
        return [not_made("changes", reason)]
    images = [context.read_reduced(row) for _, row in rows.iterrows()]
    donors = _donors(context)
    before = _probabilities(context, images)
    findings = []
    for name in track(PERTURBATIONS, "audit: perturbing radiographs"):
        perturbed, kept = _perturbed(context, name, rows, images, donors)
        if kept.size >= _FEWEST:
            change = np.abs(_probabilities(context, perturbed) - before[kept])
            findings.append(_finding(context, name, change, rows.index[kept].to_numpy()))
    return findings


def _perturbed(
    context: AuditContext,
    name: str,
    rows: pd.DataFrame,
    images: list[FloatArray],
    donors: list[tuple[str, Donor]],
) -> tuple[list[FloatArray], NDArray[np.intp]]:
    """Return the perturbed images, and which of `images` they are."""
    rng = np.random.default_rng((context.seed, 8))
    hospitals = _hospitals(context)[rows.index]
    perturbed, kept = [], []
    for number, image in enumerate(images):
        others = [donor for hospital, donor in donors if hospital != hospitals[number]]
        donor = others[int(rng.integers(len(others)))] if others else None
        changed = PERTURBATIONS[name].apply(image, donor, rng)
        if changed is not None:
            perturbed.append(np.clip(changed, 0, 1).astype(np.float32))
            kept.append(number)
    return perturbed, np.array(kept, np.intp)


def _hospitals(context: AuditContext) -> NDArray[np.str_]:
    """Return (N,) the hospital of each image: its site where sites are known, else its source."""
    if not context.origins:
        return np.arange(len(context.rows)).astype(str)
    return list(context.origins.values())[-1]


def _donors(context: AuditContext) -> list[tuple[str, Donor]]:
    """Return images with burnt-in text, each with its hospital."""
    hospitals, features = _hospitals(context), context.acquisition
    if "marker_share" not in features:
        return []
    marked = np.flatnonzero(features["marker_share"].to_numpy() > 0)
    donors = []
    for row in np.random.default_rng((context.seed, 7)).permutation(marked)[:_DONORS]:
        image = context.read_reduced(context.rows.iloc[row])
        donors.append((str(hospitals[row]), Donor(image, remove_markers(image) != image)))
    return donors


def _probabilities(context: AuditContext, images: list[FloatArray]) -> Array:
    predictor = context.predictor
    inputs = [prepared.image for prepared in predictor.preparer.prepare(images)]
    probabilities = [predictor.runtime.probabilities(image[None])[0] for image in inputs]
    return np.array(probabilities, dtype=np.float64)[:, predictor.classes.index(COVID)]


def _finding(
    context: AuditContext, name: str, change: Array, rows: NDArray[np.intp]
) -> AuditFinding:
    shares = {"median": 0.5, "extreme": 0.95}
    quantiles = context.bootstrap.quantiles(change, context.clusters[rows], shares)
    limits = context.settings.bounds
    bounds = {"median": limits.perturbed_median, "extreme": limits.perturbed_extreme}
    verdicts = {key: verdict_of(quantiles[key], bounds[key]) for key in shares}
    verdict = worst(verdicts.values())
    decisive = next(key for key in shares if verdicts[key] == verdict)
    sentence = (
        f"When {PERTURBATIONS[name].description}, the probability changes by "
        f"{text(quantiles['median'])} in the median of {change.size} validation images and by "
        f"{text(quantiles['extreme'])} in one of twenty."
    )
    details: Details = {"bounds": bounds, "decisive": decisive, "images": change.size}
    number, bound = quantiles[decisive], bounds[decisive]
    return finding(name, verdict, sentence, number, bound=bound, details={**quantiles, **details})


def markers_removed(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image with burnt-in text removed."""
    return remove_markers(pixels)


def marker_added(pixels: FloatArray, _: Donor | None, rng: np.random.Generator) -> FloatArray:
    """Return the image with a letter and a word burnt into the upper corners."""
    picture = _picture(pixels)
    pen, (width, height) = ImageDraw.Draw(picture), picture.size
    size = max(9, round(0.05 * max(picture.size)))
    left = bool(rng.integers(2))
    pen.text((width * (0.06 if left else 0.9), height * 0.08), "R", fill=255, font_size=size)
    corner = (width * (0.68 if left else 0.05), height * 0.05)
    pen.text(corner, "PORTABLE", fill=240, font_size=max(8, round(0.6 * size)))
    return _floats(picture)


def marker_transplanted(
    pixels: FloatArray, donor: Donor | None, _: np.random.Generator
) -> FloatArray | None:
    """Return the image with another hospital's text in its position; None without a donor."""
    if donor is None:
        return None
    size = pixels.shape[1], pixels.shape[0]
    donated = Image.fromarray(donor.pixels).resize(size, Image.Resampling.BILINEAR)
    where = Image.fromarray(donor.markers).resize(size, Image.Resampling.NEAREST)
    return np.where(np.asarray(where), np.asarray(donated, np.float32), remove_markers(pixels))


def cropped(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image without 4 % on each side."""
    rows, columns = (max(1, round(_MARGIN * edge)) for edge in pixels.shape)
    return pixels[rows:-rows, columns:-columns]


def framed(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image in a black frame of 3 %, as a collimator leaves it."""
    width = max(1, round(_FRAME * max(pixels.shape)))
    return np.pad(pixels, width)


def low_contrast(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image with contrast at 70 %."""
    return 0.5 + 0.7 * (pixels - 0.5)


def darker(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image with gamma 1.3."""
    return np.asarray(pixels**1.3, np.float32)


def blurred(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image blurred by a Gaussian of 0.3 % of the edge."""
    return np.asarray(ndimage.gaussian_filter(pixels, 0.003 * max(pixels.shape)))


def recompressed(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image after JPEG at quality 40."""
    buffer = BytesIO()
    _picture(pixels).save(buffer, "JPEG", quality=40)
    with Image.open(buffer) as picture:
        return _floats(picture)


def coarse(pixels: FloatArray, _: Donor | None, __: np.random.Generator) -> FloatArray:
    """Return the image at half its resolution."""
    picture = Image.fromarray(pixels)
    half = max(32, picture.width // 2), max(32, picture.height // 2)
    return np.asarray(picture.resize(half, Image.Resampling.BICUBIC), np.float32)


PERTURBATIONS = {
    "markers removed": Perturbation("burnt-in text is removed", markers_removed),
    "marker added": Perturbation("a marker is burnt into the upper corners", marker_added),
    "marker transplanted": Perturbation(
        "another hospital's burnt-in text is added", marker_transplanted
    ),
    "borders cropped": Perturbation("4 % is cropped on each side", cropped),
    "frame added": Perturbation("a black frame is added", framed),
    "contrast": Perturbation("contrast is lowered to 70 %", low_contrast),
    "gamma": Perturbation("the image is darkened (gamma 1.3)", darker),
    "blur": Perturbation("it is slightly blurred", blurred),
    "JPEG": Perturbation("it is compressed as JPEG of quality 40", recompressed),
    "resolution": Perturbation("its resolution is halved", coarse),
}


def _picture(pixels: FloatArray) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def _floats(picture: Image.Image) -> FloatArray:
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


CHECK = AuditCheck.built_in("perturbation", measure)
