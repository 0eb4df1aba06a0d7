"""The stored samples of a DICOM object, from native or compressed pixel data (PS3.5 8 and A.4).

Nothing is decoded before the header of a compressed stream agrees with Rows, Columns and
SamplesPerPixel, and each coding has one decoder, so that a result never depends on what else is
installed. For 12-bit JPEG, GDCM needs the precision of the stream, which pydicom does not pass on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import get_expected_length

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
_HTJ2K = (uid.HTJ2K, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL)
# The transfer syntaxes valid for each coding; the first replaces any other.
_SYNTAXES = {
    JPEG: (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
    JPEG_12: (uid.JPEGExtended12Bit,),
    JPEG_LOSSLESS: (uid.JPEGLossless, uid.JPEGLosslessSV1),
    JPEG_LS: (uid.JPEGLSNearLossless, uid.JPEGLSLossless),
    JPEG_2000: (uid.JPEG2000, uid.JPEG2000Lossless, *_HTJ2K),
    RLE: (uid.RLELossless,),
}
_ITEM = b"\xfe\xff\x00\xe0"  # also where a defined length or a native syntax is stated
_PLUGINS = {JPEG: "pillow", JPEG_LS: "pyjpegls", JPEG_2000: "pylibjpeg"}


def stored_samples(dataset: Any) -> tuple[Samples, tuple[str, ...]]:
    """Decode the one frame of an object whose image attributes are complete and consistent.

    Bits outside BitsStored (old overlays, junk) are removed, signs extended, YCbCr becomes RGB.
    Attributes of the object that its compressed stream contradicts are corrected.

    Returns:
        Samples (H, W), or (H, W, 3) in RGB, in the machine's byte order; flags.

    Raises:
        UnreadableImage: no pixels, too few, several frames, a transfer syntax without a decoder,
            or a compressed stream of another size than the object.
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


def _native(dataset: Any, size: int) -> Samples:
    if dataset.file_meta.TransferSyntaxUID not in _NATIVE:
        raise UnreadableImage(
            f"states transfer syntax {syntax_name(dataset)}, its pixels are not encoded so"
        )
    need = get_expected_length(dataset)
    if size < need:
        raise UnreadableImage(f"has {size} bytes of pixel data, its size needs {need}")
    if size >= 2 * need:
        raise UnreadableImage(
            f"has {size} bytes of pixel data, one frame has {need}: several frames, or wrong bits"
        )
    samples = _decode(dataset, correct_unused_bits=False, allow_excess_frames=False)
    return _significant(samples, dataset)


def _compressed(dataset: Any, value: bytes) -> tuple[Samples, tuple[str, ...]]:
    frame = _frame(value)
    stream = codecs.describe(frame)
    flags = _correct_syntax(dataset, stream.kind)
    if stream.kind == RLE:
        return _with_rle(dataset, frame), flags
    _check_agreement(dataset, stream)
    if stream.kind in (JPEG_12, JPEG_LOSSLESS):
        return _with_gdcm(dataset, frame, stream), flags
    if stream.kind == JPEG:
        dataset.BitsAllocated = dataset.BitsStored = 8
    if stream.adobe and dataset.SamplesPerPixel == 3:
        # The marker makes Pillow convert to RGB; pydicom would convert again.
        dataset.PhotometricInterpretation = "RGB"
    frame = codecs.up_to_end(frame) if stream.kind == JPEG_LS else frame
    dataset.PixelData = encapsulate([frame])
    return _decode(dataset, decoding_plugin=_PLUGINS[stream.kind]), flags


def _decode(dataset: Any, **options: Any) -> Samples:
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    samples, properties = decoder.as_array(dataset, index=0, **options)
    _check_rgb(dataset, str(properties["photometric_interpretation"]))
    return samples


def _frame(value: bytes) -> bytes:
    """Join the fragments; one frame needs no offsets, which may be missing or wrong."""
    table, *fragments = generate_fragments(value)
    if len(table) > 4:
        raise UnreadableImage(f"is DICOM with {len(table) // 4} frames in its offset table")
    return b"".join(fragments)


def _correct_syntax(dataset: Any, kind: str) -> tuple[str, ...]:
    """Replace a transfer syntax that contradicts the coding of the stream; return the flag."""
    if dataset.file_meta.TransferSyntaxUID in _SYNTAXES[kind]:
        return ()
    flag = f"transfer syntax {syntax_name(dataset)} stated, {kind} found"
    dataset.file_meta.TransferSyntaxUID = _SYNTAXES[kind][0]
    return (flag,)


def _check_agreement(dataset: Any, stream: codecs.Stream) -> None:
    actual = (stream.width, stream.height, stream.samples)
    stated = (dataset.Columns, dataset.Rows, dataset.SamplesPerPixel)
    if actual != stated:
        raise UnreadableImage(
            f"states {' x '.join(map(str, stated))} samples, "
            f"its {stream.kind} stream has {' x '.join(map(str, actual))}"
        )
    if stream.bits > dataset.BitsAllocated:
        raise UnreadableImage(
            f"states {dataset.BitsAllocated} bits allocated, "
            f"its {stream.kind} stream has {stream.bits}"
        )


def _with_gdcm(dataset: Any, frame: bytes, stream: codecs.Stream) -> Samples:
    if stream.kind == JPEG_12:
        # Lossy: values may exceed a smaller BitsStored, and signs are not recoverable.
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    samples = codecs.decode_with_gdcm(frame, stream, dataset.PhotometricInterpretation)
    if dataset.HighBit >= stream.bits:
        dataset.HighBit = dataset.BitsStored - 1
    return _significant(_shaped(samples, dataset), dataset)


def _with_rle(dataset: Any, frame: bytes) -> Samples:
    pixels, width = dataset.Rows * dataset.Columns, dataset.BitsAllocated // 8
    samples = codecs.unpack_rle(frame, pixels, dataset.SamplesPerPixel, width)
    return _significant(_shaped(samples, dataset), dataset)


def _shaped(samples: Samples, dataset: Any) -> Samples:
    """Reshape decoded samples to (H, W) or RGB (H, W, 3), in cells of BitsAllocated."""
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
    """Reject YBR_RCT, YBR_ICT and 4:2:2 where no decoder has converted them to RGB."""
    if dataset.SamplesPerPixel == 3 and photometric != "RGB":
        raise UnreadableImage(f"is {photometric} that its transfer syntax cannot hold")


def _significant(samples: Samples, dataset: Any) -> Samples:
    """Extract the BitsStored bits that end at HighBit, sign extended (PS3.5 8.1.1)."""
    size = 8 * samples.dtype.itemsize
    kind = "i" if dataset.PixelRepresentation else "u"
    cells = samples.astype(samples.dtype.newbyteorder("=")).view(f"{kind}{samples.dtype.itemsize}")
    cells <<= size - 1 - dataset.HighBit
    cells >>= size - dataset.BitsStored
    return cells
