"""What is known of each film, on disk: an evaluation that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covid_cxr import __version__
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.measure import Found
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.files import atomic_write
from covid_cxr.inference.batch import picture_stem

FOLDER = "films"
_FORMAT = 1


@dataclass
class Record:
    """Measures of one film.

    Attributes:
        file: where it is kept.
        key: of all that the measures depend on, but for the method's own options.
        found: method -> group -> measure -> value.
        refused: method -> why it cannot explain this film.
    """

    file: Path
    key: str
    found: Found = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, out: Path, case: Case, settings: Settings) -> Record:
        """Take up a film's record; one that was made under other settings is begun anew."""
        file = out / FOLDER / f"{picture_stem(case.path)}.json"
        key = _key(case, settings)
        try:
            known: dict[str, Any] = json.loads(file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            known = {}
        found = known.get("found", {}) if known.get("key") == key else {}
        return cls(file, key, found)

    def save(self) -> None:
        """Write it whole or not at all."""
        content = {"key": self.key, "found": self.found, "refused": self.refused}
        atomic_write(self.file, json.dumps(content, allow_nan=False) + "\n")


def _key(case: Case, settings: Settings) -> str:
    decisive = {
        "format": _FORMAT,
        "version": __version__,
        "path": case.path,
        "bundle": case.made.id,
        "drawn": _digest(case),
        "samples": settings.samples,
        "seed": settings.seed,
        "repeat_samples": settings.repeat_samples,
        "stages": settings.stages,
        "steps": settings.steps,
        "orders": settings.orders,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _digest(case: Case) -> str:
    """Return a hash of what was drawn, so that a corrected mask is measured anew."""
    digest = hashlib.sha256()
    lungs = () if case.lungs is None else (case.lungs.right, case.lungs.left)
    for mask in (case.opacities, *lungs):
        if mask is not None:
            digest.update(str(mask.shape).encode() + mask.tobytes())
    return digest.hexdigest()
