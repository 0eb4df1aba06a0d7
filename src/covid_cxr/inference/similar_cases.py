"""The known films that a film looks like: nearest in the network's embedding.

A bundle holds the embeddings of the films it was trained on (`reference.npz`), with ids and
findings, and nobody's image.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from covid_cxr.errors import BundleError
from covid_cxr.files import atomic_write
from covid_cxr.types import FloatArray

_TINY = 1e-12


class Neighbour(NamedTuple):
    """A known film: its id in the cohort, what it shows, and how far it is.

    `distance` is 1 less the cosine of the two embeddings: 0 for the same film, 1 for one that has
    nothing in common.
    """

    image_id: str
    finding: str
    distance: float


@dataclass(frozen=True)
class Reference:
    """The films a bundle was trained on, as its network sees them.

    Attributes:
        embeddings: float32 (M, E), of length 1.
        image_ids: str (M,), as in `cohort.csv`.
        findings: str (M,).
    """

    embeddings: FloatArray
    image_ids: NDArray[Any]
    findings: NDArray[Any]

    def nearest(self, embedding: FloatArray, count: int = 3) -> list[Neighbour]:
        """Return the `count` films nearest to an embedding (E,), nearest first."""
        distance = 1 - self.embeddings @ _unit(embedding[None])[0]
        order = np.argsort(distance, kind="stable")[:count]
        return [
            Neighbour(
                str(self.image_ids[i]),
                str(self.findings[i]),
                max(0.0, round(float(distance[i]), 4)),
            )
            for i in order
        ]


def write(
    path: Path, embeddings: FloatArray, image_ids: Sequence[str], findings: Sequence[str]
) -> None:
    """Write `reference.npz`: embeddings (M, E) of known films, in half precision."""
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
        with np.load(path, allow_pickle=False) as found:
            return Reference(
                found["embeddings"].astype(np.float32), found["image_ids"], found["findings"]
            )
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise BundleError(f"'{path}' holds no reference films; export the bundle again") from error


def _unit(embeddings: FloatArray) -> FloatArray:
    length = np.linalg.norm(embeddings.astype(np.float32), axis=1, keepdims=True)
    unit: FloatArray = embeddings / np.maximum(length, _TINY)
    return unit
