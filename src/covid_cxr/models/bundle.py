"""The model bundle: one folder (or the same zipped) with all that a prediction needs.

`manifest.json` names classes, preprocessing, temperature, threshold, training data, metrics and
the sha256 of every file; `model.onnx` holds normalisation and temperature; `weights.safetensors`,
where present, lets one train on. Reading a bundle needs neither torch nor pickle.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import weakref
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, model_validator

from covid_cxr.config import PreprocessSpec, Strict
from covid_cxr.errors import BundleError
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.types import CLASSES, COVID, Task

if TYPE_CHECKING:
    import pandas as pd

FORMAT_VERSION = 1
MANIFEST, GRAPH, CARD = "manifest.json", "model.onnx", "MODEL_CARD.md"
WEIGHTS, REFERENCE = "weights.safetensors", "reference.npz"
LUNGS, LUNGS_MANIFEST = "lungs.onnx", "lungs.json"  # of a model that looks at the lungs alone
GATE = "gate.npz"  # what that lung network's bundle refuses; older ones have none
_BESIDE = {"lungs": LUNGS, "gate": GATE}  # decide too, where a bundle holds them
_LATER = ("lung_margin", "equalise")  # settings that older bundles do not know


class TrainingSource(Strict):
    """What one source gave to training and validation."""

    source: str
    images: int
    patients: int
    findings: dict[str, int]
    licenses: list[str]
    sha256: str = Field(description="sha256 over the sorted sha256 of its films")


class Manifest(Strict):
    """A bundle's description of itself."""

    format_version: int
    id: str
    name: str
    task: Task
    classes: tuple[str, ...]
    architecture: str
    has_cam: bool
    embedding_size: int
    preprocess: PreprocessSpec
    temperature: float = Field(gt=0)
    shift: float = Field(0.0, description="added to the logit of covid-19 after the temperature")
    threshold: float = Field(ge=0, le=1)
    prevalence: float | None = Field(
        None, description="share of COVID-19 that probabilities are for; None: that of the films"
    )
    seed: int
    created: str
    command: str
    licences: tuple[str, ...]
    training_data: tuple[TrainingSource, ...]
    derived_from: str | None = Field(None, description="id of the bundle that was recalibrated")
    recalibrated_on: tuple[TrainingSource, ...] = Field(
        (), description="films that temperature, shift and threshold were fitted to"
    )
    metrics: dict[str, Any]
    files: dict[str, str] = Field(description="file -> sha256")

    @property
    def fitted_share(self) -> float:
        """Share of COVID-19 that probabilities are for; where not stated, that of known films."""
        if self.prevalence is not None:
            return self.prevalence
        films = self.recalibrated_on or self.training_data
        ill = sum(source.findings.get(COVID, 0) for source in films)
        return ill / max(1, sum(source.images for source in films))

    @model_validator(mode="after")
    def _classes_are_the_tasks(self) -> Manifest:
        if self.classes != CLASSES[self.task]:
            raise ValueError(f"classes {self.classes}, expected {CLASSES[self.task]}")
        return self


@dataclass(frozen=True)
class Bundle:
    """An opened, verified bundle."""

    folder: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH

    @property
    def has_weights(self) -> bool:
        return WEIGHTS in self.manifest.files

    @property
    def lungs(self) -> Path | None:
        """Folder of the lung network that this model's input depends on; None without one."""
        return self.folder if LUNGS in self.manifest.files else None

    @property
    def has_reference(self) -> bool:
        return REFERENCE in self.manifest.files


def bundle_id(files: Mapping[str, str], preprocess: PreprocessSpec, threshold: float) -> str:
    """Return the id: a hash of what decides predictions, not of metrics or card.

    Args:
        files: name -> sha256 of the bundle's files; the graphs are looked at.
        preprocess: how films become input.
        threshold: on the probability of COVID-19.
    """
    decisive = {
        "graph": files[GRAPH],
        "preprocess": _decisive(preprocess),
        "threshold": threshold,
    }
    decisive |= {name: files[file] for name, file in _BESIDE.items() if file in files}
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return digest[:16]


def _decisive(preprocess: PreprocessSpec) -> dict[str, Any]:
    """Return what decides answers: no limit of size, nor a later setting that is not in use."""
    unused = {name for name in _LATER if getattr(preprocess, name) == _default(name)}
    return preprocess.model_dump(mode="json", exclude={"max_pixels", *unused})


