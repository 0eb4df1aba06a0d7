"""Colour objects whose PhotometricInterpretation contradicts their samples (PS3.3 C.7.6.3.1.2)."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, uid

from covid_cxr.imaging import read
from covid_cxr.types import Radiograph
from support.dicom_objects import compressed, dataset_of, encode

GREY = (np.arange(48 * 48).reshape(48, 48) // 9).astype("u1")  # 0 to 255, nine pixels each
RGB = np.dstack([GREY] * 3)
YCBCR = np.dstack([GREY, *[np.full_like(GREY, 128)] * 2])
READ_SO = {
    "RGB": "RGB stated, the samples are YCbCr: read so",
    "YBR_FULL": "YBR_FULL stated, the samples are RGB: read so",
}


def radiograph_of(image: Dataset, stated: str) -> Radiograph:
    image.PhotometricInterpretation = stated
    return read(encode(image, enforce_file_format=True))


@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("syntax", ["", uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_grey_pictures_in_colour_objects(stated: str, right: bool, syntax: str) -> None:
    image = dataset_of(RGB if (stated == "RGB") == right else YCBCR)
    if syntax:
        image.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "")
    radiograph = radiograph_of(image, stated)
    np.testing.assert_allclose(radiograph.pixels, GREY / 255, atol=1e-6)
    assert radiograph.flags == (() if right else (READ_SO[stated],))


def test_jpeg_without_a_marker_that_tells() -> None:
    buffer = BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", quality=100, subsampling=0)
    frame = buffer.getvalue()
    length = int.from_bytes(frame[4:6], "big")
    bare = frame[:2] + frame[4 + length :]  # without the JFIF segment
    for stated, flags in (("RGB", (READ_SO["RGB"],)), ("YBR_FULL_422", ())):
        image = compressed(RGB, uid.JPEGBaseline8Bit, bare)
        radiograph = radiograph_of(image, stated)
        np.testing.assert_allclose(radiograph.pixels, GREY / 255, atol=0.02)
        assert radiograph.flags == flags


def test_colours_are_converted_as_stated() -> None:
    # C.7.6.3.1.2: R = Y + 1.402 (Cr - 128), G = Y - 0.714 (Cr - 128) - 0.344 (Cb - 128), B = ...
    samples = np.full((32, 32, 3), (100, 128, 178), "u1")
    luma = np.clip((0.299 * 170.1 + 0.587 * 64.3 + 0.114 * 100) / 255, 0, 1)
    radiograph = radiograph_of(dataset_of(samples), "YBR_FULL")
    np.testing.assert_allclose(radiograph.pixels, luma, atol=0.004)
    mid_grey = radiograph_of(dataset_of(np.full((32, 32, 3), 128, "u1")), "RGB")
    assert (mid_grey.flags, mid_grey.pixels[0, 0]) == ((), pytest.approx(128 / 255))


def test_windows_and_rescale_of_colour_are_left_out() -> None:
    # Secondary captures keep those of the image that they were made of.
    window = {"WindowCenter": 500, "WindowWidth": 2000}
    image = dataset_of(RGB, RescaleSlope=1, RescaleIntercept=-1024, **window)
    radiograph = radiograph_of(image, "RGB")
    np.testing.assert_allclose(radiograph.pixels, GREY / 255, atol=1e-6)
