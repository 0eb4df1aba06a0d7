"""The same radiograph in every form that is flagged is answered as its plain file is."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, FileDataset, uid
from pydicom.encaps import get_frame

import covid_cxr
from covid_cxr.inference.predictor import Predictor
from covid_cxr.phantoms import draw
from support.dicom_objects import compressed, dataset_of, encode
from support.sixteen_bit_images import png, tiff

pytestmark = pytest.mark.slow
GREY = np.rint(draw("covid-19", 3).pixels * 4095).astype("<u2")
EIGHT = (GREY >> 4).astype("u1")
WINDOW = {"BitsStored": 12, "WindowCenter": 2048.5, "WindowWidth": 4097}
CLOSE = 0.02


@pytest.fixture(scope="module")
def model() -> Predictor:
    return covid_cxr.load(threads=1)


def saved(samples: np.ndarray, container: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(samples).save(
        buffer, container, **({"quality": 100} if container == "JPEG" else {})
    )
    return buffer.getvalue()


def object_of(pixels: np.ndarray = GREY, **elements: Any) -> bytes:
    return encoded(dataset_of(pixels, **{**WINDOW, **elements}))


def encoded(image: FileDataset) -> bytes:
    return encode(image, enforce_file_format=True)


def table(vr: str, first: int, scale: int) -> Dataset:
    """A LUT of 4096 entries from `first`: 0, scale, 2 scale, ..."""
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [4096, first, 16])
    item.add_new("LUTData", "US", [scale * entry for entry in range(4096)])
    return item


def voi(vr: str, first: int, syntax: str) -> bytes:
    image = dataset_of(GREY, BitsStored=12, RescaleSlope=1, RescaleIntercept=-2048)
    image.VOILUTSequence = [table(vr, first, 16)]
    image.file_meta.TransferSyntaxUID = syntax
    return encoded(image)


def modality(dtype: str, low: int, vr: str, first: int) -> bytes:
    image = dataset_of((GREY.astype(int) + low).astype(dtype), WindowCenter=2048, WindowWidth=4096)
    image.ModalityLUTSequence = [table(vr, first, 1)]
    return encoded(image)


def overlaid(syntax: uid.UID) -> bytes:
    cells = GREY.copy()
    cells[:100] |= 0x8000
    image = dataset_of(cells)
    image.compress(syntax)
    return encoded(compressed(cells, syntax, get_frame(image.PixelData, 0), **WINDOW))


def padded() -> bytes:
    pixels = GREY.copy()
    pixels[:, -8:] = 0xF830
    image = dataset_of(pixels, **WINDOW)
    image.add_new("PixelPaddingValue", "SS", -2000)
    return encoded(image)


def stack(*channels: np.ndarray) -> np.ndarray:
    return np.dstack(channels)


ALPHA = np.full(GREY.shape, 65_535)
FORMS: dict[str, Callable[[], bytes]] = {
    "PNG of 8 in 16 bits": lambda: saved(GREY >> 4, "PNG"),
    "PNG of 12 in 16 bits": lambda: saved(GREY, "PNG"),
    "TIFF of 10 in 16 bits": lambda: saved(GREY >> 2, "TIFF"),
    "PNG of 16-bit grey and alpha": lambda: png(stack(16 * GREY, ALPHA)),
    "PNG of 16-bit grey, alpha 0": lambda: png(stack(16 * GREY, 0 * ALPHA)),
    "PNG of 16-bit colour": lambda: png(stack(GREY, GREY, GREY)),
    "TIFF of 16-bit colour": lambda: tiff(stack(GREY, GREY, GREY)),
    "PNG, alpha 0": lambda: saved(stack(EIGHT, EIGHT, EIGHT, 0 * EIGHT), "PNG"),
    "VOI LUT from -2048, implicit VR": lambda: voi("SS", -2048, uid.ImplicitVRLittleEndian),
    "VOI LUT from -2048 as US": lambda: voi("US", 63_488, uid.ExplicitVRLittleEndian),
    "modality LUT from -2048 as US": lambda: modality("<i2", -2048, "US", 63_488),
    "modality LUT from 61440 as SS": lambda: modality("<u2", 61_440, "SS", -4096),
    "VOI LUT of 12 in 16 bits": lambda: object_of(VOILUTSequence=[table("US", 0, 1)]),
    "overlay in JPEG 2000": lambda: overlaid(uid.JPEG2000Lossless),
    "overlay in JPEG-LS": lambda: overlaid(uid.JPEGLSLossless),
    "8-bit JPEG under 12 bits": lambda: encoded(
        compressed(GREY, uid.JPEGBaseline8Bit, saved(EIGHT, "JPEG"), **WINDOW)
    ),
    "12 bits in 10 stated": lambda: object_of(BitsStored=10),
    "padding outside 12 bits": padded,
    "padding everywhere": lambda: object_of(PixelPaddingValue=0, PixelPaddingRangeLimit=4095),
    "window beside the values": lambda: object_of(WindowCenter=9000, WindowWidth=100),
    "second window": lambda: object_of(WindowCenter=[9000, 2048], WindowWidth=[100, 4096]),
    "window of 16 bits": lambda: object_of(WindowCenter=32_768, WindowWidth=65_536),
    "for processing": lambda: object_of(PresentationIntentType="FOR PROCESSING"),
}

# Drawn radiographs are sensitive to lossy coding and to percentiles in place of a window: what is
# asked of these forms is the answer of the plain file that has either.
PLAIN: dict[str, Callable[[], bytes]] = {
    "8-bit JPEG under 12 bits": lambda: saved(EIGHT, "JPEG"),
    "window beside the values": lambda: encoded(dataset_of(GREY, BitsStored=12)),
    "window of 16 bits": lambda: encoded(dataset_of(GREY, BitsStored=12)),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, on writing what is wrong on purpose
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_answered_as_its_plain_file(form: str, model: Predictor) -> None:
    plain = model.predict(PLAIN.get(form, lambda: saved(EIGHT, "PNG"))()).prediction
    answer = model.predict(FORMS[form]()).prediction
    assert (plain.status, answer.status) == ("ok", "ok"), answer.flags
    for name, probability in plain.probabilities.items():
        assert answer.probabilities[name] == pytest.approx(probability, abs=CLOSE)
