"""A synthetic cohort on disk: images, true masks and the manifest that lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from covid_cxr.errors import InputError
from covid_cxr.phantoms.canvas import to_image
from covid_cxr.phantoms.hospitals import HOSPITALS
from covid_cxr.phantoms.radiograph import Phantom, draw
from covid_cxr.phantoms.shortcuts import Shortcut, inject_shortcut
from covid_cxr.progress import track
from covid_cxr.types import COVID, FINDINGS, Finding

# Patients in every block of 20: 40 % normal, 25 % pneumonia, 35 % covid-19.
_QUOTA: dict[Finding, int] = {"normal": 8, "pneumonia": 5, "covid-19": 7}
_BLOCK: list[Finding] = [finding for finding, count in _QUOTA.items() for _ in range(count)]


class _Row(NamedTuple):
    image_id: str
    path: str
    patient_id: str
    finding: str
    site: str
    view: str
    sex: str
    age: int


@dataclass(frozen=True)
class _Patient:
    patient_id: str
    finding: Finding
    hospital: str
    seed: int
    images: int


def write_cohort(
    root: Path,
    *,
    patients: int,
    seed: int,
    shortcut: Shortcut = "none",
    duplicates: int = 6,
) -> Path:
    """Write a cohort of phantoms and return the path of its manifest.

    `images/` holds the radiographs, `masks/lungs/` and `masks/opacities/` the truth (1-bit PNG on
    the image's grid, named by image id), `manifest.csv` one row an image. The same arguments give
    the same bytes; patient i looks the same however many patients follow.

    Args:
        root: folder to write to; created if missing.
        patients: how many, with 1 to 3 images each.
        seed: random seed of the whole cohort.
        shortcut: "none": every finding is spread evenly over the hospitals. "hospital": all
            covid-19 comes from the first hospital and nothing else does. "marker", "border" and
            "resolution": as "none", and all covid-19 is altered by `inject_shortcut`.
        duplicates: images entered once more under another patient's name, by turns as the very
            same bytes, made smaller, and recompressed as JPEG.

    Raises:
        InputError: no patients, or more duplicates than images.
    """
    if patients < 1:
        raise InputError(f"patients is {patients}, expected 1 or more")
    plan = [_patient(index, seed, shortcut) for index in range(patients)]
    total = sum(patient.images for patient in plan)
    if not 0 <= duplicates <= total:
        raise InputError(f"duplicates is {duplicates}, expected 0 to {total}, the number of images")
    for folder in ("images", "masks/lungs", "masks/opacities"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rows = _write_all(root, plan, seed, duplicates, shortcut)
    manifest = pd.DataFrame(track(rows, "drawing phantoms", total + duplicates))
    manifest.to_csv(root / "manifest.csv", index=False, lineterminator="\n")
    return root / "manifest.csv"


def _write_all(
    root: Path, plan: list[_Patient], seed: int, duplicates: int, shortcut: Shortcut
) -> Iterator[_Row]:
    originals = []
    for patient in plan:
        for visit in range(patient.images):
            phantom = draw(patient.finding, patient.seed, visit=visit, hospital=patient.hospital)
            phantom = replace(phantom, patient_id=patient.patient_id)
            if patient.finding == COVID:
                phantom = inject_shortcut(
                    phantom, shortcut, np.random.default_rng((patient.seed, 9, visit))
                )
            originals.append(_write_image(root, phantom, visit))
            yield originals[-1]
    chosen = np.random.default_rng((seed, 3)).permutation(len(originals))[:duplicates]
    for number, index in enumerate(chosen):
        yield _write_copy(root, originals[index], f"P{len(plan) + number + 1:05d}", number)


def _patient(index: int, seed: int, shortcut: Shortcut) -> _Patient:
    """Plan one patient from its index alone, independently of all others."""
    block, position = divmod(index, len(_BLOCK))
    order = np.random.default_rng((seed, 1, block)).permutation(len(_BLOCK))
    findings = [_BLOCK[rank] for rank in order]
    finding = findings[position]
    turn = block * _QUOTA[finding] + findings[:position].count(finding)
    own = np.random.default_rng((seed, 0, index))
    return _Patient(
        patient_id=f"P{index + 1:05d}",
        finding=finding,
        hospital=_assign(finding, turn, seed, shortcut),
        seed=int(own.integers(2**31)),
        images=int(own.choice([1, 2, 3], p=[0.55, 0.30, 0.15])),
    )


def _assign(finding: Finding, turn: int, seed: int, shortcut: Shortcut) -> str:
    """Return the hospital of the `turn`th patient with this finding.

    All hospitals take one in random order before any takes the next: independent of the finding
    by design, not only on average.
    """
    names = [hospital.name for hospital in HOSPITALS]
    if shortcut == "hospital":
        names = names[:1] if finding == "covid-19" else names[1:]
    lap, position = divmod(turn, len(names))
    order = np.random.default_rng((seed, 2, FINDINGS.index(finding), lap)).permutation(len(names))
    return names[int(order[position])]


def _write_image(root: Path, phantom: Phantom, visit: int) -> _Row:
    image_id = f"{phantom.patient_id}-{visit + 1}"
    path = f"images/{image_id}.png"
    to_image(phantom.pixels).save(root / path, compress_level=4)
    Image.fromarray(phantom.lungs).save(root / f"masks/lungs/{image_id}.png")
    Image.fromarray(phantom.opacities).save(root / f"masks/opacities/{image_id}.png")
    truth = phantom.patient_id, phantom.finding, phantom.hospital, phantom.view
    return _Row(image_id, path, *truth, phantom.sex, phantom.age)


def _write_copy(root: Path, row: _Row, patient_id: str, number: int) -> _Row:
    """Enter an image once more: the same bytes, made smaller, or recompressed, by turns."""
    image_id = f"{patient_id}-1"
    kind = ("same", "smaller", "jpeg")[number % 3]
    path = f"images/{image_id}.{'jpg' if kind == 'jpeg' else 'png'}"
    if kind == "same":
        (root / path).write_bytes((root / row.path).read_bytes())
    else:
        with Image.open(root / row.path) as image:
            if kind == "smaller":
                _shrink(image).save(root / path)
            else:
                image.save(root / path, quality=75)
    for folder in (root / "masks/lungs", root / "masks/opacities"):
        with Image.open(folder / f"{row.image_id}.png") as mask:
            (_shrink(mask) if kind == "smaller" else mask).save(folder / f"{image_id}.png")
    return row._replace(image_id=image_id, path=path, patient_id=patient_id)


def _shrink(image: Image.Image) -> Image.Image:
    # Pillow's default filter is bicubic, and nearest for a 1-bit mask.
    return image.resize((round(0.75 * image.width), round(0.75 * image.height)))
