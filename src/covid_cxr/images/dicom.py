"""DICOM objects -> `Radiograph`: modality LUT, VOI LUT or window, MONOCHROME1 (PS3.3 C.11)."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from covid_cxr.errors import UnreadableImage
from covid_cxr.images import raster
from covid_cxr.types import FloatArray, Radiograph

# What pydicom and the decoders behind it raise on damaged or unusual objects.
_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
_METADATA = {
    "modality": "Modality",
    "photometric_interpretation": "PhotometricInterpretation",
    "burned_in_annotation": "BurnedInAnnotation",
}
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def is_dicom(data: bytes) -> bool:
    """Tell from the first bytes: "DICM" after the preamble, or a plausible first data element.

    Without a preamble (PS3.10 7.1 asks for one, old systems leave it out) the object starts with
    group 0002 or 0008, little-endian, and either a VR of two capitals or a length in the file.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 132 or data[:2] not in (b"\x02\x00", b"\x08\x00") or data[3] != 0:
        return False
    vr = data[4:6]
    return (vr.isalpha() and vr.isupper()) or struct.unpack("<I", data[4:8])[0] < 128


def decode(data: bytes, origin: str) -> Radiograph:
    """Decode one single-frame image object.

    Raises:
        UnreadableImage: no pixels, several frames, a palette, or anything that cannot be decoded.
    """
    try:
        dataset = dcmread(BytesIO(data), force=data[128:132] != b"DICM")
        _check(dataset)
        pixels, flags = _render(dataset)
    except _ERRORS as error:
        reason = str(error) or type(error).__name__
        raise UnreadableImage(f"is DICOM that cannot be decoded: {reason}") from error
    return Radiograph(
        pixels=pixels,
        origin=origin,
        format="DICOM",
        bit_depth=int(dataset.BitsStored),
        view=str(dataset.get("ViewPosition") or "") or None,
        metadata=_metadata(dataset),
        flags=flags,
    )


def _check(dataset: Any) -> None:
    if "PixelData" not in dataset:
        raise UnreadableImage("is DICOM without pixels")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImage(f"is DICOM with {frames} frames, expected a single radiograph")
    photometric = dataset.PhotometricInterpretation
    if photometric not in ("MONOCHROME1", "MONOCHROME2", *_COLOUR):
        raise UnreadableImage(f"is DICOM in {photometric}, expected MONOCHROME1, 2 or RGB")
    raster.check_size(int(dataset.Columns), int(dataset.Rows))
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, _ = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta.TransferSyntaxUID = syntax


def _metadata(dataset: Any) -> dict[str, str]:
    """Only what cannot identify a patient."""
    facts = {name: str(dataset.get(keyword) or "") for name, keyword in _METADATA.items()}
    facts["transfer_syntax"] = str(dataset.file_meta.TransferSyntaxUID.name)
    return {name: value for name, value in facts.items() if value}


def _render(dataset: Any) -> tuple[FloatArray, tuple[str, ...]]:
    """Stored samples -> pixels (H, W) in [0, 1] as a viewer would show them, and flags."""
    stored = pixel_array(dataset)
    if dataset.PhotometricInterpretation in _COLOUR:
        top = np.float32(2 ** int(dataset.BitsStored) - 1)
        return raster.to_grey(stored.astype(np.float32) / top)
    shown, flags = _voi(_modality(stored, dataset), dataset)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.clip(shown, 0, 1).astype(np.float32), flags


def _modality(stored: Any, dataset: Any) -> Any:
    """Stored -> modality values (PS3.3 C.11.1): a table, or slope and intercept, or neither."""
    if dataset.get("ModalityLUTSequence"):
        return _look_up(stored, dataset.ModalityLUTSequence[0])
    return apply_modality_lut(stored, dataset)


def _voi(values: Any, dataset: Any) -> tuple[Any, tuple[str, ...]]:
    """Modality values -> [0, 1] (PS3.3 C.11.2): the table first, then the window, of several the
    first; where there is neither, the 0.5 and 99.5 percentiles become black and white.
    """
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        return _look_up(values, item) / (2.0 ** int(item.LUTDescriptor[2]) - 1), ()
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # The window's output range is what the two infinities become.
        black, white = apply_windowing(np.array([-np.inf, np.inf]), dataset)
        return (apply_windowing(values, dataset) - black) / (white - black), ()
    low, high = np.percentile(values, (0.5, 99.5))
    scaled = (values - low) / (high - low) if high > low else np.zeros(values.shape)
    return scaled, ("no window: percentiles used",)


def _look_up(values: Any, item: Any) -> Any:
    """Apply a LUT item; outside its domain the first and last entries hold (C.11.1.1.1).

    Not pydicom's: its index has the output's type, so 8-bit tables of 4096 entries wrap around.
    """
    count, first, _ = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.asarray(data)
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, (count or 2**16) - 1)
    return table[index].astype(np.float64)
