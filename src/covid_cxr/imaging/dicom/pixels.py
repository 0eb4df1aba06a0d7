"""The stored samples of a DICOM object, from native or compressed pixel data (PS3.5 8 and A.4).

Nothing is decoded before the header of a compressed stream agrees with Rows, Columns and
SamplesPerPixel, and each coding has its decoders in a fixed order, so that a result never depends
on what else is installed. For 12-bit JPEG, GDCM needs the precision of the stream, which pydicom
does not pass on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import get_expected_length

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import containers
from covid_cxr.imaging.dicom import bits, codecs, colour, signs, transforms
from covid_cxr.imaging.dicom.bits import Samples
from covid_cxr.imaging.dicom.codecs import JPEG, JPEG_12, JPEG_2000, JPEG_LOSSLESS, JPEG_LS, RLE
from covid_cxr.imaging.raster import DECODER_ERRORS

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
_UNDEFINED = "pixel data of undefined length, not encapsulated: read as they are"
# In the order in which they are tried.
_PLUGINS = {JPEG: ("pillow",), JPEG_LS: ("pyjpegls",), JPEG_2000: ("pylibjpeg", "pillow")}
_LOSSY = (uid.JPEG2000, uid.JPEGLSNearLossless)
# An 8-bit image ends at 255; a window that reaches this far is for more bits.
_FARTHEST = 1.5 * 255


class _Attempt(NamedTuple):
    """A frame, the decoder to try on it, and the flag where an earlier attempt failed."""

    frame: bytes
    plugin: str
    flag: str = ""


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
    photometric = str(dataset.PhotometricInterpretation)
    if photometric == "YBR_FULL" and not _is_jpeg(value):
        dataset.PhotometricInterpretation = "RGB"  # so that no decoder converts it
    else:
        photometric = "RGB"  # decoders convert all others
    if value.startswith(codecs.ITEM):
        samples, flags = _compressed(dataset, value)
    else:
        samples, flags = _native(dataset, len(value))
        flags = (_UNDEFINED, *flags) if dataset["PixelData"].is_undefined_length else flags
    if dataset.SamplesPerPixel == 3:
        samples, more = colour.to_rgb(samples, photometric, int(dataset.BitsStored))
    else:
        samples, more = signs.agreed(samples, dataset)
    return samples, flags + more


def _is_jpeg(value: bytes) -> bool:
    """Tell whether pixel data are encapsulated JPEG, whose decoders convert YCbCr themselves."""
    if not value.startswith(codecs.ITEM):
        return False
    return codecs.describe(codecs.join(value)[0]).kind in (JPEG, JPEG_12, JPEG_LOSSLESS)


def syntax_name(dataset: Any) -> str:
    """Return the registered name of the stated transfer syntax, "unknown" where it has none."""
    stated = dataset.file_meta.TransferSyntaxUID
    return str(stated.name) if stated.name != stated else "unknown"


def _native(dataset: Any, size: int) -> tuple[Samples, tuple[str, ...]]:
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
    swapped, flags = bits.in_byte_order(samples)
    cells, wide = bits.significant(swapped, dataset, dataset.BitsAllocated)
    return cells, flags + wide


def _compressed(dataset: Any, value: bytes) -> tuple[Samples, tuple[str, ...]]:
    frame, flags = codecs.join(value)
    stream = codecs.describe(frame)
    flags += _correct_syntax(dataset, stream.kind)
    if stream.kind == RLE:
        samples, more = _with_rle(dataset, frame)
        return samples, flags + more
    _check_agreement(dataset, stream)
    if stream.kind in (JPEG_12, JPEG_LOSSLESS):
        samples, more = _with_gdcm(dataset, frame, stream)
    elif stream.kind == JPEG:
        samples, more = _eight_bits(dataset, frame, stream)
    else:
        samples, more = _masked(dataset, frame, stream)
    return samples, flags + more


def _masked(dataset: Any, frame: bytes, stream: codecs.Stream) -> tuple[Samples, tuple[str, ...]]:
    """Decode JPEG-LS or JPEG 2000, and remove the bits outside BitsStored."""
    flags = _agree_on_bits(dataset, stream)
    frame, repaired = _repaired(frame, stream.kind)
    signed = dataset.PixelRepresentation
    dataset.PixelRepresentation = int(stream.signed)  # so that decoders correct nothing
    samples, failed = _in_turn(dataset, frame, stream)
    dataset.PixelRepresentation = signed
    if dataset.file_meta.TransferSyntaxUID in _LOSSY and stream.bits > dataset.BitsStored:
        samples = bits.clip(bits.extract(samples, stream.bits - 1, stream.bits, signed), dataset)
    samples, wide = bits.significant(samples, dataset, stream.bits)
    return samples, flags + repaired + failed + wide


def _repaired(frame: bytes, kind: str) -> tuple[bytes, tuple[str, ...]]:
    if kind == JPEG_LS:
        return codecs.up_to_end(frame), ()
    return containers.repair_codestream(frame)


def _eight_bits(
    dataset: Any, frame: bytes, stream: codecs.Stream
) -> tuple[Samples, tuple[str, ...]]:
    """Decode 8-bit JPEG, which is unsigned (PS3.5 8.2.1).

    Where the object states more bits, and its window or LUT is for them, the samples are scaled.
    """
    stated, signed = dataset.BitsStored, dataset.PixelRepresentation
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    samples, flags = _in_turn(dataset, frame, stream)
    if signed:
        flags = (*flags, "signed pixels stated, its 8-bit JPEG stream is unsigned")
    if stated == 8:
        return samples, flags
    flag = f"{stated} bits stated, its 8-bit JPEG stream has 8"
    if stated < 8 or dataset.SamplesPerPixel != 1 or transforms.reach(dataset) < _FARTHEST:
        return samples, (*flags, flag)
    dataset.BitsStored, dataset.HighBit = stated, stated - 1
    dataset.BitsAllocated = 16 if stated <= 16 else 32
    table = np.rint(np.linspace(0, 2.0**stated - 1, 256)).astype(f"u{dataset.BitsAllocated // 8}")
    return table[samples], (*flags, f"{flag}: scaled to {stated}")


def _in_turn(dataset: Any, frame: bytes, stream: codecs.Stream) -> tuple[Samples, tuple[str, ...]]:
    """Try the decoders of a coding; flag the one used where the first fails.

    Raises:
        Exception: what the first raised, one of `DECODER_ERRORS`, where all fail.
    """
    if stream.adobe and dataset.SamplesPerPixel == 3:
        # The marker makes Pillow convert to RGB; pydicom would convert again.
        dataset.PhotometricInterpretation = "RGB"
    first, *others = _attempts(frame, stream.kind)
    try:
        return _decode_frame(dataset, first.frame, first.plugin), ()
    except DECODER_ERRORS:
        for attempt in others:
            with suppress(*DECODER_ERRORS):
                return _decode_frame(dataset, attempt.frame, attempt.plugin), (attempt.flag,)
        raise


def _attempts(frame: bytes, kind: str) -> list[_Attempt]:
    first, *others = _PLUGINS[kind]
    failed = [_Attempt(frame, by, f"{kind} decoded by {by}: {first} failed") for by in others]
    shorter = codecs.without_zero_before_end(frame) if kind == JPEG_LS else frame
    if shorter != frame:
        failed.append(_Attempt(shorter, first, "zero before the end of JPEG-LS: left out"))
    return [_Attempt(frame, first), *failed]


def _decode_frame(dataset: Any, frame: bytes, plugin: str) -> Samples:
    dataset.PixelData = encapsulate([frame])
    return _decode(dataset, decoding_plugin=plugin)


def _decode(dataset: Any, **options: Any) -> Samples:
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    samples, properties = decoder.as_array(dataset, index=0, **options)
    _check_rgb(dataset, str(properties["photometric_interpretation"]))
    return samples


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


def _agree_on_bits(dataset: Any, stream: codecs.Stream) -> tuple[str, ...]:
    """Correct BitsStored and HighBit to such as the stream can have; flag a disagreement."""
    stated = dataset.BitsStored
    dataset.BitsStored = min(stated, stream.bits)
    if dataset.HighBit >= stream.bits:
        dataset.HighBit = dataset.BitsStored - 1
    agree = stated == stream.bits
    return () if agree else (f"{stated} bits stated, its {stream.kind} stream has {stream.bits}",)


def _with_gdcm(
    dataset: Any, frame: bytes, stream: codecs.Stream
) -> tuple[Samples, tuple[str, ...]]:
    flags: tuple[str, ...] = ()
    if stream.kind == JPEG_12:
        # Lossy: values may exceed a smaller BitsStored, and signs are not recoverable.
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
    else:
        flags = _agree_on_bits(dataset, stream)
    decoded = codecs.decode_with_gdcm(frame, stream, dataset.PhotometricInterpretation)
    samples, wide = bits.significant(_shaped(decoded, dataset), dataset, stream.bits)
    return samples, flags + wide


def _with_rle(dataset: Any, frame: bytes) -> tuple[Samples, tuple[str, ...]]:
    pixels, width = dataset.Rows * dataset.Columns, dataset.BitsAllocated // 8
    samples = codecs.unpack_rle(frame, pixels, dataset.SamplesPerPixel, width)
    return bits.significant(_shaped(samples, dataset), dataset, 8 * width)


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
