"""Radiographs of the training that resemble a radiograph: nearest in the network's embedding.

A bundle holds the embeddings of the images it was trained on (`reference.npz`), with ids and
findings, and nobody's image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from covid_cxr.errors import AlteredImage, BundleError, UnreadableImage
from covid_cxr.files import atomic_write
from covid_cxr.imaging.page import MUTED, TEXT, Caption, Cell, Grid, thumbnail
from covid_cxr.types import DISCLAIMER, FloatArray, Radiograph

ImageLoader = Callable[[str], Radiograph | None]  # by image id; None where it is not at hand

_TINY = 1e-12
_EDGE = 300  # pixels


class SimilarCase(NamedTuple):
    """A radiograph of the training: its id in the cohort, its finding, and how far it is.

    `distance` is 1 less the cosine of the two embeddings: 0 for the same image, 1 for one that has
    nothing in common.
    """

    image_id: str
    finding: str
    distance: float


@dataclass(frozen=True)
class Reference:
    """The images a bundle was trained on, as its network sees them.

    Attributes:
        embeddings: float32 (M, E), of length 1.
        image_ids: str (M,), as in `cohort.csv`.
        findings: str (M,).
    """

    embeddings: FloatArray
    image_ids: NDArray[Any]
    findings: NDArray[Any]

    def nearest(self, embedding: FloatArray, count: int = 3) -> list[SimilarCase]:
        """Return the `count` images nearest to an embedding (E,), nearest first."""
        distance = 1 - self.embeddings @ _unit(embedding[None])[0]
        order = np.argsort(distance, kind="stable")[:count]
        return [
            SimilarCase(
                str(self.image_ids[i]),
                str(self.findings[i]),
                max(0.0, round(float(distance[i]), 4)),
            )
            for i in order
        ]


def save(
    path: Path, embeddings: FloatArray, image_ids: Sequence[str], findings: Sequence[str]
) -> None:
    """Write `reference.npz`: embeddings (M, E) of training images, in half precision."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        embeddings=_unit(embeddings).astype(np.float16),
        image_ids=np.array(image_ids, dtype=np.str_),
        findings=np.array(findings, dtype=np.str_),
    )
    atomic_write(path, content.getvalue())


def load(path: Path) -> Reference:
    """Read `reference.npz`; nothing in it is unpickled.

    Raises:
        BundleError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Reference(
                arrays["embeddings"].astype(np.float32), arrays["image_ids"], arrays["findings"]
            )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise BundleError(
            f"'{path}' holds no reference embeddings; export the bundle again"
        ) from error


def draw_similar_cases(
    pixels: FloatArray, name: str, cases: Sequence[SimilarCase], load_image: ImageLoader
) -> Image.Image:
    """Draw a radiograph and beside it similar cases, each with finding, distance and id.

    Args:
        pixels: the radiograph as read, (H, W).
        name: of its file.
        cases: nearest first.
        load_image: loads a case's radiograph; where it is not at hand the frame stays empty.
    """
    cells = [Cell(thumbnail(pixels, _EDGE), _caption(name, "this radiograph"))]
    for case in cases:
        picture = _load(load_image, case)
        caption = _caption(case.finding, f"distance {case.distance:.3f}", case.image_id)
        cells.append(Cell("not at hand" if picture is None else thumbnail(picture, _EDGE), caption))
    return Grid(_EDGE, across=len(cells), lines=4).draw(["Similar cases", DISCLAIMER], cells)


def _caption(name: str, *others: str) -> Caption:
    return [(name, TEXT), *((text, MUTED) for text in others)]


def _load(load_image: ImageLoader, case: SimilarCase) -> FloatArray | None:
    try:
        radiograph = load_image(case.image_id)
    except (UnreadableImage, AlteredImage):  # moved or replaced since; its id is still of use
        return None
    return None if radiograph is None else radiograph.pixels


def _unit(embeddings: FloatArray) -> FloatArray:
    length = np.linalg.norm(embeddings.astype(np.float32), axis=1, keepdims=True)
    unit: FloatArray = embeddings / np.maximum(length, _TINY)
    return unit
