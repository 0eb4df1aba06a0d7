"""RSNA Pneumonia Detection Challenge (2018), stage 2: two tables and `stage_2_train_images/`.

Shih et al., Radiology: AI 2019. `stage_2_train_labels.csv` has a row a box, so several an image;
here an image is one record with its boxes. The finding is the class in
`stage_2_detailed_class_info.csv`: "Lung Opacity" (marked as suspicious of pneumonia), "Normal" or
"No Lung Opacity / Not Normal", which is neither. Without that table Target 0 may be either of the
last two, so it is no control and stays out. View, sex and age come from the DICOM headers.

The images are radiographs of NIH ChestX-ray under new names, and `patientId` numbers images, not
patients: several belong to one patient. `pneumonia-challenge-dataset-mappings_2018.json`, which
the RSNA gives beside the set, has the NIH's names; where it lies in the folder, the patient is the
NIH's. Without it each image is its own patient. In either case only the search for near-duplicates
links an image here with the same one in the set of the NIH.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from covid_cxr.cohort.dicom_headers import described, quiet, read_header
from covid_cxr.cohort.records import Box, Record
from covid_cxr.cohort.tables import header_of, read_table
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError

_LABELS = "stage_2_train_labels.csv"
_CLASSES = "stage_2_detailed_class_info.csv"
_IMAGES = "stage_2_train_images"
_NAMES = "pneumonia-challenge-dataset-mappings_2018.json"
_SIDES = ("x", "y", "width", "height")
_COLUMNS = ("patientId", *_SIDES, "Target")
_OPACITY = "Lung Opacity"
_NO_OPACITY = "No Lung Opacity"
_SITE = "NIH Clinical Center"


def recognise(root: Path) -> bool:
    """Whether the table of boxes is there, beside its folder of images."""
    return (root / _IMAGES).is_dir() and header_of(root / _LABELS, _COLUMNS).issuperset(_COLUMNS)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a folder that has the set's table or its images."""
    header = header_of(root / _LABELS, _COLUMNS)
    if not (root / _IMAGES).is_dir():
        wrong = f"there is no folder '{_IMAGES}' beside '{_LABELS}'"
        return (0.5, wrong) if (root / _LABELS).exists() else None
    lacks = ", ".join(column for column in _COLUMNS if column not in header)
    return (0.5, f"there is no table '{_LABELS}' with the columns {lacks}") if lacks else None


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record an image, in the order of the table of boxes.

    Raises:
        CohortError: no table of boxes, a column missing, no rows, or an image whose rows contradict
            each other, which is named.
    """
    boxes = _boxes(root / _LABELS)
    classes = {image: _OPACITY if marked else _NO_OPACITY for image, marked in boxes.items()}
    if (root / _CLASSES).exists():
        classes = _classes(root / _CLASSES, boxes)
    patients = _patients(root / _NAMES) if (root / _NAMES).exists() else {}
    records = [
        Record(
            image_id=image,
            path=f"{_IMAGES}/{image}.dcm",
            patient_id=patients.get(image, f"file-{image}"),
            raw_finding=classes[image],
            site=_SITE,
            boxes=marked,
        )
        for image, marked in boxes.items()
    ]
    with quiet():
        return [_described(record, root / record.path) for record in records]


def _boxes(table: Path) -> dict[str, tuple[Box, ...]]:
    """Return image -> its boxes, none where Target is 0."""
    boxes_of: dict[str, list[Box | None]] = {}
    for row in read_table(table, _COLUMNS).to_dict("records"):
        boxes_of.setdefault(row["patientId"].strip(), []).append(_box(row))
    for image, boxes in boxes_of.items():
        if None in boxes and any(boxes):
            raise CohortError(
                f"'{table}' gives image '{image}' both Target 0 and Target 1; correct its rows"
            )
    # A box that is given twice is one.
    return {image: tuple(dict.fromkeys(filter(None, boxes))) for image, boxes in boxes_of.items()}


def _box(row: Mapping[str, str]) -> Box | None:
    """Return the box of a row with Target 1, None for Target 0."""
    target, cells = row["Target"].strip(), [row[side].strip() for side in _SIDES]
    if target == "0" and not any(cells):
        return None
    try:
        x, y, width, height = (float(cell) for cell in cells)
    except ValueError:
        x = y = width = height = math.nan
    if target != "1" or not (math.isfinite(x + y + width + height) and min(width, height) > 0):
        raise CohortError(
            f"image '{row['patientId'].strip()}' has Target '{target}' and the box "
            f"'{', '.join(cells)}'; expected 1 with x, y, width and height, or 0 with none"
        )
    return x, y, width, height


def _classes(table: Path, boxes: Mapping[str, tuple[Box, ...]]) -> dict[str, str]:
    """Return image -> its class, held against the boxes."""
    classes: dict[str, str] = {}
    for row in read_table(table, ("patientId", "class")).to_dict("records"):
        image, name = row["patientId"].strip(), row["class"].strip()
        if classes.setdefault(image, name) != name:
            raise CohortError(
                f"'{table}' gives image '{image}' the classes '{classes[image]}' and '{name}'; "
                "correct its rows"
            )
    for image, marked in boxes.items():
        if (classes.get(image) == _OPACITY) != bool(marked) or image not in classes:
            raise CohortError(
                f"image '{image}' has {len(marked)} boxes in '{_LABELS}' and the class "
                f"'{classes.get(image, '')}' in '{_CLASSES}'; both tables must be of stage 2"
            )
    return classes


def _patients(table: Path) -> dict[str, str]:
    """Return image -> the patient of the NIH, the digits before the underscore."""
    try:
        rows = json.loads(table.read_text(encoding="utf-8-sig"))
        return {row["subset_img_id"]: row["img_id"].partition("_")[0] for row in rows}
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CohortError(
            f"'{table}' is no list of objects with img_id and subset_img_id; download it again or "
            "remove it"
        ) from error


def _described(record: Record, path: Path) -> Record:
    try:
        header = read_header(path)
    except CohortError:
        return record  # missing or damaged: the rule on files says which
    return described(record, header) if header is not None else record
