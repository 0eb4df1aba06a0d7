"""The stored samples of a DICOM object, out of native or compressed pixel data (PS3.5 8 and A.4).

Nothing is decoded before the header of a compressed stream agrees with Rows, Columns and
SamplesPerPixel, and each coding has one decoder, so that an answer never depends on what else is
installed. 12-bit JPEG needs GDCM told the precision of the stream, which pydicom does not do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging.dicom import codecs
from covid_cxr.imaging.dicom.codecs import JPEG, JPEG_12, JPEG_2000, JPEG_LOSSLESS, JPEG_LS, RLE

Samples = NDArray[np.integer[Any]]

_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
# The transfer syntaxes that each coding may be found under; the first is used for all others.
_SYNTAXES = {
    JPEG: (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
    JPEG_12: (uid.JPEGExtended12Bit,),
    JPEG_LOSSLESS: (uid.JPEGLossless, uid.JPEGLosslessSV1),
    JPEG_LS: (uid.JPEGLSNearLossless, uid.JPEGLSLossless),
    JPEG_2000: (
        uid.JPEG2000,
        uid.JPEG2000Lossless,
        uid.HTJ2K,
        uid.HTJ2KLossless,
        uid.HTJ2KLosslessRPCL,
    ),
    RLE: (uid.RLELossless,),
}
_ITEM = b"\xfe\xff\x00\xe0"  # also where a writer states a length or a native syntax
_PLUGINS = {JPEG: "pillow", JPEG_LS: "pyjpegls", JPEG_2000: "pylibjpeg"}


def stored_samples(dataset: Any) -> tuple[Samples, tuple[str, ...]]:
    """Decode the one frame of an object whose image attributes are whole and agree.

    Bits outside BitsStored (old overlays, junk) are cut off, signs extended, YCbCr becomes RGB.
    The object is altered where its compressed stream contradicts it, as the stream is right.

    Returns:
        Samples (H, W), or (H, W, 3) in RGB, in the machine's byte order; flags.

    Raises:
        UnreadableImage: no pixels, too few, several frames, a transfer syntax without a decoder,
            or a compressed stream that contradicts the object in size.
    """
    value = dataset.PixelData
    if not isinstance(value, bytes) or not value:
        raise UnreadableImage("is DICOM whose pixel data are empty")
    if dataset["PixelData"].is_undefined_length or value.startswith(_ITEM):
        return _compressed(dataset, value)
    return _native(dataset, len(value)), ()


def syntax_name(dataset: Any) -> str:
    """Return the registered name of the stated transfer syntax, "unknown" where it has none."""
    stated = dataset.file_meta.TransferSyntaxUID
    return str(stated.name) if stated.name != stated else "unknown"


def _native(dataset: Any, have: int) -> Samples:
    if dataset.file_meta.TransferSyntaxUID not in _NATIVE:
        raise UnreadableImage(
            f"states transfer syntax {syntax_name(dataset)}, its pixels are not encoded so"
        )
    need = _native_length(dataset)
    if have < need:
        raise UnreadableImage(f"has {have} bytes of pixel data, its size needs {need}")
    if have >= 2 * need:
        raise UnreadableImage(
            f"has {have} bytes of pixel data, one frame has {need}: several frames, or wrong bits"
        )
    samples = _decoded(dataset, correct_unused_bits=False, allow_excess_frames=False)
    return _significant(samples, dataset)


def _native_length(dataset: Any) -> int:
    """Bytes of one frame, without the pad byte; 4:2:2 holds two samples a pixel."""
    samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else dataset.SamplesPerPixel
    bits = int(dataset.Rows * dataset.Columns * samples * dataset.BitsAllocated)
    return math.ceil(bits / 8)


def _compressed(dataset: Any, value: bytes) -> tuple[Samples, tuple[str, ...]]:
    frame = _frame(value)
    stream = codecs.describe(frame)
    flags = _settle_syntax(dataset, stream.kind)
    if stream.kind == RLE:
        return _run_lengths(dataset, frame), flags
    _check_agreement(dataset, stream)
    if stream.kind in (JPEG_12, JPEG_LOSSLESS):
        return _with_gdcm(dataset, frame, stream), flags
    if stream.kind == JPEG:
        dataset.BitsAllocated = dataset.BitsStored = 8
    if stream.adobe and dataset.SamplesPerPixel == 3:
        # The marker makes Pillow undo the colour transform; pydicom would undo it again.
        dataset.PhotometricInterpretation = "RGB"
    whole = codecs.closed(frame) if stream.kind == JPEG_LS else frame
    dataset.PixelData = encapsulate([whole])
    return _decoded(dataset, decoding_plugin=_PLUGINS[stream.kind]), flags


def _decoded(dataset: Any, **options: Any) -> Samples:
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    samples, found = decoder.as_array(dataset, index=0, **options)
    _check_rgb(dataset, str(found["photometric_interpretation"]))
    return samples


def _frame(value: bytes) -> bytes:
    """Join the fragments. Offsets, which may be missing or wrong, are not needed for one frame."""
    table, *fragments = generate_fragments(value)
    if len(table) > 4:
        raise UnreadableImage(f"is DICOM with {len(table) // 4} frames in its offset table")
    return b"".join(fragments)


def _settle_syntax(dataset: Any, kind: str) -> tuple[str, ...]:
    """Where the stated transfer syntax is another coding's, the coding found is used, flagged."""
    if dataset.file_meta.TransferSyntaxUID in _SYNTAXES[kind]:
        return ()
    flag = f"transfer syntax {syntax_name(dataset)} stated, {kind} found"
    dataset.file_meta.TransferSyntaxUID = _SYNTAXES[kind][0]
    return (flag,)


