"""The measures of each image, on disk: an evaluation that was stopped continues where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from covid_cxr import __version__
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.measure import MethodValues
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.files import atomic_write
from covid_cxr.inference.explaining import picture_stem

FOLDER = "images"
_FORMAT = 2
_DECISIVE = {"samples", "seed", "repeat_samples", "stages", "steps", "orders"}


class Checkpoint(BaseModel):
    """Measures of one image.

    Attributes:
        file: where it is kept.
        key: hash of all that the measures depend on, but for the method's own options.
        values: method -> group -> measure -> value.
        rejected: method -> why it cannot explain this image.
    """

    file: Path = Field(exclude=True)
    key: str
    values: MethodValues = {}
    rejected: dict[str, str] = {}

    @classmethod
    def open(cls, out: Path, case: Case, settings: Settings) -> Self:
        """Read an image's checkpoint; one that was made under other settings starts empty."""
        file = out / FOLDER / f"{picture_stem(case.path)}.json"
        key = _key(case, settings)
        try:
            saved = cls.model_validate({"file": file} | json.loads(file.read_text("utf-8")))
        except (FileNotFoundError, TypeError, ValueError):
            return cls(file=file, key=key)
        return cls(file=file, key=key, values=saved.values if saved.key == key else {})

    def save(self) -> None:
        """Write the whole checkpoint, or leave the old one."""
        atomic_write(self.file, self.model_dump_json() + "\n")


def _key(case: Case, settings: Settings) -> str:
    decisive = settings.model_dump(include=_DECISIVE) | {
        "format": _FORMAT,
        "version": __version__,
        "path": case.path,
        "bundle": case.bundle.id,
        "masks": _digest(case),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _digest(case: Case) -> str:
    """Return a hash of the masks, so that a corrected one is measured anew."""
    digest = hashlib.sha256()
    lungs = () if case.lungs is None else (case.lungs.right, case.lungs.left)
    for mask in (case.opacities, *lungs):
        digest.update(str(mask.shape).encode() + mask.tobytes())
    return digest.hexdigest()
