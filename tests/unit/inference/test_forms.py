"""The same radiograph in every form that is flagged is answered as its plain file is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, FileDataset, uid
from pydicom.encaps import encapsulate, get_frame

import covid_cxr
from covid_cxr.imaging import read
from covid_cxr.inference.predictor import Predictor
from covid_cxr.phantoms import draw
from covid_cxr.types import Prediction
from support.dicom_objects import compressed, dataset_of, encode, lossless_jpeg
from support.pairwise import pairwise
from support.sixteen_bit_images import png, tiff
from support.tiff_files import packed, tiff_of

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


# Neighbouring numbers: any two of these options meet in one of the objects.
OPTIONS: dict[str, list[Any]] = {
    "bits": [*range(9, 17)],
    "signed": [False, True],
    "photometric": ["MONOCHROME1", "MONOCHROME2"],
    "rescale": [(1, 0), (1, -1024), (2, -5), (0.25, 100), (-1, 0)],
    "display": ["window", "second window", "LINEAR_EXACT", "US", "SS", "modality LUT"],
    "syntax": [
        *("ImplicitVRLittleEndian", "ExplicitVRLittleEndian", "ExplicitVRBigEndian"),
        *("DeflatedExplicitVRLittleEndian", "RLELossless", "JPEGLossless", "JPEGLSLossless"),
        "JPEG2000Lossless",
    ],
}
COMBINATIONS = pairwise(OPTIONS)
PHANTOM = draw("covid-19", 3).pixels


def name_of(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def object_with(options: dict[str, Any]) -> bytes:
    """An object of the radiograph with these numbers, its display worked out from them."""
    bits, display = options["bits"], options["display"]
    top, low = 2**bits - 1, -(2 ** (bits - 1)) if options["signed"] else 0
    rising = np.rint(PHANTOM * top).astype(int)
    slope, intercept = options["rescale"] if "w" in display or "EXACT" in display else (1, 0)
    inverse = (options["photometric"] == "MONOCHROME1") != (slope < 0)
    stored = (top - rising if inverse else rising) + low
    dtype = ("<i2" if options["signed"] else "<u2") if bits > 8 else "u1"
    image = dataset_of(stored.astype(dtype), BitsStored=bits)
    image.PhotometricInterpretation = options["photometric"]
    ends = sorted((low * slope + intercept, (low + top) * slope + intercept))
    if display in ("US", "SS", "modality LUT"):
        item = Dataset()
        vr = "US" if display == "US" else "SS"
        first = low % 2**16 if vr == "US" else low
        item.add_new("LUTDescriptor", vr, [2**bits % 2**16, first, 16])
        item.add_new("LUTData", "OW", np.linspace(0, 65_535, 2**bits).astype("<u2").tobytes())
        image.update({} if display == "modality LUT" else {"VOILUTSequence": [item]})
        if display == "modality LUT":
            image.ModalityLUTSequence, ends = [item], [0, 65_535]
    if slope != 1 or intercept:
        image.RescaleSlope, image.RescaleIntercept = slope, intercept
    exact = display == "LINEAR_EXACT"
    center, width = sum(ends) / 2 + (not exact) / 2, ends[1] - ends[0] + (not exact)
    beside = display == "second window"
    image.WindowCenter = [center + 9 * width, center] if beside else center
    image.WindowWidth = [width / 2, width] if beside else width
    if exact:
        image.VOILUTFunction = "LINEAR_EXACT"
    return coded(image, stored.astype(dtype), bits, options["syntax"])


def coded(image: FileDataset, stored: np.ndarray, bits: int, name: str) -> bytes:
    syntax = getattr(uid, name)
    if name == "JPEGLossless":
        frame = lossless_jpeg(stored.view("u2") & (2**bits - 1), bits)
        image.file_meta.TransferSyntaxUID = syntax
        image.PixelData = encapsulate([frame])
        image["PixelData"].is_undefined_length = True
    elif name in ("RLELossless", "JPEGLSLossless", "JPEG2000Lossless"):
        image.compress(syntax, encoding_plugin="pydicom" if name == "RLELossless" else "")
    elif name == "ExplicitVRBigEndian":
        swap(image)
        image.PixelData = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    image.file_meta.TransferSyntaxUID = syntax
    return encoded(image)


def swap(image: FileDataset) -> None:
    """Write the words of LUTs in big-endian."""
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        for item in image.get(keyword, ()):
            item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()


def wide(bits: int) -> np.ndarray:
    return np.rint(PHANTOM * (2**bits - 1)).astype("<u2")


def strip(bits: int, order: str, white: int) -> bytes:
    """A TIFF of one strip, 8 or 16 bits in full, others packed; white is stored as 0 or black."""
    samples = wide(bits) if white else 2**bits - 1 - wide(bits)
    whole = samples.astype(f"{order}u{bits // 8 or 1}").tobytes()
    content = packed(samples, bits) if bits % 8 else whole
    return tiff_of([content], PHANTOM.shape, {258: [bits], 262: [white]}, order)


def palette_png() -> bytes:
    buffer = BytesIO()
    Image.fromarray(EIGHT).convert("P").save(buffer, "PNG")
    return buffer.getvalue()


RASTERS: dict[str, Callable[[], bytes]] = {
    **{f"PNG of {n} in 16 bits": partial(lambda n: saved(wide(n), "PNG"), n) for n in range(9, 17)},
    "TIFF of 8 bits, white 0": lambda: strip(8, "<", 0),
    "TIFF of 10 bits, big-endian": lambda: strip(10, ">", 1),
    "TIFF of 12 bits, white 0": lambda: strip(12, "<", 0),
    "TIFF of 14 bits": lambda: strip(14, "<", 1),
    "TIFF of 16 bits, white 0, big-endian": lambda: strip(16, ">", 0),
    "PNG in RGB": lambda: saved(stack(EIGHT, EIGHT, EIGHT), "PNG"),
    "PNG in RGBA": lambda: saved(stack(EIGHT, EIGHT, EIGHT, 0 * EIGHT + 255), "PNG"),
    "PNG in grey and alpha": lambda: saved(stack(EIGHT, 0 * EIGHT + 255), "PNG"),
    "PNG in 16-bit RGBA": lambda: png(stack(*[16 * GREY] * 3, ALPHA)),
    "PNG with a palette": palette_png,
    "TIFF of 16-bit colour, big-endian": lambda: tiff(stack(GREY, GREY, GREY), ">"),
    "TIFF of 16-bit colour by planes": lambda: tiff(stack(GREY, GREY, GREY), planes=2),
    "TIFF of grey and alpha": lambda: tiff_of(
        [stack(EIGHT, 0 * EIGHT + 255).tobytes()], PHANTOM.shape, {258: [8, 8], 277: [2], 338: [2]}
    ),
    "TIFF of floats": lambda: tiff_of(
        [PHANTOM.astype("<f4").tobytes()], PHANTOM.shape, {258: [32], 339: [3]}
    ),
    "PGM of 12 bits": lambda: b"P5 %d %d 4095\n" % GREY.shape[::-1] + GREY.astype(">u2").tobytes(),
    "JPEG 2000 of 16 bits": lambda: saved(wide(16), "JPEG2000"),
}


@pytest.fixture(scope="module")
def plain(model: Predictor) -> Prediction:
    """The answer to the plain PNG."""
    return model.predict(saved(EIGHT, "PNG")).prediction


def assert_close(answer: Prediction, plain: Prediction) -> None:
    assert (plain.status, answer.status) == ("ok", "ok"), answer.flags
    for name, probability in plain.probabilities.items():
        assert answer.probabilities[name] == pytest.approx(probability, abs=CLOSE)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, on writing what is wrong on purpose
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_answered_as_its_plain_file(
    form: str, model: Predictor, plain: Prediction
) -> None:
    own = model.predict(PLAIN[form]()).prediction if form in PLAIN else plain
    assert_close(model.predict(FORMS[form]()).prediction, own)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", COMBINATIONS, ids=name_of)
def test_pixels_of_objects(options: dict[str, Any]) -> None:
    # 8 bits are cut off, not rounded.
    np.testing.assert_allclose(read(object_with(options)).pixels, EIGHT / 255, atol=1.5 / 255)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("options", COMBINATIONS[::4], ids=name_of)
def test_objects(options: dict[str, Any], model: Predictor, plain: Prediction) -> None:
    assert_close(model.predict(object_with(options)).prediction, plain)


@pytest.mark.parametrize("form", RASTERS)
def test_pictures(form: str, model: Predictor, plain: Prediction) -> None:
    assert_close(model.predict(RASTERS[form]()).prediction, plain)
