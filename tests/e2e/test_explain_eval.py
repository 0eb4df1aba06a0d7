"""Measuring explanations of a run whose images have drawn opacities, folds and one bundle alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from covid_cxr import cli, explain, pipeline
from covid_cxr.cohort import schema
from covid_cxr.errors import CohortError, InputError, LeakError, UnknownName
from covid_cxr.explain import Explainer
from covid_cxr.explain.base import Model
from covid_cxr.explanation_benchmark import (
    Settings,
    default_methods,
    explain_eval,
    read_methods,
)
from covid_cxr.explanation_benchmark.cases import Case, cases, held_out_parts
from covid_cxr.explanation_benchmark.summary import summarise
from covid_cxr.metrics import Bootstrap
from covid_cxr.progress import reporting
from covid_cxr.results import Estimate
from covid_cxr.types import FloatArray

pytestmark = pytest.mark.usefixtures("graph_templates")

METHODS = "[cam, gradcam, {method: lime, superpixels: grid, fill: dark}]"


@pytest.fixture(scope="module")
def folds(tiny_folds: Path) -> Path:
    return tiny_folds


def few(methods: str = METHODS, **changes: object) -> Settings:
    chosen = Settings(
        methods=read_methods(methods),
        samples=20,
        images=6,
        faithfulness=3,
        robustness=2,
        repeatability=2,
        sanity=1,
        repeat_samples=(20, 60),
        stages=("head", "all"),
        steps=5,
        orders=2,
        n_resamples=50,
        labels=False,
    )
    return chosen.model_copy(update=changes)


@pytest.fixture(scope="module")
def measured(folds: Path, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured")
    explain_eval(pipeline.RunFolder.open(folds), phantoms, out, few(), command="covid-cxr x")
    return out


def result(out: Path) -> dict:
    return json.loads((out / "explain-eval.json").read_text())


def test_everything_is_measured_on_as_many_images_as_it_should(measured: Path) -> None:
    found = result(measured)
    assert found["held_out"] == "out of fold, 2 folds"
    assert found["explained_class"] == "covid-19"
    assert found["subsets"]["all"]["images"] == 6
    assert found["measured_on"] == {
        "agreement": 6,
        "faithfulness": 3,
        "repeatability": 2,
        "robustness": 2,
        "sanity": 1,
    }
    methods = found["subsets"]["all"]["methods"]
    assert set(methods) == {"cam", "gradcam", "lime (grid, dark)"} | {
        *("centre", "edges", "lungs", "random")
    }
    lime = methods["lime (grid, dark)"]
    assert {
        *("peak_hit", "mass_opacities", "iou", "auprc", "auprc_lungs", "peak_lungs", "mass_lungs"),
        *("gain", "gain_deletion_blur", "gain_insertion_dataset", "noise", "shift", "fidelity"),
        *("seeds_20", "seeds_60", "top5_20", "top5_60"),
        *("spearman_head", "spearman_all", "ssim_head", "ssim_all", "seconds"),
    } <= set(lime)
    assert all(score["value"] is not None for score in lime.values())
    assert lime["iou"]["images"] == 6
    assert methods["cam"]["seeds_20"]["value"] == 1  # no draw in it
    assert methods["lungs"]["mass_lungs"]["value"] == pytest.approx(1)


def test_differences_are_paired_and_a_map_gains_over_random(measured: Path) -> None:
    subset = result(measured)["subsets"]["all"]
    against = subset["differences"]["cam"]
    assert set(against) == {"centre", "edges", "lungs", "random"}
    for baseline in ("centre", "random"):
        for measure in ("iou", "auprc", "mass_opacities"):
            expected = (
                subset["methods"]["cam"][measure]["value"]
                - subset["methods"][baseline][measure]["value"]
            )
            assert against[baseline][measure]["value"] == pytest.approx(expected, abs=2e-6)
    assert against["random"]["gain"] == subset["methods"]["cam"]["gain"]


def test_the_csv_has_a_row_an_image_method_and_measure(measured: Path) -> None:
    rows = pd.read_csv(measured / "explain-eval.csv")
    assert not rows.duplicated(["file", "method", "measure"]).any()
    assert rows["file"].nunique() == 6
    assert set(rows["group"]) == {
        "agreement",
        "faithfulness",
        "robustness",
        "repeatability",
        "sanity",
    }
    assert np.isfinite(rows["value"]).all()
    cam = rows[(rows["method"] == "cam") & (rows["measure"] == "iou")]
    expected = result(measured)["subsets"]["all"]["methods"]["cam"]["iou"]["value"]
    assert cam["value"].mean() == pytest.approx(expected, abs=2e-6)


def test_the_page_names_methods_and_baselines(measured: Path) -> None:
    page = (measured / "explain-eval.md").read_text()
    assert "| `lime (grid, dark)` |" in page
    assert "| *lungs* (baseline) |" in page
    for title in ("Against radiologists", "Faithfulness", "Robustness", "Sanity"):
        assert f"## {title}" in page
    assert "Not a medical device" in page
    assert "nan" not in page.lower().replace("explanations", "")


def test_each_image_is_explained_by_the_bundle_that_has_not_seen_it(
    folds: Path, phantoms: Path
) -> None:
    _, found = held_out_parts(pipeline.RunFolder.open(folds))
    answers = {
        file: row.model
        for fold in folds.glob("folds-2/fold-*/predictions.csv")
        for file, row in pd.read_csv(fold).set_index("file").iterrows()
    }
    chosen = cases(found, phantoms, seed=0)
    assert len({case.bundle.id for case in chosen}) == 2
    assert all(answers[case.path] == case.bundle.id for case in chosen)
    called = [case.predicted == "covid-19" for case in chosen]
    assert called == sorted(called, reverse=True)  # those called COVID-19 first
    assert [case.path for case in cases(found, phantoms, seed=0)] == [c.path for c in chosen]
    assert all(case.opacities is not None and case.opacities.any() for case in chosen)
    assert {case.finding for case in chosen} == {"covid-19", "pneumonia"}


def test_a_phantoms_lungs_are_the_patients_right_and_left(folds: Path, phantoms: Path) -> None:
    _, found = held_out_parts(pipeline.RunFolder.open(folds))
    lungs = cases(found, phantoms, seed=0)[0].lungs
    assert lungs is not None
    right, left = (np.nonzero(each)[1] for each in (lungs.right, lungs.left))
    assert right.max() < left.min()
    assert min(right.size, left.size) > 0.5 * max(right.size, left.size)


class _Counting:
    """Counts how often an explainer is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._get = explain.get

    def __call__(self, name: str) -> Explainer:
        explainer = self._get(name)

        @wraps(explainer.method)
        def counted(image: FloatArray, model: Model, index: int, *settings: object) -> object:
            assert model.classes[index] == "covid-19"
            self.asked.append(name)
            return explainer.method(image, model, index, *settings)

        return replace(explainer, method=counted)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> _Counting:
    counter = _Counting()
    monkeypatch.setattr(explain, "get", counter)
    return counter


