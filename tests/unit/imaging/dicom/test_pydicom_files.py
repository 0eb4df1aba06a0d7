"""Every DICOM file that pydicom ships gives an image, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_color_lut

from covid_cxr.errors import UnreadableImage
from covid_cxr.imaging import read
from covid_cxr.imaging.dicom.pixels import stored_samples

# pydicom's warnings about unusual headers, which `read` suppresses.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
# The reason for which a file is rejected; that of others follows from a rule below.
REJECTED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "its JPEG 2000 stream has 3722445056 x 1024 x 1",
    "MR_truncated.dcm": "has 8130 bytes of pixel data, its size needs 8192",
    "badVR.dcm": "without NumberOfFrames, or with a broken one",
    "examples_ybr_color.dcm": "30 frames",
    "meta_missing_tsyntax.dcm": "without Columns",
    "nested_priv_SQ.dcm": "without Columns",
    "no_meta.dcm": "no image of a known format",  # a stray byte stands before the object
}
RULES: dict[str, Callable[[Dataset], bool]] = {
    "is DICOM without pixels": lambda image: "PixelData" not in image,
    "frames, expected a single radiograph": lambda image: (image.get("NumberOfFrames") or 1) > 1,
    "expected 32 a side or more": lambda image: min(image.Rows, image.Columns) < 32,
}
# Ten bars that files of many encodings share; here their colours at (5, 50), (15, 50), ...
BARS = (
    [(255, 0, 0), (255, 128, 128), (0, 255, 0), (128, 255, 128), (0, 0, 255), (128, 128, 255)]
    + [(level, level, level) for level in (0, 64, 192, 255)]
)  # fmt: skip


def expected(path: Path) -> str:
    """Return the reason for an error, "" for an image."""
    if path.name in REJECTED:
        return REJECTED[path.name]
    image = pydicom.dcmread(path, force=True)
    return next((reason for reason, holds in RULES.items() if holds(image)), "")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.dcm")), ids=lambda path: path.name)
def test_every_file_is_a_picture_or_a_reason(path: Path) -> None:
    reason = expected(path)
    if reason:
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read(path)
        assert path.name in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1
        return
    radiograph, image = read(path), pydicom.dcmread(path, force=True)
    assert radiograph.format == "DICOM"
    assert radiograph.pixels.shape == (image.Rows, image.Columns)
    assert np.isfinite(radiograph.pixels).all()
    assert radiograph.pixels.min() >= 0
    assert radiograph.pixels.max() <= 1
    assert radiograph.pixels.std() > 0.002


@pytest.mark.parametrize("path", sorted(FOLDER.glob("SC_rgb_*.dcm")), ids=lambda path: path.name)
def test_bars_have_their_luma(path: Path) -> None:
    if expected(path) or pydicom.dcmread(path).Rows != 100:
        return
    lossless = "rle" in path.name or path.name == "SC_rgb_jpeg_gdcm.dcm"
    luma = np.array(BARS) @ (0.299, 0.587, 0.114) / 255
    np.testing.assert_allclose(read(path).pixels[5::10, 50], luma, atol=1e-6 if lossless else 0.02)


@pytest.mark.parametrize(
    "kind", ["", "_RLE", "_bigendian", "_implicit", "_jp2klossless", "_padded"]
)
def test_samples_of_the_lossless_files(kind: str) -> None:
    # As pydicom's own tests have them.
    samples, _ = stored_samples(pydicom.dcmread(FOLDER / f"MR_small{kind}.dcm"))
    assert samples[0, 31:34].tolist() == [422, 319, 361]
    assert samples[-1, -3:].tolist() == [1369, 1129, 862]


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_samples_of_the_twelve_bit_files(name: str) -> None:
    samples, _ = stored_samples(pydicom.dcmread(FOLDER / name))
    assert (samples[420, 140], samples[230, 120]) == (244, 95)  # as pydicom's own tests have them


def test_palette_as_pydicom_applies_it() -> None:
    image = pydicom.dcmread(FOLDER / "examples_palette.dcm")
    rgb = apply_color_lut(image.pixel_array, image)
    luma = rgb @ (0.299, 0.587, 0.114) / np.iinfo(rgb.dtype).max
    # Its entries of 16 bits use the high 8 only: 0xff00 is the largest.
    np.testing.assert_allclose(read(FOLDER / "examples_palette.dcm").pixels, luma, atol=0.004)


def test_overlay_is_not_drawn() -> None:
    path = FOLDER / "examples_overlay.dcm"
    image = pydicom.dcmread(path)
    assert image.overlay_array(0x6000).any()
    for element in [element for element in image if element.tag.group == 0x6000]:
        del image[element.tag]
    bare, _ = stored_samples(image)
    synthetic, _ = stored_samples(pydicom.dcmread(path))
    np.testing.assert_array_equal(synthetic, bare)
