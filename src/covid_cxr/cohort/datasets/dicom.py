"""DICOM files in any nesting, and a CSV that labels them.

The CSV is `labels.csv` in the folder, or whatever file beside the DICOM files the configuration's
path names. It has `finding` and exactly one of `SOPInstanceUID`, `AccessionNumber` and
`StudyInstanceUID`, and optionally `offset` (days since symptoms or admission). Only headers are
read. View, sex, age, modality and the time of the acquisition, else of the study, are the header's;
the site is InstitutionName. Files that are no DICOM objects, and DICOMDIR, are passed over.

Patients: PatientID; in a file without one, the PatientID of another file of its study, else the
study stands for the patient. Patient and accession numbers reach `cohort.csv`: pseudonymise an
export before it is used, and with one number a patient, or patients cannot be kept together.

Which instance of a study: a label of a study or accession goes to one file, the first in this
order: radiographs (CR, DX, DR, RG, XR) before other objects; single frames before several; the
chest or no body part before another one; frontal or unstated views before others; primary before
secondary images (ImageType); for presentation or unstated before for processing; PA, AP, AP
Supine, unstated; the earliest acquisition; the smallest SOPInstanceUID. The other files stay in
the cohort as excluded, so that the attrition counts them. If the first one is unusable (a CT, a
lateral view), the rules leave it out as such and the study has no image. A body part alone leaves
nothing out, because every hospital writes it in its own way.

A label without a file becomes a record whose file is missing, a damaged header one that is
excluded as unreadable. Of several files with one SOPInstanceUID the first by path is taken; the
others become excluded records of their own, except those with the same bytes, which are passed
over: nothing is lost with them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from covid_cxr.cohort import patient_ids
from covid_cxr.cohort.dicom_headers import described, quiet, read_header
from covid_cxr.cohort.labels import HEADER_UNREADABLE, NOT_CHOSEN, REPEATED
from covid_cxr.cohort.records import Record, pictures_below, with_columns
from covid_cxr.cohort.tables import header_of, read_table
from covid_cxr.config import DatasetConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import sha256_of

logger = logging.getLogger(__name__)

NAME = "labels.csv"
KEYS = ("SOPInstanceUID", "AccessionNumber", "StudyInstanceUID")
_COLUMNS = ("finding", "offset", *KEYS)
_RADIOGRAPHS = ("CR", "DX", "DR", "RG", "XR")
_FRONTAL = ("PA", "AP", "AP Supine", "")
_CHEST = ("chest", "thorax", "torax", "lung", "rib")
_Rank = tuple[bool | int | str, ...]


class _Label(NamedTuple):
    """What the CSV says of one key."""

    finding: str
    offset: str = ""


class _Image(NamedTuple):
    """One file: what it becomes, what may label it, and its place among the files of a study."""

    record: Record
    study: str = ""
    key: str = ""
    rank: _Rank = ()


def recognise(root: Path) -> bool:
    """Whether `labels.csv` has `finding` and a column of DICOM identifiers."""
    header = header_of(root / NAME, _COLUMNS)
    return "finding" in header and not header.isdisjoint(KEYS)


def misfit(root: Path) -> tuple[float, str] | None:
    """Return what is wrong with a `labels.csv` that has identifiers of DICOM and is not read."""
    header = header_of(root / NAME, _COLUMNS)
    named = {re.sub(r"[\W_]", "", name).casefold() for name in header}
    if recognise(root) or named.isdisjoint(key.casefold() for key in KEYS):
        return None
    needed = f"columns finding and {' or '.join(KEYS)}"
    return 0.5, f"its table '{NAME}' lacks {needed}; it has {', '.join(sorted(header))}"


def records(root: Path, options: DatasetConfig) -> list[Record]:
    """Return one record a DICOM file, then one a label that no file has.

    `root` is the folder that holds `labels.csv`, or the CSV file itself.

    Raises:
        CohortError: no CSV, `finding` or the key column missing, several key columns, a row
            without key, two findings for one key, a labelled key on images of two patients, or
            no label that fits any file.
    """
    folder, table = (root, root / NAME) if root.is_dir() else (root.parent, root)
    key, labels = _labels(table)
    with quiet():
        images = list(_once(_read_all(folder, key), folder))
    chosen = _chosen(images, labels, key)
    missing = [value for value in labels if value not in chosen]
    if not chosen:
        raise CohortError(
            f"none of {len(images)} DICOM files below '{folder}' has a {key} that is in '{table}', "
            f"such as '{missing[0]}'{_other_side(missing[0], images)}; files and labels must come "
            "from the same export"
        )
    if missing:
        first, other = missing[0], _other_side(missing[0], images)
        logger.warning("no file for %d of the labels, such as '%s'%s", len(missing), first, other)
    patients = {image.study: image.record.patient_id for image in images if image.record.patient_id}
    records = [
        replace(_labelled(image, labels, chosen), patient_id=_patient(image, patients))
        for image in images
    ]
    return records + [_without_file(value, labels[value]) for value in missing]


def _labels(table: Path) -> tuple[str, dict[str, _Label]]:
    """Return the key column's name and key -> label."""
    rows = read_table(table, ("finding",), _COLUMNS)
    keys = [key for key in KEYS if key in rows.columns]
    if len(keys) != 1:
        raise CohortError(
            f"'{table}' has the key columns {', '.join(keys) or '(none)'}; expected exactly one of "
            f"{', '.join(KEYS)}"
        )
    patient_ids.check(table, rows, keys[0])
    labels: dict[str, _Label] = {}
    for number, row in zip(rows.index, rows.to_dict("records"), strict=True):
        value = row[keys[0]].strip()
        label = _Label(row["finding"].strip(), row.get("offset", "").strip())
        if not value:
            raise CohortError(f"'{table}' line {number} lacks {keys[0]}; fill it in")
        before = labels.setdefault(value, label)
        for what, one, other in zip(("findings", "offsets"), before, label, strict=True):
            if one != other:
                raise CohortError(
                    f"'{table}' gives {keys[0]} '{value}' the {what} '{one}' and '{other}'; keep "
                    "one"
                )
    return keys[0], labels


