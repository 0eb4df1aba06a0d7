"""Small valid files of every container, 32 x 40 pixels each."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate, get_frame

from support.dicom_objects import (
    compressed,
    dataset_of,
    encode,
    lossless_jpeg,
    lut,
    twelve_bit_jpeg,
)
from support.sixteen_bit_images import png, tiff
from support.tiff_files import packed, tiff_of


@cache
def seeds() -> dict[str, bytes]:
    """Return name -> bytes of the valid files, 32 x 40 pixels each."""
    return {**_pictures(), **_dicom()}


def _picture(image: Image.Image, container: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.copy().save(buffer, container, **options)  # saving alters the object
    return buffer.getvalue()


def _two(image: Image.Image, container: str) -> bytes:
    return _picture(image, container, save_all=True, append_images=[image.rotate(180)])


def sample_image(dtype: str = "u1") -> np.ndarray:
    """A slope with noise, in all bits of the type, (40, 32)."""
    rows, columns = np.mgrid[:40, :32]
    noise = np.random.default_rng(0).integers(0, 16, (40, 32))
    return ((rows * 4 + columns * 2 + noise) * (257 if dtype == "<u2" else 1)).astype(dtype)


def _pictures() -> dict[str, bytes]:
    grey, wide = Image.fromarray(sample_image()), Image.fromarray(sample_image("<u2"))
    colour, alpha, bits = grey.convert("RGB"), grey.convert("LA"), grey.convert("1")
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "png": _picture(grey, "PNG"),
        "png-16": _picture(wide, "PNG"),
        "png-alpha": _picture(alpha, "PNG"),
        "png-16-alpha": png(np.dstack([sample_image("<u2")] * 2)),
        "png-16-colour": png(np.dstack([sample_image("<u2")] * 3)),
        "png-palette": _picture(colour.quantize(16), "PNG", transparency=0),
        "png-animated": _two(grey, "PNG"),
        "png-exif": _picture(bits, "PNG", exif=exif, icc_profile=b"profile" * 30),
        "jpeg": _picture(grey, "JPEG", exif=exif),
        "jpeg-progressive": _picture(colour, "JPEG", progressive=True),
        "jpeg-cmyk": _picture(colour.convert("CMYK"), "JPEG"),
        "jpeg-restart": _picture(grey, "JPEG", restart_marker_rows=1),
        "mpo": _two(grey, "MPO"),
        "webp": _picture(colour, "WEBP", exif=exif),
        "webp-lossless": _picture(alpha.convert("RGBA"), "WEBP", lossless=True),
        "webp-animated": _two(colour, "WEBP"),
        "tiff": _picture(grey, "TIFF", exif=exif),
        "tiff-16-lzw": _picture(wide, "TIFF", compression="tiff_lzw"),
        "tiff-float": _picture(grey.convert("F"), "TIFF"),
        "tiff-deflate": _picture(colour, "TIFF", compression="tiff_deflate"),
        "tiff-jpeg": _picture(colour, "TIFF", compression="jpeg"),
        "tiff-packbits": _picture(alpha, "TIFF", compression="packbits"),
        "tiff-group4": _picture(bits, "TIFF", compression="group4"),
        "tiff-several": _two(grey, "TIFF"),
        "tiff-big": _picture(grey, "TIFF", big_tiff=True),
        "tiff-tiled": tiled_tiff(sample_image()),
        **_strips(),
        "gif": _two(grey, "GIF"),
        "bmp": _picture(grey, "BMP"),
        "bmp-colour": _picture(colour, "BMP"),
        "bmp-rle": run_length_bmp(sample_image()),
        "jp2": _picture(grey, "JPEG2000"),
        "j2k-tiled": _picture(colour, "JPEG2000", no_jp2=True, tile_size=(16, 16)),
        "j2k-16": _picture(wide, "JPEG2000", no_jp2=True, irreversible=True),
        "pgm": _picture(grey, "PPM"),
        "pgm-plain": b"P2\n32 40\n255\n" + b" ".join(b"%d" % grey for grey in sample_image().flat),
    }


def _strips() -> dict[str, bytes]:
    """TIFF in layouts that Pillow does not know."""
    eight, wide = sample_image(), sample_image("<u2")
    alpha = np.dstack([wide, np.full_like(wide, 65_535)])
    deflated = zlib.compress(alpha.tobytes())
    eight_palette = {258: [8], 262: [3], 320: [*range(256)] * 3}
    return {
        "tiff-16-alpha": tiff_of(
            [deflated], (40, 32), {258: [16] * 2, 259: [8], 277: [2], 338: [2]}
        ),
        "tiff-16-planes": tiff(np.dstack([wide] * 3), planes=2),
        "tiff-packed": tiff_of([packed(wide >> 4, 12)], (40, 32), {258: [12], 262: [0]}, ">"),
        "tiff-double": tiff_of([wide.astype("<f8").tobytes()], (40, 32), {258: [64], 339: [3]}),
        "tiff-palette": tiff_of([eight.tobytes()], (40, 32), eight_palette),
    }


def tiled_tiff(pixels: np.ndarray, edge: int = 16, stated: int | None = None) -> bytes:
    """Write a TIFF in deflated tiles, which Pillow reads but does not write."""
    height, width = pixels.shape
    corners = [(y, x) for y in range(0, height, edge) for x in range(0, width, edge)]
    padded = np.pad(pixels, ((0, -height % edge), (0, -width % edge)))
    tiles = [zlib.compress(padded[y : y + edge, x : x + edge].tobytes()) for y, x in corners]
    lengths = [len(tile) for tile in tiles]
    starts = [8 + sum(lengths[:index]) for index in range(len(tiles))]
    table = 8 + sum(lengths)
    short = ((256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1))
    size = stated or edge
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in short]
    entries += [struct.pack("<HHII", 322, 4, 1, size), struct.pack("<HHII", 323, 4, 1, size)]
    lists_at = (table, table + 4 * len(tiles)) if len(tiles) > 1 else (starts[0], lengths[0])
    entries += [struct.pack("<HHII", 324 + i, 4, len(tiles), lists_at[i]) for i in (0, 1)]
    lists = struct.pack(f"<{2 * len(tiles)}I", *starts, *lengths)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", table + len(lists)) + b"".join(tiles) + lists + directory


def run_length_bmp(pixels: np.ndarray) -> bytes:
    """Write a BMP of runs of one pixel."""
    height, width = pixels.shape
    rows = [b"".join(b"\1%c" % grey for grey in row) + b"\0\0" for row in pixels[::-1]]
    body = b"".join(rows) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    start = 14 + len(header) + len(palette)
    return struct.pack("<2sIII", b"BM", start + len(body), 0, start) + header + palette + body


def _dicom() -> dict[str, bytes]:
    wide, small = sample_image("<u2"), sample_image()
    window = {"WindowCenter": 128, "WindowWidth": 256}
    twelve = np.full((5, 4), 300)
    tables = {
        "ModalityLUTSequence": [lut(0, 16, [0, 9, 99, 999])],
        "VOILUTSequence": [lut(0, 8, list(range(256)))],
        "WindowCenter": [40, 80],
        "WindowWidth": [80, 90],
    }
    colour = np.stack([small] * 3, -1)
    jpeg = _picture(Image.fromarray(small), "JPEG")
    fragments = _packed(wide, uid.JPEG2000Lossless)
    fragments.PixelData = encapsulate(
        [get_frame(fragments.PixelData, 0).rstrip(b"\0")[:-2]], fragments_per_frame=3
    )
    overlaid = small.astype("<u2") * 16 | np.where(small > 90, 0x8000, 0).astype("<u2")
    twelve_bits = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    palette = dataset_of(small, PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(palette, f"{name}PaletteColorLookupTableData", bytes(range(256)))
    return {
        "dicom-fragments": _file(fragments),
        "dicom-overlaid": _file(dataset_of(overlaid, PixelPaddingValue=0x8000, **twelve_bits)),
        "dicom-high-bit": _file(dataset_of(small.astype("<u2") * 256, HighBit=11, BitsStored=12)),
        "dicom-eight-of-twelve": _file(compressed(wide, uid.JPEGBaseline8Bit, jpeg, **twelve_bits)),
        "dicom-palette": _file(palette),
        "dicom": _file(dataset_of(wide, RescaleSlope="2", RescaleIntercept="-9", **window)),
        "dicom-luts": _file(dataset_of(wide, PixelPaddingValue=0, **tables)),
        "dicom-signed": _file(dataset_of(small.astype("<i2"), BitsStored=12, **window)),
        "dicom-inverse": _file(dataset_of(small, PhotometricInterpretation="MONOCHROME1")),
        "dicom-colour": _file(dataset_of(colour)),
        "dicom-bare": _file(dataset_of(wide))[132:],
        "dicom-deflated": _file(dataset_of(wide), uid.DeflatedExplicitVRLittleEndian),
        "dicom-implicit": _file(dataset_of(wide), uid.ImplicitVRLittleEndian),
        "dicom-big-endian": _file(dataset_of(wide), uid.ExplicitVRBigEndian),
        "dicom-rle": _file(_packed(wide, uid.RLELossless)),
        "dicom-jpeg": _file(compressed(small, uid.JPEGBaseline8Bit, jpeg)),
        "dicom-jpeg-12": _file(
            compressed(wide, uid.JPEGExtended12Bit, twelve_bit_jpeg(twelve), BitsStored=12)
        ),
        "dicom-jpeg-lossless": _file(
            compressed(wide, uid.JPEGLossless, lossless_jpeg(small, 16), BitsStored=16)
        ),
        "dicom-jpeg-ls": _file(_packed(wide, uid.JPEGLSLossless)),
        "dicom-jpeg-2000": _file(_packed(wide, uid.JPEG2000Lossless)),
        "dicom-jpeg-2000-colour": _file(_packed(colour, uid.JPEG2000Lossless)),
    }


def _packed(pixels: np.ndarray, syntax: str) -> Dataset:
    image = dataset_of(pixels)
    image.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "")
    return image


def _file(image: Dataset, syntax: str | None = None) -> bytes:
    if syntax:
        image.file_meta.TransferSyntaxUID = syntax
    return encode(image, enforce_file_format=True)
