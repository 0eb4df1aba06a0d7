"""A bundle's description of itself: `manifest.json`, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, ValidationError, field_validator, model_validator

from covid_cxr.config import ModelSettings, PreprocessSpec, Strict
from covid_cxr.errors import BundleError
from covid_cxr.results import HeadlineMetrics
from covid_cxr.results.input_check import InputCheckCounts
from covid_cxr.results.metrics import SplitName
from covid_cxr.types import CLASSES, COVID, Task

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
MANIFEST, GRAPH = "manifest.json", "model.onnx"
LUNGS, LUNGS_MANIFEST = "lungs.onnx", "lungs.json"  # of a model whose input depends on the lungs
_LUNG_FILES = {"lungs": LUNGS, "input_check": LUNGS_MANIFEST}  # part of the id where present


class TrainingSource(Strict):
    """What one source gave to training and validation.

    Attributes:
        sha256: sha256 over the sorted sha256 of its images.
    """

    source: str
    images: int
    patients: int
    findings: dict[str, int]
    licenses: list[str]
    sha256: str


class Manifest(Strict):
    """What a bundle holds, what it was trained on and how it answers.

    Attributes:
        model_settings: of architectures that can be configured; None for their defaults.
        shift: added to the logit of covid-19 after the temperature.
        prevalence: share of COVID-19 that probabilities are for; None: that of the images.
        derived_from: id of the bundle that was recalibrated.
        recalibrated_on: images that temperature, shift and threshold were fitted to.
        input_check: source -> what the input check says of its training images.
        warnings: sentences on its training images, its training and its calibration.
        files: file -> sha256.
    """

    format_version: int
    id: str
    name: str
    task: Task
    classes: tuple[str, ...]
    architecture: str
    model_settings: ModelSettings | None = None
    has_cam: bool
    embedding_size: int
    preprocess: PreprocessSpec
    temperature: float = Field(gt=0)
    shift: float = 0.0
    threshold: float = Field(ge=0, le=1)
    prevalence: float | None = None
    seed: int
    created: str
    command: str
    licences: tuple[str, ...]
    training_data: tuple[TrainingSource, ...]
    derived_from: str | None = None
    recalibrated_on: tuple[TrainingSource, ...] = ()
    input_check: dict[str, InputCheckCounts] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metrics: dict[SplitName, HeadlineMetrics]
    files: dict[str, str]

    @property
    def fitted_share(self) -> float:
        """Share of COVID-19 that probabilities are for; where not stated, that of the images."""
        if self.prevalence is not None:
            return self.prevalence
        sources = self.recalibrated_on or self.training_data
        positive = sum(source.findings.get(COVID, 0) for source in sources)
        return positive / max(1, sum(source.images for source in sources))

    @field_validator("files")
    @classmethod
    def _files_lie_in_the_folder(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if name != Path(name).name or "\\" in name:
                raise ValueError(f"'{name}' is no plain file name")
        return files

    @model_validator(mode="after")
    def _classes_are_the_tasks(self) -> Manifest:
        if self.classes != CLASSES[self.task]:
            raise ValueError(f"classes {self.classes}, expected {CLASSES[self.task]}")
        return self


def bundle_id(files: Mapping[str, str], preprocess: PreprocessSpec, threshold: float) -> str:
    """Return the id: a hash of what decides predictions, not of metrics or card.

    Args:
        files: name -> sha256 of the bundle's files; graphs and `lungs.json`, which holds the
            limits of the input check, are part of the id.
        preprocess: how radiographs become input; its limit of size is not part of the id.
        threshold: on the probability of COVID-19.
    """
    decisive = {
        "graph": files[GRAPH],
        "preprocess": preprocess.model_dump(mode="json", exclude={"max_pixels"}),
        "threshold": threshold,
    }
    decisive |= {name: files[file] for name, file in _LUNG_FILES.items() if file in files}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def training_sources(cohort: pd.DataFrame) -> tuple[TrainingSource, ...]:
    """Return what each source gave to the rows (train and val) that a model was fitted to."""
    return tuple(
        TrainingSource(
            source=str(source),
            images=len(rows),
            patients=rows["patient_id"].nunique(),
            findings={str(k): int(v) for k, v in rows["finding"].value_counts().items()},
            licenses=sorted(set(rows["license"]) - {""}),
            sha256=hashlib.sha256("".join(sorted(rows["sha256"])).encode()).hexdigest(),
        )
        for source, rows in cohort.groupby("source", sort=True)
    )


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`; the files that it names are not looked at.

    Raises:
        BundleError: it is missing, of another format, or its values do not fit together.
    """
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"'{folder}' is no bundle: {MANIFEST} {error.strerror}; name a bundle folder or zip"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"'{folder / MANIFEST}' is not JSON; export the bundle again") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise BundleError(
            f"bundle '{folder}' has format version {version!r}, this covid-cxr reads "
            f"{FORMAT_VERSION}; use the version of covid-cxr that made it"
        )
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = f"'{where}' is invalid" if where else problem["msg"]
        raise BundleError(f"'{folder / MANIFEST}': {message}; export the bundle again") from error
