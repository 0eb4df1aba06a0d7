"""The public API: its names, its cost, its examples, and what it says of wrong input."""

from __future__ import annotations

import doctest
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

import covid_cxr
from covid_cxr.inference.predictions_csv import table
from covid_cxr.phantoms import draw
from covid_cxr.types import Prediction
from support.dicom_objects import dataset_of

GREY = np.rint(draw("covid-19", 3).pixels * 4095).astype(np.uint16)
EIGHT = (GREY >> 4).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> covid_cxr.Model:
    return covid_cxr.load(threads=1)


def png(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def python(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_what_its_module_defines_after_all_are_imported() -> None:
    for module in pkgutil.iter_modules(covid_cxr.__path__):  # each becomes an attribute
        import_module(f"covid_cxr.{module.name}")
        assert module.name not in covid_cxr.__all__
    assert dir(covid_cxr) == covid_cxr.__all__ == sorted(covid_cxr.__all__)
    assert covid_cxr._PUBLIC.keys() == set(covid_cxr.__all__) - {"__version__"}
    for name, defined_in in covid_cxr._PUBLIC.items():
        assert getattr(covid_cxr, name) is getattr(import_module(defined_in), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'covid_cxr' has no attribute 'predictor'"):
        covid_cxr.predictor  # noqa: B018


def test_loading_imports_nothing_heavy() -> None:
    python(
        "import sys, covid_cxr\n"
        "light = {'numpy', 'pydantic', 'onnxruntime'} & set(sys.modules)\n"
        "assert not light, f'import covid_cxr imports {light}'\n"
        "covid_cxr.load(threads=1)\n"
        "heavy = ['torch', 'lightning', 'pandas', 'matplotlib', 'sklearn',\n"
        "    'skimage.segmentation', 'scipy.stats', 'scipy.optimize', 'scipy.ndimage', 'pandera']\n"
        "loaded = [name for name in heavy if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )


@pytest.mark.parametrize(
    "module",
    ["covid_cxr", "covid_cxr.api", "covid_cxr.inference.model", "covid_cxr.imaging.in_memory"],
)
def test_examples_run(module: str) -> None:
    result = doctest.testmod(import_module(module))
    assert result.attempted > 0 and result.failed == 0


def test_every_public_function_has_an_example_or_needs_a_run() -> None:
    trained = {"train_run", "evaluate_run", "audit_run"}
    methods = ["predict_many", "explain", "embed", "segment_lungs", "check_input"]
    public = [getattr(covid_cxr, name) for name in covid_cxr.__all__ if name not in trained]
    documented = [one for one in public if callable(one) and not isinstance(one, type)]
    documented += [getattr(covid_cxr.Model, name) for name in methods]
    assert len(documented) == 13
    for function in documented:
        assert ">>>" in (function.__doc__ or ""), function.__name__


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((40, 50), 51, np.uint8), 0.2),
        (np.full((40, 50), 65535, np.uint16), 1.0),
        (np.full((40, 50), 4095, np.uint16), 1.0),  # 12 of 16 bits
        (np.full((40, 50), True), 1.0),
        (np.full((40, 50), 0.25), 0.25),
        (np.full((40, 50), 0.25, np.float16), 0.25),
        (np.full((40, 50, 3), (255, 0, 0), np.uint8), 0.299),  # Rec. 601
        (np.full((40, 50, 3), (0.0, 1.0, 0.0)), 0.587),
    ],
)
def test_arrays_mean_what_their_type_says(array: np.ndarray, expected: float) -> None:
    before = array.copy()
    radiograph = covid_cxr.read_image(array)
    assert radiograph.pixels.dtype == np.float32 and radiograph.pixels.shape == (40, 50)
    assert radiograph.pixels == pytest.approx(expected, abs=1e-6)
    assert radiograph.origin == "<array>"
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("array", [EIGHT, GREY, GREY << 4, EIGHT > 100])
def test_an_array_is_read_as_the_png_that_holds_it(array: np.ndarray) -> None:
    from_array, from_file = covid_cxr.read_image(array), covid_cxr.read_image(png(array))
    np.testing.assert_allclose(from_array.pixels, from_file.pixels, atol=1e-6)
    assert from_array.flags == from_file.flags


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I", "F", "CMYK", "YCbCr", "I;16"])
def test_pillow_images_of_every_mode_are_read(mode: str) -> None:
    image = Image.fromarray(GREY) if mode == "I;16" else Image.fromarray(EIGHT).convert(mode)
    radiograph = covid_cxr.read_image(image)
    expected = covid_cxr.read_image(EIGHT).pixels
    assert np.corrcoef(radiograph.pixels.ravel(), expected.ravel())[0, 1] > 0.999
    assert radiograph.origin == "<Pillow image>"


def test_a_pillow_image_is_turned_as_its_orientation_says(tmp_path: Path) -> None:
    image = Image.fromarray(EIGHT)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        from_memory = covid_cxr.read_image(opened)
    from_file = covid_cxr.read_image(tmp_path / "turned.png")
    assert from_file.pixels.shape == EIGHT.shape[::-1]
    np.testing.assert_array_equal(from_memory.pixels, from_file.pixels)


@pytest.mark.parametrize("has_meta", [True, False])
def test_a_data_set_is_read_as_its_file_and_left_alone(has_meta: bool) -> None:
    image = dataset_of(GREY, BitsStored=12, PatientName="Doe")
    buffer = BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    source: Dataset = image
    if not has_meta:
        source = Dataset()
        source.update({element.tag: element for element in image})
    before = str(source)
    radiograph = covid_cxr.read_image(source)
    np.testing.assert_array_equal(radiograph.pixels, covid_cxr.read_image(buffer.getvalue()).pixels)
    assert (radiograph.format, radiograph.origin) == ("DICOM", "<DICOM data set>")
    assert str(source) == before


def test_a_radiograph_is_returned_as_it_is() -> None:
    radiograph = covid_cxr.read_image(EIGHT)
    assert covid_cxr.read_image(radiograph) is radiograph


WRONG: list[tuple[Any, str]] = [
    (None, "cannot read a radiograph from NoneType; expected a path, bytes, a NumPy array"),
    (3, "from int"),
    ([], "from list"),
    ({}, "from dict"),
    ("", "path of the radiograph is empty"),
    ("nowhere.png", "'nowhere.png' does not exist"),
    (".", "'.' is a folder, expected an image file"),
    (b"", "'<bytes>' is empty"),
    (np.zeros((40, 50, 4), np.uint8), r"'<array>' has shape \(40, 50, 4\), expected \(H, W\) or"),
    (np.zeros((1, 40, 50), np.uint8), "has shape"),
    (np.zeros(40), "has shape"),
    (
        np.zeros((40, 50), np.int64),
        "samples of type int64, expected bool, uint8, uint16, or floats",
    ),
    (np.zeros((40, 50), "U1"), "samples of type <U1"),
    (np.zeros((40, 50), object), "samples of type object"),
    (np.zeros((40, 50), complex), "samples of type complex128"),
    (np.full((40, 50), np.nan), "not finite"),
    (np.where(np.eye(40) > 0, np.inf, 0.5), "not finite"),
    (np.full((40, 50), 255.0), "floats from 255 to 255, expected 0 to 1; scale them first"),
    (np.full((40, 50), -1024.0), "floats from -1024"),
    (np.zeros((31, 500), np.uint8), "has 500 x 31 pixels, expected 32 a side or more"),
    (np.zeros((0, 0), np.uint8), "expected 32 a side"),
    (Image.new("L", (20, 20)), "'<Pillow image>' has 20 x 20 pixels"),
    (Dataset(), "'<DICOM data set>' is DICOM without pixels"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_wrong_input_is_one_line(model: covid_cxr.Model, source: Any, message: str) -> None:
    calls = (covid_cxr.read_image, model.predict, model.embed, model.segment_lungs)
    for call in (*calls, model.check_input, model.explain):
        with pytest.raises(covid_cxr.InputError, match=message) as error:
            call(source)
        assert "\n" not in str(error.value)


def test_settings_of_a_method_are_checked(model: covid_cxr.Model) -> None:
    with pytest.raises(covid_cxr.UnknownName, match="did you mean 'samples'"):
        model.explain(EIGHT, "lime", sample=20)
    with pytest.raises(covid_cxr.InputError, match="samples"):
        model.explain(EIGHT, "lime", samples=3)
    with pytest.raises(covid_cxr.UnknownName, match="did you mean 'lime'"):
        model.explain(EIGHT, "lyme")
    with pytest.raises(
        covid_cxr.InputError, match=r"'gradcam' needs weights .* can be explained by lime"
    ):
        model.explain(EIGHT, "gradcam")


def test_a_notebook_draws_what_it_is_given(model: covid_cxr.Model) -> None:
    reading = model.predict(EIGHT)
    assert reading._repr_png_().startswith(b"\x89PNG") and reading._repr_html_() is None
    assert len(repr(reading)) < 2000  # no arrays
    rejected = model.predict(EIGHT[::-1])
    assert rejected._repr_png_() is None
    assert "<td>abstained</td>" in rejected._repr_html_()
    radiograph, lungs = model.read(EIGHT), model.segment_lungs(EIGHT)
    assert Image.open(BytesIO(radiograph._repr_png_())).size[0] <= 512
    picture = np.asarray(Image.open(BytesIO(lungs._repr_png_())).resize(EIGHT.shape[::-1]))
    assert picture[lungs.right].mean() > 200 > picture[lungs.left].mean() > 100
    assert repr(lungs).startswith(f"Lungs({EIGHT.shape[0]} x {EIGHT.shape[1]}, ")


def test_html_escapes_what_files_are_called() -> None:
    html = Prediction("<script>.png", "error", "'<b>' is no image")._repr_html_()
    assert "<script>" not in html and "<b>" not in html and "Not a medical device" in html


def test_detector_values_can_be_abstained_from() -> None:
    image = dataset_of(GREY, BitsStored=12, PresentationIntentType="FOR PROCESSING")
    strict = covid_cxr.load(threads=1, for_processing="abstain")
    assert strict.predict(image).prediction.status == "abstained"


def test_many_are_answered_with_a_row_each(model: covid_cxr.Model, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").write_bytes(png(EIGHT))
    (tmp_path / "b.txt").write_text("text")
    nan = np.full((40, 50), np.nan)
    steps: list[tuple[str, int, int]] = []
    from covid_cxr.progress import reporting

    with reporting(lambda *step: steps.append(step)):
        rows = model.predict_many([tmp_path, EIGHT, nan, EIGHT[::-1], "nowhere.png"])
    assert rows["status"].tolist() == ["error", "ok", "ok", "error", "abstained", "error"]
    names = [str(tmp_path / "b.txt"), str(tmp_path / "sub" / "a.png"), "<array 1>", "<array 2>"]
    assert rows["file"].tolist() == [*names, "<array 3>", "nowhere.png"]
    alone = model.predict(EIGHT).prediction
    for row in rows[rows["status"] == "ok"].itertuples():
        assert (row.predicted_class, row.model) == (alone.predicted_class, model.bundle.id)
    probability = rows["probability_covid-19"]
    assert probability[1] == probability[2] == alone.probabilities["covid-19"]
    assert probability.isna().tolist() == [True, False, False, True, True, True]
    assert "not finite" in rows["message"][3] and "does not exist" in rows["message"][5]
    assert steps[-1] == ("predicting", 6, 6)


def test_columns_are_those_of_predictions_csv(model: covid_cxr.Model) -> None:
    header = table([Prediction("x", "error")], model.classes).splitlines()[0].split(",")
    assert model.predict_many([]).columns.tolist() == header


def test_a_batch_with_something_that_is_no_image_is_not_begun(
    model: covid_cxr.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr(model, "read", never)
    for sources in (None, 3, [EIGHT, None], [EIGHT, [EIGHT]]):
        with pytest.raises(covid_cxr.InputError, match="cannot read a radiograph from"):
            model.predict_many(sources)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: covid_cxr.load(3), "bundle is 3, expected the path"),
        (lambda: covid_cxr.load(""), "bundle is '', expected the path"),
        (lambda: covid_cxr.load("nowhere"), "'nowhere' is no bundle"),
        (lambda: covid_cxr.load(threads=0), "threads is 0, expected 1 to 1024, or None"),
        (lambda: covid_cxr.load(threads="all"), "threads is 'all'"),
        (lambda: covid_cxr.load(for_processing="x"), "for_processing is 'x', expected 'assess'"),
        (lambda: covid_cxr.evaluate_run(None), "run is None, expected the path"),
        (lambda: covid_cxr.audit_run([]), r"run is \[\], expected the path"),
        (lambda: covid_cxr.audit_run("x", budget="slow"), "budget is 'slow', expected 'quick'"),
        (lambda: covid_cxr.build_cohort(None, "o"), "no data root"),
        (lambda: covid_cxr.build_cohort(".", None), "out is None, expected the path"),
        (lambda: covid_cxr.train_run(3, "c", "o"), "config is 3, expected the path"),
        (
            lambda: covid_cxr.train_run("c.yaml", "c", "o"),
            "config 'c.yaml' is neither a file nor a recipe",
        ),
        (lambda: covid_cxr.train_run(covid_cxr.RunConfig(), 3, "o", data="."), "cohort is 3"),
    ],
)
def test_wrong_arguments_are_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(covid_cxr.InputError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "setting",
    [
        *("evaluation.bootstrap=100001", "training.batch_size=4097", "training.runs=101"),
        *("audit.folds=51", "audit.permutations=100001", "explain.examples=10001"),
        *("training.learning_rate=.inf", "training.ridge_alpha=.nan", "audit.bounds.skill=-.inf"),
    ],
)
def test_settings_that_exhaust_memory_or_are_not_finite_are_errors(setting: str) -> None:
    with pytest.raises(covid_cxr.ConfigError, match=r"less than or equal to|finite"):
        covid_cxr.build_cohort(".", "out", settings=[setting])


def test_the_functions_of_a_run_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(covid_cxr.InputError, match="is no folder"):
        covid_cxr.build_cohort(tmp_path / "none", tmp_path / "out")
    with pytest.raises(covid_cxr.InputError, match="is no run folder"):
        covid_cxr.evaluate_run(tmp_path)
    with pytest.raises(covid_cxr.InputError, match="is no run folder"):
        covid_cxr.audit_run(str(tmp_path))
    with pytest.raises(covid_cxr.ConfigError, match="no data root"):
        covid_cxr.train_run(covid_cxr.RunConfig(), tmp_path / "cohort.csv", tmp_path / "run")
    with pytest.raises(covid_cxr.ConfigError, match="unknown key 'modle'"):
        covid_cxr.train_run(
            covid_cxr.RunConfig(), tmp_path / "c.csv", tmp_path, settings=["modle=x"]
        )


def test_the_functions_of_a_run_return_typed_results(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    trained = covid_cxr.train_run(run / "config.json", run / "cohort.csv", run)
    assert trained.id == covid_cxr.load(run / "bundle", threads=1).bundle.id
    audit = covid_cxr.audit_run(run, only="leak")
    assert isinstance(audit, covid_cxr.AuditResult)
    assert [check.name for check in audit.checks] == ["leak"]
    with pytest.raises(covid_cxr.ConfigError, match="prevalence is 2"):
        covid_cxr.evaluate_run(run, prevalence=2)
