"""Pixels compared with DCMTK's, another implementation of PS3.3 C.11 and of the codings."""

from __future__ import annotations

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from covid_cxr.imaging import read
from support.dicom_objects import compressed, dataset_of, encode, lossless_jpeg, lut

pytestmark = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None or shutil.which("dcmdjpls") is None,
    reason="DCMTK's dcmj2pnm and dcmdjpls are not installed",
)
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
ROWS, COLUMNS = np.mgrid[:64, :64]
SAMPLES = ((ROWS * 64 + COLUMNS) % 4096).astype("<u2")  # 0 ... 4095
CURVE = [round(4095 * (entry / 4095) ** 0.5) for entry in range(4096)]
TWELVE = {"BitsStored": 12, "WindowCenter": 1800, "WindowWidth": 3000}


def by_dcmtk(path: Path, *options: str) -> np.ndarray:
    """The picture as DCMTK displays it, in 256 grey levels."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    if header.file_meta.TransferSyntaxUID in pydicom.uid.JPEGLSTransferSyntaxes:
        plain = path.with_name("plain.dcm")
        subprocess.run(["dcmdjpls", path, plain], check=True, capture_output=True, timeout=60)
        path = plain
    command = ["dcmj2pnm", "--write-raw-pnm", *options, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=60)
    return np.asarray(Image.open(BytesIO(answer.stdout)))


def compare(path: Path, *options: str, apart: int = 0) -> None:
    """DCMTK rounds down to the grey level below, after tables of integers: within two levels.

    Except for `apart` pixels.
    """
    ours = read(path).pixels * 255
    theirs = by_dcmtk(path, *options).astype(float)
    theirs = theirs @ (0.299, 0.587, 0.114) if theirs.ndim == 3 else theirs
    assert theirs.std() > 0.5
    assert np.count_nonzero(np.abs(ours - theirs) > 2) <= apart


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("elements", "option"),
    [
        (TWELVE, "+Wi"),
        ({**TWELVE, "WindowCenter": [1800, 900], "WindowWidth": [3000, 1500]}, "+Wi"),
        ({**TWELVE, "VOILUTFunction": "SIGMOID"}, "+Wi"),
        ({**TWELVE, "RescaleSlope": 2, "RescaleIntercept": -2000}, "+Wi"),
        ({**TWELVE, "RescaleSlope": -1, "RescaleIntercept": 4095}, "+Wi"),
        ({"BitsStored": 12, "VOILUTSequence": [lut(0, 12, CURVE)]}, "+Wl"),
        ({**TWELVE, "ModalityLUTSequence": [lut(0, 12, CURVE)]}, "+Wi"),
    ],
)
def test_transformations(
    elements: dict[str, Any], option: str, photometric: str, tmp_path: Path
) -> None:
    path = tmp_path / "image.dcm"
    image = dataset_of(SAMPLES, PhotometricInterpretation=photometric, **elements)
    path.write_bytes(encode(image, enforce_file_format=True))
    compare(path, option, "1")


def test_lut_whose_entries_have_fewer_bits_than_stated(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    image = dataset_of(SAMPLES, BitsStored=12, VOILUTSequence=[lut(0, 16, CURVE)])
    path.write_bytes(encode(image, enforce_file_format=True))
    compare(path, "+Wl", "1", "--ignore-vlut-depth")  # "determine bits per table entry"


def test_signed_pixels_and_bits_above_the_stored_ones(tmp_path: Path) -> None:
    cells = (SAMPLES.astype("<i4") - 2048) & 0xFFF | np.where(ROWS < 9, 0x8000, 0)
    window = {"WindowCenter": 100, "WindowWidth": 3000, "BitsStored": 12}
    image = dataset_of(cells.astype("<u2").view("<i2"), **window)
    path = tmp_path / "image.dcm"
    path.write_bytes(encode(image, enforce_file_format=True))
    compare(path, "+Wi", "1")


@pytest.mark.parametrize("coding", ["lossless JPEG", "JPEG-LS", "RLE"])
def test_codings(coding: str, tmp_path: Path) -> None:
    image = dataset_of(SAMPLES, **TWELVE)
    if coding == "lossless JPEG":
        frame = lossless_jpeg(SAMPLES, 12)
        image = compressed(SAMPLES, pydicom.uid.JPEGLossless, frame, **TWELVE)
    elif coding == "JPEG-LS":
        image.compress(pydicom.uid.JPEGLSLossless)
    else:
        image.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
    path = tmp_path / "image.dcm"
    path.write_bytes(encode(image, enforce_file_format=True))
    compare(path, "+Wi", "1")


def test_real_files(real_data: Path, tmp_path: Path) -> None:
    # Those with a window, in a coding that DCMTK decodes.
    for name in ("gdcm-CR-MONO1-10-chest", "RG1_JLSN", "RG2_JLSN", "RG2_JPLY", "RG3_JLSN"):
        compare(copied(real_data / "dicom-samples" / f"{name}.dcm", tmp_path), "+Wi", "1")
    # Lossy values of 1024 in 10 bits: DCMTK lets them wrap to 0, where the lossless file has 1023.
    compare(copied(real_data / "dicom-samples" / "RG3_JPLY.dcm", tmp_path), "+Wi", "1", apart=8)


def copied(path: Path, folder: Path) -> Path:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return copy


@pytest.mark.parametrize("kind", ["", "_RLE", "_bigendian", "_implicit", "_jpeg_ls_lossless"])
def test_shipped_files_with_a_window(kind: str, tmp_path: Path) -> None:
    compare(copied(SHIPPED / f"MR_small{kind}.dcm", tmp_path), "+Wi", "1")


@pytest.mark.parametrize(
    "name",
    [
        *("ExplVR_BigEnd", "SC_jpeg_no_color_transform", "SC_rgb_dcmtk_+eb+cy+np", "SC_rgb_rle"),
        *("SC_rgb_dcmtk_+eb+cy+s4", "SC_rgb_jls_lossy_line", "SC_rgb_jpeg_app14_dcmd"),
        *("SC_rgb_jpeg_dcmtk", "SC_rgb_jpeg_gdcm", "SC_rgb_rle_16bit", "SC_rgb_rle_32bit"),
        *("SC_ybr_full_422_uncompressed", "examples_palette", "examples_rgb_color"),
    ],
)
def test_shipped_files_in_colour(name: str, tmp_path: Path) -> None:
    compare(copied(SHIPPED / f"{name}.dcm", tmp_path))