def _check_agreement(dataset: Any, stream: codecs.Stream) -> None:
    found = (stream.width, stream.height, stream.samples)
    stated = (dataset.Columns, dataset.Rows, dataset.SamplesPerPixel)
    if found != stated:
        raise UnreadableImage(
            f"states {' x '.join(map(str, stated))} samples, "
            f"its {stream.kind} stream has {' x '.join(map(str, found))}"
        )
    if stream.bits > dataset.BitsAllocated:
        raise UnreadableImage(
            f"states {dataset.BitsAllocated} bits allocated, "
            f"its {stream.kind} stream has {stream.bits}"
        )


def _with_gdcm(dataset: Any, frame: bytes, stream: codecs.Stream) -> Samples:
    if stream.kind == JPEG_12:
        # Lossy: values may overshoot a smaller BitsStored, and no sign can be told.
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    samples = codecs.decode_with_gdcm(frame, stream, dataset.PhotometricInterpretation)
    if dataset.HighBit >= stream.bits:
        dataset.HighBit = dataset.BitsStored - 1
    return _significant(_shaped(samples, dataset), dataset)


def _run_lengths(dataset: Any, frame: bytes) -> Samples:
    pixels = dataset.Rows * dataset.Columns
    width = dataset.BitsAllocated // 8
    samples = codecs.unpack_rle(frame, pixels, dataset.SamplesPerPixel, width)
    return _significant(_shaped(samples, dataset), dataset)


def _shaped(samples: Samples, dataset: Any) -> Samples:
    """Bring decoded samples into rows, cells of BitsAllocated and, where they are colour, RGB."""
    photometric, cell = dataset.PhotometricInterpretation, f"u{dataset.BitsAllocated // 8}"
    flat = (dataset.Rows, dataset.Columns)
    if dataset.SamplesPerPixel == 1:
        return samples.reshape(flat).astype(cell)
    rows = samples.reshape(*flat, 3).astype(cell)
    if photometric.startswith("YBR_FULL"):
        return convert_color_space(rows, photometric, "RGB")
    _check_rgb(dataset, photometric)
    return rows


def _check_rgb(dataset: Any, photometric: str) -> None:
    """YBR_RCT, YBR_ICT and 4:2:2 name what a decoder undoes; without one they mean nothing."""
    if dataset.SamplesPerPixel == 3 and photometric != "RGB":
        raise UnreadableImage(f"is {photometric} that its transfer syntax cannot hold")


def _significant(samples: Samples, dataset: Any) -> Samples:
    """Cut the BitsStored bits that end at HighBit out of each cell, sign extended (PS3.5 8.1.1)."""
    size = 8 * samples.dtype.itemsize
    kind = "i" if dataset.PixelRepresentation else "u"
    cells = samples.astype(samples.dtype.newbyteorder("=")).view(f"{kind}{samples.dtype.itemsize}")
    cells <<= size - 1 - dataset.HighBit
    cells >>= size - dataset.BitsStored
    return cells
