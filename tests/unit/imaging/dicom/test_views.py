"""LUTs of fewer bits than stated, and windows that show nothing (PS3.3 C.11.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from covid_cxr.imaging import read
from covid_cxr.types import Radiograph
from support.dicom_objects import EDGE, dataset_of, encode, lut

RAMP = np.arange(EDGE * EDGE).reshape(EDGE, EDGE)
NOTHING = "window shows nothing of the image"


def radiograph_of(pixels: np.ndarray = RAMP, **elements: Any) -> Radiograph:
    return read(encode(dataset_of(pixels.astype("<u2"), **elements), enforce_file_format=True))


def by_percentiles(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (0.5, 99.5))
    return np.clip((values - low) / (high - low), 0, 1)


@pytest.mark.parametrize(
    ("stated", "used"), [(16, 12), (16, 10), (16, 8), (12, 10), (10, 12), (8, 12), (12, 16)]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_lut_is_scaled_by_the_bits_of_its_entries(stated: int, used: int, photometric: str) -> None:
    # Entries 0 ... 2**used - 1, whatever LUTDescriptor says: the last is white, the middle grey.
    top = 2**used - 1
    entries = np.linspace(0, top, RAMP.size).astype(int)
    radiograph = radiograph_of(
        VOILUTSequence=[lut(0, stated, entries.tolist())], PhotometricInterpretation=photometric
    )
    right = entries.reshape(RAMP.shape) / top
    right = right if photometric == "MONOCHROME2" else 1 - right
    np.testing.assert_allclose(radiograph.pixels, right, atol=1e-6)
    flag = f"VOI LUT of {stated} bits stated, its entries use {used}: those used"
    assert radiograph.flags == (flag,)


def test_lut_that_nearly_fills_its_bits_is_as_stated() -> None:
    # The largest entry, 2500 of 4095, needs the twelve bits.
    entries = np.linspace(0, 2500, RAMP.size).astype(int)
    radiograph = radiograph_of(VOILUTSequence=[lut(0, 12, entries.tolist())])
    np.testing.assert_allclose(radiograph.pixels, entries.reshape(RAMP.shape) / 4095, atol=1e-6)
    assert radiograph.flags == ()


def test_packed_bytes_under_sixteen_stated_bits() -> None:
    item = lut(0, 16, [])
    item.LUTDescriptor = [RAMP.size, 0, 16]
    item.add_new("LUTData", "OW", bytes(value // 4 for value in range(RAMP.size)))
    radiograph = radiograph_of(VOILUTSequence=[item])
    np.testing.assert_allclose(radiograph.pixels, RAMP // 4 / 255, atol=1e-6)
    assert radiograph.flags == ("VOI LUT of 16 bits stated, its entries use 8: those used",)


# c = 512.5, w = 1025: y = x / 1024.
SHOWS = (512.5, 1025)


@pytest.mark.parametrize(
    "window",
    [
        (20_000, 2000),  # all below: black
        (-20_000, 2000),  # all above: white
        (32_768.5, 65_537),  # 10 of 16 bits: the darkest sixty-fourth
        (512.5, 1_000_000),  # one grey level
    ],
)
def test_a_window_that_shows_nothing_is_passed_over(window: tuple[float, float]) -> None:
    alone = radiograph_of(WindowCenter=window[0], WindowWidth=window[1])
    np.testing.assert_allclose(alone.pixels, by_percentiles(RAMP), atol=1e-6)
    assert alone.flags == (f"{NOTHING}: percentiles used",)
    for order in (1, -1):
        centers, widths = zip(*(window, SHOWS)[::order], strict=True)
        radiograph = radiograph_of(WindowCenter=list(centers), WindowWidth=list(widths))
        np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
        assert radiograph.flags == ((f"{NOTHING}: ignored",) if order == 1 else ())


def test_twelve_bits_in_a_window_of_sixteen_show_nothing() -> None:
    # 0 to 4092 of 65535: grey levels 0 to 16 of 255.
    radiograph = radiograph_of(4 * RAMP, WindowCenter=32_768, WindowWidth=65_536)
    np.testing.assert_allclose(radiograph.pixels, by_percentiles(RAMP), atol=1e-6)
    assert radiograph.flags == (f"{NOTHING}: percentiles used",)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_of_every_function(function: str) -> None:
    radiograph = radiograph_of(
        WindowCenter=[9000, 500], WindowWidth=[100, 1000], VOILUTFunction=function
    )
    assert radiograph.flags == (f"{NOTHING}: ignored",)
    assert np.ptp(radiograph.pixels) > 0.7


def test_a_voi_lut_that_shows_nothing_gives_way() -> None:
    nowhere = lut(20_000, 16, [16 * entry for entry in range(4096)])
    flat = lut(0, 16, [0x8000] * RAMP.size)
    # Entry k is k, of 10 bits.
    good = lut(0, 10, list(range(RAMP.size)))
    window = {"WindowCenter": SHOWS[0], "WindowWidth": SHOWS[1]}
    for useless in (nowhere, flat):
        passed = "VOI LUT shows nothing of the image: ignored"
        radiograph = radiograph_of(VOILUTSequence=[useless, good], **window)
        np.testing.assert_allclose(radiograph.pixels, RAMP / 1023, atol=1e-6)
        assert radiograph.flags == (passed,)
        radiograph = radiograph_of(VOILUTSequence=[useless], **window)
        np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
        assert radiograph.flags == (passed,)
        radiograph = radiograph_of(VOILUTSequence=[useless])
        np.testing.assert_allclose(radiograph.pixels, by_percentiles(RAMP), atol=1e-6)
        assert radiograph.flags == (passed, "no window: percentiles used")


def test_an_unusable_window_gives_way_to_the_next() -> None:
    radiograph = radiograph_of(WindowCenter=[500, SHOWS[0]], WindowWidth=[0, SHOWS[1]])
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    assert radiograph.flags == ("window unusable: ignored",)


def test_padding_does_not_count_as_shown() -> None:
    # Half is padding of 60,000; the window shows 60,000 and none of the rest.
    pixels = RAMP.copy()
    pixels[16:] = 60_000
    radiograph = radiograph_of(
        pixels, WindowCenter=60_000, WindowWidth=100, PixelPaddingValue=60_000
    )
    assert radiograph.flags == (f"{NOTHING}: percentiles used",)
    np.testing.assert_allclose(radiograph.pixels[:16], by_percentiles(RAMP[:16]), atol=1e-6)
    assert radiograph.pixels[16:].max() == 0


def test_a_blank_image_is_not_made_to_show_something() -> None:
    # 16 values about 2000 in a window of 4096: nearly one grey, which the input check rejects.
    noise = 2000 + RAMP % 16
    radiograph = radiograph_of(noise, WindowCenter=2048.5, WindowWidth=4097)
    np.testing.assert_allclose(radiograph.pixels, noise / 4096, atol=1e-6)
    assert radiograph.flags == ()


@pytest.mark.parametrize(
    "elements",
    [
        {"PresentationIntentType": "FOR PROCESSING"},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"},
    ],
)
def test_objects_for_processing_are_flagged(elements: dict[str, str]) -> None:
    # PS3.3 C.8.11.1.1.1
    window = {"WindowCenter": SHOWS[0], "WindowWidth": SHOWS[1]}
    radiograph = radiograph_of(**window, **elements)
    np.testing.assert_allclose(radiograph.pixels, RAMP / 1024, atol=1e-6)
    assert radiograph.flags == ("for processing: detector values, not the picture that is read",)
    assert radiograph_of(**window, PresentationIntentType="FOR PRESENTATION").flags == ()
