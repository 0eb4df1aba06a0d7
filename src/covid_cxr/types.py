"""Frozen records that cross folder boundaries. Arrays inside them must not be written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int32]


Finding = Literal["normal", "pneumonia", "covid-19"]
Task = Literal["binary", "multiclass"]
Status = Literal["ok", "abstained", "error"]

COVID = "covid-19"
FINDINGS: tuple[Finding, ...] = ("normal", "pneumonia", "covid-19")
CLASSES: dict[Task, tuple[str, ...]] = {
    "binary": ("non-covid-19", "covid-19"),
    "multiclass": ("normal", "pneumonia", "covid-19"),
}
_THUMBNAIL = 512  # pixels of the longest side, in notebooks
DISCLAIMER = "Research use only. Not a medical device; not for diagnosis or triage."


def class_of(finding: str, task: Task) -> str:
    """Return the class name that a cohort `finding` has under `task`.

    >>> class_of("pneumonia", "binary")
    'non-covid-19'
    """
    if task == "multiclass" or finding == COVID:
        return finding
    return "non-covid-19"


def _png(pixels: FloatArray) -> bytes:
    """Return grey levels (H, W) in [0, 1] as a small PNG, for notebooks."""
    from PIL import Image

    buffer = BytesIO()
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    image.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Radiograph:
    """One decoded radiograph; a notebook draws it.

    Attributes:
        pixels: float32 (H, W) in [0, 1]; larger is brighter, as bone is.
        origin: the path it was read from, or "<bytes>".
        format: container actually found ("PNG", "JPEG", "DICOM", ...), whatever the name said.
        bit_depth: significant bits a sample had in the file.
        view: view position if the file states one ("PA", "AP", ...), else None.
        metadata: further non-identifying header values (DICOM modality, photometric, ...).
        flags: warnings of the decoder ("window missing", ...).
    """

    pixels: FloatArray = field(repr=False)
    origin: str
    format: str
    bit_depth: int
    view: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    def _repr_png_(self) -> bytes:
        return _png(self.pixels)


@dataclass(frozen=True, repr=False)
class Lungs:
    """Where the lungs lie on an upright frontal radiograph, on a grid that spans all of it.

    A notebook draws the right lung white and the left one grey.

    Attributes:
        right: bool (h, w), the patient's right lung, which lies on the left of the image.
        left: bool (h, w), the patient's left lung.
    """

    right: BoolArray
    left: BoolArray

    @property
    def both(self) -> BoolArray:
        """Both lungs, bool (h, w)."""
        return self.right | self.left

    def __repr__(self) -> str:
        height, width = self.right.shape
        return f"Lungs({height} x {width}, {self.both.mean():.0%} of the image)"

    def _repr_png_(self) -> bytes:
        return _png(np.where(self.right, 1, 0.6 * self.left).astype(np.float32))


class Box(NamedTuple):
    """A part of a radiograph; edges as shares of its height and width, from the top left."""

    top: float
    left: float
    bottom: float
    right: float


WHOLE = Box(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class LungZones:
    """Where the support for the explained class lies, as shares of all positive attribution.

    Attributes:
        inside_lungs: share inside both lungs.
        shares: zone -> share, in the order of `covid_cxr.explain.rendering.zones.ZONES`.
        sentence: the same in one plain sentence, made from these numbers alone.
    """

    inside_lungs: float
    shares: Mapping[str, float]
    sentence: str


@dataclass(frozen=True)
class Explanation:
    """Why a model gave one image its score for one class.

    Attributes:
        method: name in `covid_cxr.explain.EXPLAINERS`.
        label: the explained class; positive attribution supports it, negative speaks against it.
        attribution: float32 (S, S) on the model's input grid, signed, arbitrary units.
        segments: int32 (S, S) region numbers 0..n-1 where the method works on regions, else None.
        weights: one signed weight a region (index = region number); empty without regions.
        fidelity: in (-inf, 1]; for LIME the weighted R2 of the local model; None where undefined.
        inside_lungs: share of absolute attribution inside the lungs, None without lungs.
        lungs: where the lungs lie, None where they were not segmented or not found.
        evidence: where the support lies, None without lungs or without support.
        parameters: what the method was run with, JSON-ready.
        seed: random seed.
        bundle: id of the explained bundle.
    """

    method: str
    label: str
    attribution: FloatArray = field(repr=False)
    segments: IntArray | None = field(default=None, repr=False)
    weights: tuple[float, ...] = field(default=(), repr=False)
    fidelity: float | None = None
    inside_lungs: float | None = None
    lungs: Lungs | None = None
    zones: LungZones | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    bundle: str = ""


@dataclass(frozen=True)
class Prediction:
    """What the system answers for one file; one row of `predictions.csv`, a table in a notebook.

    `probabilities` is empty unless `status` is "ok". `message` is one line, empty when ok.
    """

    file: str
    status: Status
    message: str = ""
    predicted_class: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    flags: tuple[str, ...] = ()
    explanation: str = ""
    explanation_fidelity: float | None = None
    model: str = ""
    seconds: float = 0.0

    def _repr_html_(self) -> str:
        """Return a table for notebooks; what does not apply is left out."""
        rows = {
            "file": self.file,
            "status": self.status,
            "message": self.message,
            "predicted class": self.predicted_class,
            **{f"probability of {name}": f"{p:.3f}" for name, p in self.probabilities.items()},
            "threshold": "" if self.threshold is None else f"{self.threshold:.3f}",
            "flags": "; ".join(self.flags),
            "model": self.model,
        }
        lines = (f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items() if v)
        return f"<table>{''.join(lines)}</table><p>{DISCLAIMER}</p>"
