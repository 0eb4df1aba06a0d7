"""DICOM objects -> `Radiograph`: checks, metadata and flags (PS3.3, PS3.10).

`file` parses the file, `pixels` and `codecs` decode the samples, `transforms` applies modality LUT,
VOI LUT or window, and polarity. Overlays are never drawn. FieldOfViewRotation and
FieldOfViewHorizontalFlip describe what the detector has already applied (C.8.11.4) and are ignored;
pixels that are not square are flagged only.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import greyscale, raster
from covid_cxr.imaging.dicom import file, pixels, transforms
from covid_cxr.imaging.dicom.numbers import code, numbers
from covid_cxr.types import FloatArray, Radiograph

FOR_PROCESSING = "for processing: detector values, not the picture that is read"  # flag

_METADATA = {
    "modality": "Modality",
    "photometric_interpretation": "PhotometricInterpretation",
    "burned_in_annotation": "BurnedInAnnotation",
}
_PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# Where the height and the width of a pixel are stated (PS3.3 C.7.6.3.1.7).
_SPACINGS = (
    *("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
)
# PS3.16 CID 4010 in SNOMED CT and in the SNOMED RT of older objects -> terms of (0018,5101).
_VIEW_CODES = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
}
# PS3.5 6.2, CS, and the hyphen of SNOMED RT; anything else might be a name.
_CODE = re.compile(r"[A-Z0-9_ -]{1,16}")


def decode(data: bytes, origin: str, max_pixels: int = raster.MAX_PIXELS) -> Radiograph:
    """Decode one single-frame image object.

    Args:
        data: the whole file.
        origin: path or description of the source, for `Radiograph.origin`.
        max_pixels: a larger image raises an error before it is decoded.

    Raises:
        UnreadableImage: no pixels, several frames, or anything that cannot be decoded.
    """
    try:
        dataset = file.read_object(data, 4 * max_pixels + file.HEADER_ROOM)
        _check(dataset, max_pixels)
        view, metadata, flags = _view(dataset), _metadata(dataset), _flags(dataset)
        pixels, more = _render(dataset)
    except file.MALFORMED as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise UnreadableImage(f"is DICOM that cannot be decoded: {reason[-1]}") from error
    bits = int(dataset.BitsStored)
    return Radiograph(pixels, origin, "DICOM", bits, view, metadata, more + flags)


def _check(dataset: Any, max_pixels: int) -> None:
    """Check the image attributes, before any pixel is decoded, and fill in missing ones."""
    if "PixelData" not in dataset:
        raise UnreadableImage(_without_pixels(dataset))
    frames = _integer(dataset, "NumberOfFrames", 1)
    if frames > 1:
        raise UnreadableImage(f"is DICOM with {frames} frames, expected a single radiograph")
    raster.check_size(_integer(dataset, "Columns"), _integer(dataset, "Rows"), max_pixels)
    _check_colour(dataset)
    _check_bits(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        syntax = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else syntax


def _without_pixels(dataset: Any) -> str:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return "is DICOM with floating-point pixels, expected integers"
    kind = getattr(dataset.get("SOPClassUID"), "name", "")
    return f"is DICOM without pixels ({kind})" if kind else "is DICOM without pixels"


def _check_colour(dataset: Any) -> None:
    photometric = code(dataset, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2", _PALETTE, *_COLOUR):
        stated = photometric or None
        raise UnreadableImage(f"is DICOM in {stated}, expected MONOCHROME1, 2 or RGB")
    dataset.PhotometricInterpretation = photometric
    samples, expected = _integer(dataset, "SamplesPerPixel"), 3 if photometric in _COLOUR else 1
    if samples != expected:
        raise UnreadableImage(f"is DICOM in {photometric} with {samples} samples a pixel")


def _check_bits(dataset: Any) -> None:
    allocated, stored = _integer(dataset, "BitsAllocated"), _integer(dataset, "BitsStored")
    if allocated not in (1, 8, 16, 32) or not 1 <= stored <= allocated:
        raise UnreadableImage(
            f"is DICOM with {stored} of {allocated} bits stored, expected up to all of 1, 8, 16, 32"
        )
    if _integer(dataset, "PixelRepresentation") not in (0, 1):
        raise UnreadableImage("is DICOM that does not say whether its pixels are signed")
    high = _integer(dataset, "HighBit", stored - 1)
    dataset.HighBit = high if stored - 1 <= high < allocated else stored - 1


def _integer(dataset: Any, keyword: str, default: int | None = None) -> int:
    value = _value(dataset, keyword)
    try:
        return default if value in (None, "") and default is not None else int(value)
    except (TypeError, ValueError) as error:
        raise UnreadableImage(f"is DICOM without {keyword}, or with a broken one") from error


def _render(dataset: Any) -> tuple[FloatArray, tuple[str, ...]]:
    """Stored samples -> pixels (H, W) in [0, 1] as a viewer would display them, and flags."""
    stored, flags = pixels.stored_samples(dataset)
    del dataset.PixelData  # as large as the samples
    if dataset.SamplesPerPixel == 3:
        top = np.float32(2 ** int(dataset.BitsStored) - 1)
        grey, more = greyscale.to_grey(stored.astype(np.float32) / top)
    elif dataset.PhotometricInterpretation == _PALETTE:
        grey, more = transforms.apply_palette(stored, dataset)
    else:
        grey, more = transforms.render(stored, dataset)
    return grey, flags + more


def _view(dataset: Any) -> str | None:
    """Return ViewPosition in capitals, else the view in ViewCodeSequence, else None."""
    stated = _code(dataset, "ViewPosition")
    codes = _value(dataset, "ViewCodeSequence")
    if not stated and isinstance(codes, Sequence) and codes:
        stated = _VIEW_CODES.get(_code(codes[0], "CodeValue"), "")
    return stated or None


def _metadata(dataset: Any) -> dict[str, str]:
    """Return only what cannot identify a patient: code strings, never free text."""
    codes = {name: _code(dataset, keyword) for name, keyword in _METADATA.items()}
    codes["transfer_syntax"] = pixels.syntax_name(dataset)
    return {name: code for name, code in codes.items() if code}


def _flags(dataset: Any) -> tuple[str, ...]:
    flags: tuple[str, ...] = ()
    if _code(dataset, "BurnedInAnnotation") == "YES":
        flags = ("burned-in annotation stated",)
    processing = getattr(_value(dataset, "SOPClassUID"), "name", "").endswith("For Processing")
    if processing or _code(dataset, "PresentationIntentType") == "FOR PROCESSING":
        flags = (*flags, FOR_PROCESSING)
    if any(_are_unequal(numbers(dataset, keyword)) for keyword in _SPACINGS):
        flags = (*flags, "pixels are not square: left as they are")
    return flags


def _are_unequal(sides: list[float]) -> bool:
    """Tell whether the height and width of a pixel differ by more than 1 %."""
    return len(sides) == 2 and min(sides) > 0 and max(sides) > 1.01 * min(sides)


def _code(dataset: Any, keyword: str) -> str:
    """Return the first value of a code string in capitals; "" where blank or malformed."""
    value = _value(dataset, keyword)
    first = value[0] if isinstance(value, MultiValue) and value else value
    text = str(first or "").strip().upper()
    return text if _CODE.fullmatch(text) else ""


def _value(dataset: Any, keyword: str) -> Any:
    """Return the value of an element; None where its bytes do not fit its type."""
    try:
        return dataset.get(keyword)
    except file.MALFORMED:
        return None
