"""The model bundle: one folder (or the same zipped) with all that a prediction needs.

`manifest.json` names classes, preprocessing, temperature, threshold, training data, metrics and
the sha256 of every file; `model.onnx` holds normalisation and temperature; `weights.safetensors`,
where present, lets one train on. Reading a bundle needs neither torch nor pickle. Bundles are
opened as untrusted: archives are unpacked within bounds, and a graph reads no other file.

The lung network that ships in the package is there once: a bundle that names its hash and lacks
the file, as the default one does, uses that copy. Bundles that are made or copied carry their own.
"""

from __future__ import annotations

import json
import shutil
import weakref
import zipfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISLNK
from tempfile import TemporaryDirectory, mkdtemp

from covid_cxr.errors import BundleError
from covid_cxr.files import atomic_write, sha256_of
from covid_cxr.models.manifest import (
    GRAPH,
    LUNGS,
    LUNGS_MANIFEST,
    MANIFEST,
    Manifest,
    bundle_id,
    read_manifest,
)

CARD, WEIGHTS, REFERENCE = "MODEL_CARD.md", "weights.safetensors", "reference.npz"
SHIPPED_LUNGS = Path(__file__).parents[1] / "bundles" / "lungs"
# Of an archive; graphs and weights hardly shrink when packed, so that a larger ratio is no bundle.
_MOST_FILES, _MOST_BYTES, _MOST_RATIO = 100, 2 * 1024**3, 100
# Damaged; compressed in ways unknown here; encrypted.
_NO_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_EXTERNAL_DATA = b"location"  # the key under which an ONNX tensor names another file


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
        return _path(self.folder, LUNGS).parent if LUNGS in self.manifest.files else None

    @property
    def has_reference(self) -> bool:
        return REFERENCE in self.manifest.files


def load(path: Path | str) -> Bundle:
    """Open a bundle folder or zip and verify it.

    Raises:
        BundleError: not a bundle, another format, or a file that is missing or altered.
    """
    path = Path(path)
    if path.is_file():
        return _load_zip(path)
    manifest = read_manifest(path)
    if GRAPH not in manifest.files:
        raise BundleError(f"bundle '{path}' lists no {GRAPH}; export it again")
    for name, expected in manifest.files.items():
        _verify(path, name, expected)
    if manifest.preprocess.lung_margin is not None and LUNGS not in manifest.files:
        raise BundleError(
            f"bundle '{path}' crops to the lungs but lists no {LUNGS}; export it again"
        )
    expected_id = bundle_id(manifest.files, manifest.preprocess, manifest.threshold)
    if manifest.id != expected_id:
        raise BundleError(
            f"bundle '{path}' has id {manifest.id} but its graph, preprocessing and threshold "
            f"give {expected_id}: it was altered; export it again"
        )
    return Bundle(path, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` with the hashes of the files beside it."""
    hashed = manifest.model_copy(update={"files": _hashes(folder)})
    text = json.dumps(hashed.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    atomic_write(folder / MANIFEST, text)


def seal(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json` with the id that the files beside it give, and their hashes."""
    identity = bundle_id(_hashes(folder), manifest.preprocess, manifest.threshold)
    write_manifest(folder, manifest.model_copy(update={"id": identity}))


def copy_files(bundle: Bundle, out: Path, *, without: Collection[str] = ()) -> None:
    """Copy the files that a bundle's manifest names, its lung network included, to a new folder."""
    out.mkdir(parents=True)
    for name in bundle.manifest.files:
        if name not in without:
            shutil.copyfile(_path(bundle.folder, name), out / name)


def copy(bundle: Bundle, out: Path, *, weights: bool = True) -> Bundle:
    """Copy a verified bundle to the folder `out`, or to the zip file if it ends in .zip.

    Args:
        bundle: what to copy.
        out: must not exist.
        weights: take `weights.safetensors` along.

    Raises:
        BundleError: `out` exists.
    """
    if out.exists():
        raise BundleError(f"'{out}' exists; delete it or choose another name")
    with TemporaryDirectory(prefix="covid-cxr-bundle-") as temporary:
        folder = Path(temporary) / bundle.manifest.name
        copy_files(bundle, folder, without=() if weights else (WEIGHTS,))
        write_manifest(folder, bundle.manifest)
        load(folder)
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.suffix == ".zip":
            shutil.make_archive(str(out.with_suffix("")), "zip", folder)
        else:
            shutil.copytree(folder, out)
    return load(out)


def _hashes(folder: Path) -> dict[str, str]:
    return {
        entry.name: sha256_of(entry)
        for entry in sorted(folder.iterdir())
        if entry.is_file() and entry.name != MANIFEST
    }


def _path(folder: Path, name: str) -> Path:
    """Return where a bundle's file lies: beside its manifest, or in the package."""
    is_shipped = name in (LUNGS, LUNGS_MANIFEST) and not (folder / name).exists()
    return (SHIPPED_LUNGS if is_shipped else folder) / name


def _verify(folder: Path, name: str, expected: str) -> None:
    path = _path(folder, name)
    is_intact = path.is_file() and sha256_of(path) == expected
    if not path.is_file() or (path.parent != folder and not is_intact):
        raise BundleError(f"bundle '{folder}' lacks {name}; copy it again, whole")
    if not is_intact:
        raise BundleError(
            f"'{path}' is not the file the manifest describes (sha256 differs); "
            "copy the bundle again"
        )
    if path.suffix == ".onnx" and _EXTERNAL_DATA in path.read_bytes():
        raise BundleError(
            f"'{path}' takes weights from another file (ONNX external data), which a bundle's "
            "graph must not; export it again"
        )


def _load_zip(path: Path) -> Bundle:
    unzipped = Path(mkdtemp(prefix="covid-cxr-bundle-"))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive, path)
            archive.extractall(unzipped)
        folders = [entry for entry in unzipped.iterdir() if entry.is_dir()]
        is_wrapped = not (unzipped / MANIFEST).exists() and len(folders) == 1
        bundle = load(folders[0] if is_wrapped else unzipped)
    except _NO_ARCHIVE as error:
        shutil.rmtree(unzipped)
        raise BundleError(f"bundle '{path}' is neither a folder nor a zip file") from error
    except BundleError:
        shutil.rmtree(unzipped)
        raise
    weakref.finalize(bundle, shutil.rmtree, unzipped)
    return bundle


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Raise where unpacking would write outside the folder, make links or fill the disk.

    `zipfile` itself stops at the size that an entry declares, so that the sizes may be believed.
    """
    entries = archive.infolist()
    size, packed = (
        sum(entry.file_size for entry in entries),
        sum(entry.compress_size for entry in entries),
    )
    if len(entries) > _MOST_FILES:
        raise BundleError(
            f"bundle '{path}' holds {len(entries)} files, at most {_MOST_FILES} allowed"
        )
    if size > _MOST_BYTES or size > _MOST_RATIO * max(packed, 1):
        raise BundleError(
            f"bundle '{path}' unpacks to {size} bytes, {size / max(packed, 1):.0f} times its size; "
            f"at most {_MOST_BYTES} bytes and {_MOST_RATIO} times are allowed"
        )
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.orig_filename:
            raise BundleError(
                f"bundle '{path}' holds '{entry.filename}', a path outside its folder"
            )
        if S_ISLNK(entry.external_attr >> 16):
            raise BundleError(f"bundle '{path}' holds '{entry.filename}', a link")
