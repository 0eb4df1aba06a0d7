"""DICOM objects and compressed frames written bit by bit, for tests that know every pixel."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset, FileDataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

from covid_cxr.imaging import read
from covid_cxr.types import Radiograph

EDGE = 32


def dataset(values: list[int], dtype: str = "<u2", **elements: Any) -> FileDataset:
    """A 32 x 32 radiograph whose first row starts with `values`; the rest repeats the last."""
    pixels = np.full((EDGE, EDGE), values[-1], dtype)
    pixels[0, : len(values)] = values
    return dataset_of(pixels, **elements)


def dataset_of(pixels: np.ndarray, **elements: Any) -> FileDataset:
    """A radiograph, or with three samples a pixel an RGB picture, of just these samples."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    result = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    result.SOPClassUID, result.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    result.Modality = "DX"
    result.PatientName, result.PatientID = "Doe^Jane", "12345"
    result.Rows, result.Columns = pixels.shape[:2]
    result.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    result.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        result.PlanarConfiguration = 0
    result.BitsAllocated = 8 * pixels.itemsize
    result.BitsStored = elements.get("BitsStored", result.BitsAllocated)
    result.HighBit = result.BitsStored - 1
    result.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(result, keyword, value)
    result.add_new("PixelData", "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
    return result


def encode(image: Dataset, **options: Any) -> bytes:
    buffer = BytesIO()
    dcmwrite(buffer, image, **options)
    return buffer.getvalue()


def decode(values: list[int], dtype: str = "<u2", **elements: Any) -> Radiograph:
    return read(encode(dataset(values, dtype, **elements), enforce_file_format=True))


def compressed(pixels: np.ndarray, syntax: str, frame: bytes, **elements: Any) -> FileDataset:
    """The object around `pixels` that holds them as the compressed `frame`."""
    image = dataset_of(pixels, **elements)
    image.file_meta.TransferSyntaxUID = syntax
    image.add_new("PixelData", "OB", encapsulate([frame]))
    image["PixelData"].is_undefined_length = True
    return image


def lut(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def first(radiograph: Radiograph, count: int) -> list[float]:
    return [float(value) for value in radiograph.pixels[0, :count]]


# Huffman tables of codes of 5 bits: category n has code n (ITU-T T.81 F.1.2.1, H.1.2.2).
_LOSSLESS_TABLE = bytes([0] * 4 + [17] + [0] * 11) + bytes(range(17))
_DC_TABLE = bytes([0] * 4 + [16] + [0] * 11) + bytes(range(16))
# One code of one bit, 0: the end of a block.
_ONLY_END = bytes([1] + [0] * 15) + b"\0"


def lossless_jpeg(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """Write a lossless JPEG (T.81 annex H, process 14) of one sample a pixel."""
    x = pixels.astype(int)
    prediction = np.zeros_like(x)
    left, above, corner = x[1:, :-1], x[:-1, 1:], x[:-1, :-1]
    prediction[1:, 1:] = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }[predictor]
    prediction[0, 1:], prediction[1:, 0], prediction[0, 0] = x[0, :-1], x[:-1, 0], 1 << (bits - 1)
    differences = (x - prediction + 2**15 - 1) % 2**16 - 2**15 + 1  # modulo 2**16 (H.1.2.1)
    scan = "".join(_difference(value) for value in differences.ravel().tolist())
    table = _segment(0xC4, b"\x00" + _LOSSLESS_TABLE)
    return _jpeg(0xC3, pixels.shape, bits, table, bytes([predictor, 0, 0]) + _bytes(scan))


def twelve_bit_jpeg(blocks: np.ndarray) -> bytes:
    """Write a 12-bit JPEG (T.81 process 4) whose 8 x 8 blocks are flat with the given values.

    A flat block has the DC coefficient 8 (v - 2048), which quantisation by 8 makes v - 2048.
    """
    dc = blocks.astype(int).ravel() - 2048
    scan = "".join(_difference(value) + "0" for value in np.diff(dc, prepend=0).tolist())
    tables = (
        _segment(0xDB, b"\0" + b"\x08" * 64)
        + _segment(0xC4, b"\x00" + _DC_TABLE)
        + _segment(0xC4, b"\x10" + _ONLY_END)
    )
    shape = (8 * blocks.shape[0], 8 * blocks.shape[1])
    return _jpeg(0xC1, shape, 12, tables, bytes([0, 63, 0]) + _bytes(scan))


def _difference(value: int) -> str:
    """Category, then the value in as many bits, negative ones less one (T.81 F.1.2.1.1, H.1.2)."""
    if value == 2**15:
        return f"{16:05b}"
    size = abs(value).bit_length()
    low = value if value >= 0 else value - 1 + (1 << size)
    return f"{size:05b}" + (f"{low:0{size}b}" if size else "")


def _bytes(bits: str) -> bytes:
    """Fill up with ones, and stuff a zero after every 0xFF (T.81 B.1.1.5)."""
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\0")


def _jpeg(process: int, shape: tuple[int, ...], bits: int, tables: bytes, scan: bytes) -> bytes:
    size = shape[0].to_bytes(2, "big") + shape[1].to_bytes(2, "big")
    header = _segment(process, bytes([bits]) + size + b"\1\1\x11\0")
    return (
        b"\xff\xd8"
        + tables
        + header
        + _segment(0xDA, b"\1\1\0" + scan[:3])
        + scan[3:]
        + b"\xff\xd9"
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
