"""What the header of a DICOM file states about its image; pixels are not read.

Modality, view, sex and age as a table would state them. Names and addresses of patients are never
read; identifiers are, because patients must be kept together.
"""

from __future__ import annotations

import logging
import math
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import MediaStorageDirectoryStorage

from covid_cxr.cohort.cells import age_of
from covid_cxr.cohort.records import Record, with_columns
from covid_cxr.errors import CohortError, UnreadableImage
from covid_cxr.files import packaged
from covid_cxr.imaging.dicom import file as dicom_file

_KEYWORDS: list[str] = packaged(__package__, "dicom_keywords.yaml")
# Code meanings of PS3.16 CID 4010; an oblique or other view is left to ViewPosition.
_CODED_VIEWS = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "lateral": "L",
    "left lateral": "L",
    "right lateral": "L",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom's warnings on unusual values, which quote them."""
    library = logging.getLogger("pydicom")
    level = library.level
    library.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library.setLevel(level)


def read_header(path: Path) -> dict[str, str] | None:
    """Return keyword -> text of one object's header ("" where it is silent), None if it is none.

    Several values are joined by a backslash; the view code is its meaning (PS3.3 C.8.11.5). To be
    called within `quiet`.

    Raises:
        CohortError: the file is missing, may not be read, or its header is damaged.
    """
    try:
        # Checked first: to open a pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CohortError(f"'{path}' is no file, expected a DICOM object")
        with path.open("rb") as stream:
            header = _read(stream)
    except FileNotFoundError as error:
        raise CohortError(f"'{path}' is no file, expected a DICOM object") from error
    except (UnreadableImage, *dicom_file.MALFORMED) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CohortError(f"'{path}' has no readable DICOM header: {reason}") from error
    if header is not None and not any(header.values()):
        raise CohortError(f"'{path}' has no readable DICOM header: it says nothing")
    return header


def described(record: Record, header: Mapping[str, str]) -> Record:
    """Return the record with the view, sex, age, modality and date that `read_header` found."""
    record = with_columns(record, header, view="ViewPosition", sex="PatientSex", age="PatientAge")
    return replace(
        record,
        view=record.view or _CODED_VIEWS.get(header["ViewCodeSequence"].casefold(), ""),
        age=_age(header) if math.isnan(record.age) else record.age,
        modality=header["Modality"],
        taken=_taken(header),
    )


def _read(stream: BinaryIO) -> dict[str, str] | None:
    start = stream.read(132)
    if not dicom_file.is_dicom(start):
        return None
    stream.seek(0)
    header = dicom_file.read_header(stream, _KEYWORDS)
    if header.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        return None
    return {keyword: _text(header.get(keyword)) for keyword in _KEYWORDS}


def _text(value: Any) -> str:
    if isinstance(value, Sequence):
        value = value[0].get("CodeMeaning") if value else None
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return "" if value is None else " ".join(str(value).replace("\0", " ").split())


def _taken(header: Mapping[str, str]) -> str:
    """Return date and time of the acquisition, else of the study, as digits."""
    for event in ("Acquisition", "Study"):
        if date := header[f"{event}Date"].replace(".", ""):  # as ACR-NEMA wrote it
            return date + header[f"{event}Time"].replace(":", "")
    return ""


def _age(header: Mapping[str, str]) -> float:
    """Return years from birth to study."""
    try:
        born, taken = (
            datetime.strptime(header[keyword], "%Y%m%d")
            for keyword in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return math.nan
    return age_of(f"{(taken - born).days / 365.25:.2f}")