def test_a_second_call_measures_only_what_is_missing(
    folds: Path, phantoms: Path, measured: Path, tmp_path: Path, counting: _Counting
) -> None:
    out = Path(shutil.copytree(measured, tmp_path / "out"))
    folder = pipeline.RunFolder.open(folds)
    explain_eval(folder, phantoms, out, few(), command="covid-cxr x")
    assert counting.asked == []
    assert result(out) == result(measured)
    # an image whose record was lost, and a method that is new
    next((out / "images").iterdir()).unlink()
    explain_eval(
        folder, phantoms, out, few(robustness=0, repeatability=0, sanity=0), command="covid-cxr x"
    )
    assert sorted(counting.asked) == ["cam", "gradcam", "lime"]
    counting.asked.clear()
    more = few(
        "[cam, {method: occlusion-regions, superpixels: grid, regions: 9}]",
        robustness=0,
        repeatability=0,
        sanity=0,
    )
    found = explain_eval(folder, phantoms, out, more, command="covid-cxr x")
    assert set(counting.asked) == {"occlusion-regions"}
    methods = found.subsets["all"].methods
    assert "gradcam" not in methods  # known, but not requested
    assert not any("spearman" in name for name in methods["cam"])
    counting.asked.clear()
    explain_eval(folder, phantoms, out, few("[cam]", seed=1, sanity=0), command="covid-cxr x")
    assert counting.asked  # another seed is another evaluation