def _default(setting: str) -> Any:
    return PreprocessSpec.model_fields[setting].default


def load(path: Path | str) -> Bundle:
    """Open a bundle folder or zip and verify it.

    Raises:
        BundleError: not a bundle, a newer format, or a file that is missing or altered.
    """
    path = Path(path)
    if path.is_file():
        return _load_zip(path)
    manifest = _read_manifest(path)
    if GRAPH not in manifest.files:
        raise BundleError(f"bundle '{path}' lists no {GRAPH}; export it again")
    for name, expected in manifest.files.items():
        _verify(path / name, expected)
    if manifest.preprocess.lung_margin is not None and LUNGS not in manifest.files:
        raise BundleError(f"bundle '{path}' looks at lungs but lists no {LUNGS}; export it again")
    expected_id = bundle_id(manifest.files, manifest.preprocess, manifest.threshold)
    if manifest.id != expected_id:
        raise BundleError(
            f"bundle '{path}' says id {manifest.id} but its graph, preprocessing and threshold "
            f"give {expected_id}: it was altered; export it again"
        )
    return Bundle(path, manifest)


def training_sources(cohort: pd.DataFrame) -> tuple[TrainingSource, ...]:
    """Return the manifest's account of the rows (train and val) a model has seen."""
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


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` with the hashes of the files that lie beside it."""
    hashed = manifest.model_copy(update={"files": _hashes(folder)})
    text = json.dumps(hashed.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    atomic_write(folder / MANIFEST, text)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` with the id that the files beside it give, and their hashes."""
    identity = bundle_id(_hashes(folder), manifest.preprocess, manifest.threshold)
    write_manifest(folder, manifest.model_copy(update={"id": identity}))


def _hashes(folder: Path) -> dict[str, str]:
    return {
        entry.name: sha256_of(entry)
        for entry in sorted(folder.iterdir())
        if entry.is_file() and entry.name != MANIFEST
    }


def copy(made: Bundle, out: Path, *, weights: bool = True) -> Bundle:
    """Copy a verified bundle to the folder `out`, or to the zip file if it ends in .zip.

    Args:
        made: what to copy.
        out: must not exist.
        weights: take `weights.safetensors` along.

    Raises:
        BundleError: `out` exists.
    """
    if out.exists():
        raise BundleError(f"'{out}' exists; delete it or choose another name")
    folder = Path(mkdtemp(prefix="covid-cxr-bundle-")) / made.manifest.name
    left_out = shutil.ignore_patterns("" if weights else WEIGHTS)
    shutil.copytree(made.folder, folder, ignore=left_out)
    write_manifest(folder, made.manifest)
    try:
        load(folder)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            shutil.make_archive(str(out.with_suffix("")), "zip", folder)
        else:
            shutil.copytree(folder, out)
    finally:
        shutil.rmtree(folder.parent)
    return load(out)


def _load_zip(path: Path) -> Bundle:
    unzipped = Path(mkdtemp(prefix="covid-cxr-bundle-"))
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(unzipped)
        folders = [entry for entry in unzipped.iterdir() if entry.is_dir()]
        wrapped = not (unzipped / MANIFEST).exists() and len(folders) == 1
        bundle = load(folders[0] if wrapped else unzipped)
    except zipfile.BadZipFile as error:
        shutil.rmtree(unzipped)
        raise BundleError(f"bundle '{path}' is neither a folder nor a zip file") from error
    except BundleError:
        shutil.rmtree(unzipped)
        raise
    weakref.finalize(bundle, shutil.rmtree, unzipped)
    return bundle


def _read_manifest(folder: Path) -> Manifest:
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"'{folder}' is no bundle: {MANIFEST} {error.strerror}; name a bundle folder or zip"
        ) from error
    except ValueError as error:
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
        said = f"'{where}' is invalid" if where else problem["msg"]
        raise BundleError(f"'{folder / MANIFEST}': {said}; export the bundle again") from error


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise BundleError(f"bundle '{path.parent}' lacks {path.name}; copy it again, whole")
    if sha256_of(path) != expected:
        raise BundleError(
            f"'{path}' is not the file the manifest describes (sha256 differs); "
            "copy the bundle again"
        )