def _other_side(label: str, images: Iterable[_Image]) -> str:
    """Return a key of the files to hold beside that of a label without one."""
    keys = list(filter(None, (image.key for image in images)))
    same = [key for key in keys if key.lstrip("0") == label.lstrip("0")]
    if same:
        return f", the files '{same[0]}' (were leading zeros lost in the table?)"
    return f", the files have such as '{keys[0]}'" if keys else ", the files have none"


def _read_all(folder: Path, key: str) -> Iterator[_Image]:
    """Yield one image a DICOM object, in order of path."""
    others, nobody = 0, []
    for number, path in enumerate(pictures_below(folder), start=1):
        image = _read(path, path.relative_to(folder).as_posix(), key)
        if number % 10_000 == 0:
            logger.info("looked into %d files below '%s'", number, folder)
        if image is None:
            others += 1
            continue
        stated = patient_ids.stated(image.record.patient_id)
        nobody += [] if stated else [image.record.patient_id]
        yield image._replace(record=replace(image.record, patient_id=stated))
    instead = "of its study's patient, else a patient of its own"
    patient_ids.warn_of_nobody(folder, nobody, "PatientID", instead)
    logger.info("%d files below '%s' are no DICOM objects and are passed over", others, folder)


def _read(path: Path, name: str, key: str) -> _Image | None:
    file = f"file-{name}"
    try:
        header = read_header(path)
    except CohortError as error:
        logger.info("%s", error)
        return _Image(Record(file, name, patient_id=file, raw_finding=HEADER_UNREADABLE))
    if header is None:
        return None
    record = Record(
        image_id=header["SOPInstanceUID"] or file,
        path=name,
        patient_id=header["PatientID"],
        raw_finding="",
        site=header["InstitutionName"],
    )
    record = described(record, header)
    return _Image(record, header["StudyInstanceUID"], header[key], _rank(header, record))


def _rank(header: Mapping[str, str], record: Record) -> _Rank:
    """Smaller is taken first; the order stands at the top of this file."""
    frames, body = header["NumberOfFrames"], header["BodyPartExamined"].casefold()
    return (
        record.modality not in _RADIOGRAPHS,
        frames.isdecimal() and int(frames) > 1,
        body != "" and not any(word in body for word in _CHEST),
        record.view not in _FRONTAL,
        "SECONDARY" in header["ImageType"],
        header["PresentationIntentType"] == "FOR PROCESSING",
        _FRONTAL.index(record.view) if record.view in _FRONTAL else len(_FRONTAL),
        record.taken == "",
        record.taken,
        record.image_id,
    )


def _once(images: Iterable[_Image], folder: Path) -> Iterator[_Image]:
    """Yield each image; one that repeats another's UID under a name of its own, without a label."""
    first: dict[str, str] = {}
    same, other = [], []
    for image in images:
        path = image.record.path
        before = first.setdefault(image.record.image_id, path)
        if before == path:
            yield image
        elif sha256_of(folder / before) == sha256_of(folder / path):
            same.append(path)
        else:
            other.append(path)
            record = replace(image.record, image_id=f"file-{path}", raw_finding=REPEATED)
            yield image._replace(record=record, key="")
    _warn("%d files are byte for byte another one and are passed over, such as '%s'", same)
    _warn("%d files repeat another's SOPInstanceUID and are left out, such as '%s'", other)


def _warn(said: str, paths: list[str]) -> None:
    if paths:
        logger.warning(said, len(paths), paths[0])


def _chosen(images: Iterable[_Image], labels: Mapping[str, _Label], key: str) -> dict[str, _Image]:
    """Return labelled key -> the image that carries the label."""
    best: dict[str, _Image] = {}
    patients: dict[str, str] = {}
    for image in images:
        if image.key not in labels:
            continue
        best[image.key] = min(best.get(image.key, image), image, key=lambda item: item.rank)
        patient = image.record.patient_id
        if patient and patients.setdefault(image.key, patient) != patient:
            raise CohortError(
                f"{key} '{image.key}' is on images of two patients; label them by SOPInstanceUID"
            )
    return best


def _patient(image: _Image, stated: Mapping[str, str]) -> str:
    """Return an image's patient; `stated` has the patient of each study."""
    alone = f"study-{image.study}" if image.study else f"file-{image.record.path}"
    return image.record.patient_id or stated.get(image.study or alone, alone)


def _labelled(image: _Image, labels: Mapping[str, _Label], chosen: Mapping[str, _Image]) -> Record:
    if image.key not in labels:
        return image.record  # no label, or a word on why the file can have none
    if chosen[image.key] is not image:
        return replace(image.record, raw_finding=NOT_CHOSEN)
    label = labels[image.key]
    record = replace(image.record, raw_finding=label.finding)
    return with_columns(record, {"offset": label.offset}, "offset")


def _without_file(value: str, label: _Label) -> Record:
    name = f"label-{value}"
    path = f"missing/{quote(name, safe='')}"
    return Record(name, path, patient_id=name, raw_finding=label.finding)