def test_a_stopped_evaluation_keeps_its_images(
    folds: Path, phantoms: Path, tmp_path: Path, counting: _Counting
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if (
            what == "measuring explanations" and done == 13
        ):  # in the third image of a method and four baselines each
            raise KeyboardInterrupt

    folder, chosen = (
        pipeline.RunFolder.open(folds),
        few("[cam]", robustness=0, repeatability=0, sanity=0),
    )
    with pytest.raises(KeyboardInterrupt), reporting(stop):
        explain_eval(folder, phantoms, tmp_path, chosen, command="x")
    assert len(list((tmp_path / "images").iterdir())) == 3  # the third as far as it came
    counting.asked.clear()
    explain_eval(folder, phantoms, tmp_path, chosen, command="x")
    assert len(counting.asked) == 4


def test_a_perfect_explainer_beats_every_baseline(
    folds: Path, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phantoms know their truth: a map that is it scores 1 wherever 1 can be reached."""
    from covid_cxr.explain.resampling import mask_on_grid
    from covid_cxr.inference import Predictor

    folder = pipeline.RunFolder.open(folds)
    _, found = held_out_parts(folder)
    truth = {}
    for case in cases(found, phantoms, seed=0, images=6):
        predictor = Predictor(case.bundle)
        image = predictor.prepare(predictor.read(phantoms / case.path)).image
        assert case.opacities is not None
        truth[image.tobytes()] = mask_on_grid(case.opacities, image.shape[1:])

    def perfect(image: FloatArray, model: Model, index: int) -> FloatArray:
        return truth[np.ascontiguousarray(image).tobytes()].astype(np.float32)

    monkeypatch.setattr(explain, "get", lambda name: Explainer.of("cam", perfect))
    none = few("[cam]", faithfulness=0, robustness=0, repeatability=0, sanity=0)
    result = explain_eval(folder, phantoms, tmp_path, none, command="x")
    subset = result.subsets["all"]
    for measure in ("mass_opacities", "iou", "auprc", "auprc_lungs", "peak_hit"):
        assert subset.methods["cam"][measure].value == 1, measure
    assert {"mass_opacities", "iou", "auprc", "auprc_lungs"} <= set(
        subset.beats_all_baselines["cam"]
    )


def test_a_finished_run_is_measured_on_its_test_images_and_that_is_recorded(
    tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    folder = pipeline.RunFolder.open(run)
    before = len(folder.metrics().test_evaluations)
    none = few("[cam]", faithfulness=0, robustness=0, repeatability=0, sanity=0)
    found = explain_eval(folder, phantoms, tmp_path / "out", none, command="x")
    assert found.held_out == "test split"
    cohort = schema.load(run / "cohort.csv").set_index("path")
    rows = pd.read_csv(tmp_path / "out" / "explain-eval.csv")
    assert set(rows["file"].map(cohort["split"])) == {"test"}
    evaluations = folder.metrics().test_evaluations
    assert len(evaluations) == before + 1
    assert evaluations[-1].purpose == "explain-eval"


def test_a_bundle_that_may_have_seen_the_images_is_rejected(folds: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(folds, tmp_path / "run"))
    first, second = (run / f"folds-2/fold-{number}/bundle" for number in (1, 2))
    first.rename(tmp_path / "kept")
    second.rename(first)
    (tmp_path / "kept").rename(second)  # exchanged: each has seen what the other has not
    with pytest.raises(LeakError, match="may have seen the images"):
        held_out_parts(pipeline.RunFolder.open(run))


def test_what_is_missing_is_named(
    folds: Path, tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(folds, tmp_path / "run"))
    with pytest.raises(CohortError, match="no image has drawn opacities below"):
        explain_eval(pipeline.RunFolder.open(run), tmp_path, tmp_path / "o", few(), command="x")
    shutil.rmtree(run / "folds-2/fold-2/bundle")
    with pytest.raises(InputError, match="fold-2' holds no bundle"):
        held_out_parts(pipeline.RunFolder.open(run))
    (run / "folds-2/fold-2/predictions.csv").unlink()
    with pytest.raises(InputError, match="fold-2' is not finished"):
        held_out_parts(pipeline.RunFolder.open(run))
    plain = Path(shutil.copytree(tiny_run, tmp_path / "plain"))
    (plain / "predictions-test.csv").unlink()
    with pytest.raises(InputError, match="neither folds nor test predictions"):
        held_out_parts(pipeline.RunFolder.open(plain))


def test_masks_of_radiologists_are_found(folds: Path, phantoms: Path, tmp_path: Path) -> None:
    """The same phantoms in the folders of the real masks."""
    from PIL import Image

    data = tmp_path / "data"
    shutil.copytree(phantoms / "images", data / "images")
    _, found = held_out_parts(pipeline.RunFolder.open(folds))
    expected = cases(found, phantoms, seed=0, images=4)
    for case in expected:
        synthetic = data / "annotations/radiologist-masks" / Path(case.path).stem
        synthetic.mkdir(parents=True)
        lungs = case.lungs
        assert lungs is not None
        assert case.opacities is not None
        for name, mask in (
            ("ground-glass-opacities", case.opacities),
            ("right-lung", lungs.right),
            ("left-lung", lungs.left),
        ):
            Image.fromarray(mask).save(synthetic / f"{name}.png")
    # one image without any opacity
    empty = data / "annotations/radiologist-masks" / "none"
    empty.mkdir()
    real = {case.path: case for case in cases(found, data, seed=0)}
    assert set(real) == {case.path for case in expected}

    def same(first: Case, second: Case) -> bool:
        assert first.lungs is not None
        assert second.lungs is not None
        return np.array_equal(first.lungs.left, second.lungs.left) and np.array_equal(
            first.opacities,
            second.opacities,  # type: ignore[arg-type]
        )

    assert all(same(case, real[case.path]) for case in expected)


def test_label_randomisation(
    folds: Path,
    phantoms: Path,
    tmp_path: Path,
    counting: _Counting,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from covid_cxr.explanation_benchmark import label_randomisation

    for name, value in {"_EDGE": 64, "_IMAGES": 8, "_EPOCHS": 2, "_EXPLAINED": 3}.items():
        monkeypatch.setattr(label_randomisation, name, value)
    folder = pipeline.RunFolder.open(folds)
    rows = label_randomisation.sample(folder.cohort(), seed=0)
    assert (rows["finding"] == "covid-19").tolist() == [True] * 4 + [False] * 4
    assert set(rows["split"]) <= {"train", "val"}
    chosen = few(
        "[cam, {method: lime, superpixels: grid}]",
        images=1,
        faithfulness=0,
        robustness=0,
        repeatability=0,
        sanity=0,
        labels=True,
    )
    found = explain_eval(folder, phantoms, tmp_path, chosen, command="x").label_randomisation
    assert found is not None
    assert found.images == 3
    assert set(found.accuracy) == {"true", "permuted"}
    assert set(found.methods) == {"cam", "lime (grid)"}
    spearman = found.methods["cam"]["spearman"].value
    assert spearman is not None
    assert -1 <= spearman < 0.999  # not the same network
    assert "memorised the true labels" in (tmp_path / "explain-eval.md").read_text()
    assert {path.name for path in (tmp_path / "labels/seed-0").iterdir()} == {"true", "permuted"}
    assert not list(tmp_path.rglob("*.npy"))
    counting.asked.clear()
    again = explain_eval(folder, phantoms, tmp_path, chosen, command="x")
    assert again.label_randomisation == found
    assert counting.asked == []


def test_methods_are_a_yaml_list_of_names_and_options(tmp_path: Path) -> None:
    text = """
- cam
- {method: lime, superpixels: lungs, fill: blur, samples: 300}
- gradcam++
- lime
- {method: lime, regions: 9, stopping_reliability: 0.9}
"""
    methods = read_methods(text)
    assert [method.name for method in methods] == [
        "cam",
        "lime (lungs, blur, samples=300)",
        "gradcam++",
        "lime",
        "lime (regions=9, stopping_reliability=0.9)",
    ]
    options = methods[1].settings(samples=1000, seed=3)
    assert (options.superpixels, options.fill, options.samples) == ("lungs", "blur", 300)
    assert options.seed == 3
    assert methods[3].settings(samples=1000, seed=0).samples == 1000
    assert methods[4].settings(samples=1000, seed=0).stopping_reliability == 0.9
    (tmp_path / "methods.yaml").write_text(text)
    assert read_methods(str(tmp_path / "methods.yaml")) == methods


def test_the_default_compares_every_explainer() -> None:
    methods = default_methods()
    assert {method.method for method in methods} == set(explain.EXPLAINERS)
    names = [method.name for method in methods]
    assert len(names) == len(explain.EXPLAINERS) + 2
    assert {"lime", "lime (lungs, dark)", "lime (lungs, blur)"} <= set(names)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[lim]", UnknownName, "unknown explainer 'lim': did you mean 'lime'"),
        (
            "[{method: lime, sampels: 30}]",
            UnknownName,
            "unknown setting of lime 'sampels': did you mean 'samples'",
        ),
        (
            "[{method: lime, superpixels: lung}]",
            InputError,
            "superpixels of lime is 'lung', expected .*'lungs'",
        ),
        ("[{method: lime, seed: 3}]", InputError, "'seed' of .* is the same for all methods"),
        (
            "[{method: lime, samples: many}]",
            InputError,
            "samples of lime is 'many', expected a valid integer",
        ),
        ("[{method: lime, samples: 3}]", InputError, "samples of lime is 3, expected greater than"),
        ("[{samples: 30}]", InputError, "method of .* Field required"),
        ("[3]", InputError, "expected a YAML list"),
        ("[cam, cam]", InputError, "'cam' is named twice"),
        (
            "[{method: lime, regions: 9, fill: dark}, {method: lime, fill: dark, regions: 9}]",
            *(InputError, "'lime .regions=9, dark.' is named twice"),
        ),
        ("[]", InputError, "no method is named"),
        ("cam", InputError, "no method is named in 'cam'; expected a YAML list"),
        ("[cam", InputError, "are not YAML"),
        ("missing.yaml", InputError, "'missing.yaml' cannot be read"),
    ],
)
def test_what_is_no_list_of_methods_is_rejected(
    text: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_methods(text)


def test_a_full_budget_measures_no_less_than_a_quick_one() -> None:
    methods = read_methods("[cam]")
    quick, full = Settings.of("quick", methods), Settings.of("full", methods)
    for name in (*("samples", "faithfulness", "robustness", "repeatability", "sanity", "orders"),):
        assert getattr(quick, name) <= getattr(full, name)
    assert Settings.of("quick", methods, samples=77).samples == 77


def test_a_method_that_is_always_better_beats_the_baselines() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for image in range(30):
        base = rng.random()
        scores = {"better": base + 0.1 + 0.01 * rng.random(), "same": base + 0.1 * (-1) ** image}
        scores |= dict.fromkeys(("centre", "lungs", "edges", "random"), base)
        rows += [
            (str(image), str(image), "covid-19", "covid-19", "b", name, "agreement", "iou", value)
            for name, value in scores.items()
        ]
    columns = ["file", "patient", "finding", "predicted", "bundle", "method", "group", "measure"]
    table = pd.DataFrame(rows, columns=[*columns, "value"])
    subset = summarise(table, bootstrap=Bootstrap(500))["covid-19 called covid-19"]
    assert subset.images == 30
    assert subset.beats_all_baselines == {"better": ("iou",), "same": ()}
    # paired: the interval of the difference is far narrower than that of the mean itself
    difference = subset.differences["better"]["lungs"]["iou"]
    assert width(difference) < 0.1 * width(subset.methods["better"]["iou"])


def width(score: Estimate) -> float:
    assert score.low is not None
    assert score.high is not None
    return score.high - score.low


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.run([str(each) for each in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command(
    folds: Path, measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "explain-eval",
        folds,
        "--methods",
        "[cam, {method: lime, superpixels: grid, samples: 20}]",
        "--images",
        "1",
    ]
    status, out, err = run(capsys, *words, "--out", tmp_path, "--samples", "20", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["subsets"]["all"]["images"] == 1
    assert found == result(tmp_path)
    listed = "[{method: cam}, {method: lime, superpixels: grid, samples: 20}]"
    assert f"--methods '{listed}'" in found["command"]
    assert read_methods(listed)[1].name in found["methods"]
    status, out, err = run(capsys, *words, "--out", tmp_path, "--samples", "20")
    assert (status, err) == (0, "")
    assert "lime (grid," in out  # the rest on a line of its own
    assert "Not a medical device" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "[lim]"], "did you mean 'lime'"),
        (["--methods", "[cam]", "--data", "EMPTY"], "no image has drawn opacities"),
        (["--budget", "huge"], "'huge' is not one of"),
    ],
)
def test_the_commands_errors_are_one_line(
    folds: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    given = [str(tmp_path) if each == "EMPTY" else each for each in words]
    status, _, err = run(capsys, "explain-eval", folds, *given, "--out", tmp_path / "o")
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_the_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "explain-eval", "--help")
    assert status == 0
    assert "covid-cxr explain-eval runs/oof" in " ".join(out.split())
