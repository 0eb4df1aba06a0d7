"""Batches: one row for everything that lies in a folder, never a stopped batch."""

import copy
import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import covid_cxr
from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain import RegionSettings
from covid_cxr.explain.methods.lime import LimeSettings
from covid_cxr.explain.rendering.zones import ZONES
from covid_cxr.inference.answers import BATCH
from covid_cxr.inference.batch import predict_to
from covid_cxr.inference.entries import expand
from covid_cxr.inference.explaining import ExplainSettings, picture_stem
from covid_cxr.inference.input_check import Limits
from covid_cxr.inference.predictor import Predictor, predicted_class
from covid_cxr.progress import reporting
from support.predictions import predicted


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return covid_cxr.load(tiny_run / "bundle", threads=1)


@pytest.fixture
def mess(phantoms: Path, tmp_path: Path) -> Path:
    """A folder such as people have."""
    folder = tmp_path / "in"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    radiograph = next((phantoms / "images").glob("*.png")).read_bytes()
    (folder / "film.png").write_bytes(radiograph)
    (folder / "sub" / "film.png").write_bytes(radiograph)
    (folder / "sub" / ".hidden" / ".film.png").write_bytes(radiograph)
    (folder / 'odd, "name"\n.png').write_bytes(radiograph)
    (folder / "=2+3.png").write_bytes(radiograph)
    (folder / "text.txt").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "link.png").symlink_to("nowhere")
    (folder / "folder-link").symlink_to(folder / "sub", target_is_directory=True)
    os.mkfifo(folder / "pipe.png")
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(folder / "blank.png")
    os.close(os.open(os.fsencode(folder) + b"/\xff.png", os.O_CREAT))
    return folder


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_entry_has_one_row(model: Predictor, mess: Path, tmp_path: Path) -> None:
    predictions = predicted(tmp_path / "out", model, [mess])
    rows = rows_of(tmp_path / "out")
    assert len(rows) == len(predictions) == 12
    status = {row["file"].removeprefix(f"{mess}/"): row["status"] for row in rows}
    assert status == {
        "film.png": "ok",
        "sub/film.png": "ok",
        "sub/.hidden/.film.png": "ok",
        'odd, "name"\n.png': "ok",
        "=2+3.png": "ok",
        "text.txt": "error",
        "empty.png": "error",
        "link.png": "error",
        "folder-link": "error",
        "pipe.png": "error",
        "blank.png": "abstained",
        "\\xff.png": "error",
    }
    assert [row["file"] for row in rows] == [each.file for each in predictions]


def test_rows_keep_the_contract(model: Predictor, mess: Path, tmp_path: Path) -> None:
    predict_to(tmp_path / "out", model, [mess])
    rows = rows_of(tmp_path / "out")
    assert list(rows[0]) == [
        *("file", "status", "message", "predicted_class"),
        *("probability_non-covid-19", "probability_covid-19"),
        *("threshold", "flags", "explanation", "explanation_fidelity", "model", "seconds"),
    ]
    for row in rows:
        p = [row["probability_non-covid-19"], row["probability_covid-19"]]
        if row["status"] == "ok":
            assert sum(map(float, p)) == pytest.approx(1, abs=1e-5)
            assert row["message"] == ""
        else:
            assert p == ["", ""]
            assert row["predicted_class"] == ""
        assert (row["status"] == "error") == bool(row["message"])
        assert "\n" not in row["message"]
    blank = next(row for row in rows if row["status"] == "abstained")
    assert blank["flags"] == "blank image"


def test_explanations_are_drawn_for_ok_rows(model: Predictor, mess: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict_to(out, model, [mess], settings=ExplainSettings("lime", LimeSettings(samples=20)))
    for row in rows_of(out):
        if row["status"] == "ok":
            assert (out / row["explanation"]).read_bytes().startswith(b"\x89PNG")
            assert (out / row["explanation"]).with_suffix(".json").exists()
        else:
            assert row["explanation"] == ""


def test_the_same_seed_gives_the_same_bytes(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    radiograph = sorted((phantoms / "images").iterdir())[0]
    for name in ("one", "two"):
        options = LimeSettings(samples=30, seed=5)
        predict_to(tmp_path / name, model, [radiograph], settings=ExplainSettings("lime", options))
    stem = picture_stem(str(radiograph))
    for suffix in (".png", ".json"):
        one, two = (
            (tmp_path / name / "explanations" / f"{stem}{suffix}").read_bytes()
            for name in ("one", "two")
        )
        assert one == two


def test_an_existing_csv_is_replaced_and_the_order_is_the_arguments(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    radiographs = sorted((phantoms / "images").iterdir())[:3]
    predict_to(tmp_path, model, radiographs[:1])
    predict_to(tmp_path, model, [radiographs[2], radiographs[1], tmp_path / "missing.png"])
    rows = rows_of(tmp_path)
    assert [row["file"] for row in rows] == [
        str(radiographs[2]),
        str(radiographs[1]),
        f"{tmp_path}/missing.png",
    ]
    assert "does not exist" in rows[2]["message"]


def test_a_batch_answers_as_one_by_one(model: Predictor, phantoms: Path, tmp_path: Path) -> None:
    radiographs = sorted((phantoms / "images").iterdir())[:20]
    together = predicted(tmp_path, model, radiographs)
    for radiograph, prediction in zip(radiographs, together, strict=True):
        alone = model.predict(radiograph).prediction
        for name in model.classes:
            assert alone.probabilities[name] == pytest.approx(
                prediction.probabilities[name], abs=1e-5
            )


def test_out_inside_the_input_is_left_out(model: Predictor, mess: Path) -> None:
    for _ in range(2):
        options = LimeSettings(samples=20)
        predictions = predicted(
            mess / "out", model, [mess], settings=ExplainSettings("lime", options)
        )
        assert len(predictions) == 12


def test_out_that_is_a_file_is_found_before_any_image(model: Predictor, mess: Path) -> None:
    with pytest.raises(InputError, match="is a file; name a folder"):
        predict_to(mess / "film.png", model, [mess])


def test_a_method_that_cannot_explain_this_model_leaves_a_flag(
    model: Predictor, mess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.runtime, "cam", lambda image: None)
    predict_to(tmp_path, model, [mess], settings=ExplainSettings("cam"))
    ok = [row for row in rows_of(tmp_path) if row["status"] == "ok"]
    assert len(ok) == 5
    assert all("no explanation:" in row["flags"] for row in ok)
    assert all(row["explanation"] == "" for row in ok)


def test_an_unknown_method_is_found_before_any_file(model: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'lime'"):
        predict_to(tmp_path / "out", model, ["nothing.png"], settings=ExplainSettings("lim"))
    assert not (tmp_path / "out").exists()


def test_pictures_of_one_name_in_two_folders_are_two() -> None:
    assert picture_stem("a/film.png") != picture_stem("b/film.png")
    assert picture_stem("../../etc/passwd").startswith("passwd-")
    assert picture_stem("\n.png").startswith("image-")


def test_expand_keeps_what_does_not_exist() -> None:
    assert next(expand(["/no/such/file.png"])).file == "/no/such/file.png"


def test_covid_is_called_from_its_threshold_on() -> None:
    p = {"normal": 0.6, "pneumonia": 0.1, "covid-19": 0.3}
    assert predicted_class(p, 0.3) == "covid-19"
    assert predicted_class(p, 0.31) == "normal"


def test_a_map_of_low_fidelity_is_not_drawn_and_the_row_says_so(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    radiograph = sorted((phantoms / "images").iterdir())[0]
    settings = ExplainSettings("lime", LimeSettings(samples=40), least_fidelity=1.01)
    (row,) = predicted(tmp_path, model, [radiograph], settings=settings)
    assert row.status == "ok"
    reason = "of lime is below 1.01: class activation map drawn instead"
    assert any(flag.startswith("fidelity ") and flag.endswith(reason) for flag in row.flags)
    assert row.explanation_fidelity is None
    synthetic = (tmp_path / row.explanation).with_suffix(".json")
    assert json.loads(synthetic.read_text("utf-8"))["method"] == "cam"
    manifest = model.bundle.manifest.model_copy(update={"has_cam": False})
    other = copy.copy(model)
    other.runtime = copy.copy(model.runtime)
    other.runtime.bundle = replace(model.bundle, manifest=manifest)
    (row,) = predicted(tmp_path / "other", other, [radiograph], settings=settings)
    assert row.explanation == ""
    assert any("no explanation: fidelity" in flag for flag in row.flags)
    assert not (tmp_path / "other" / "explanations").exists()
    settings = replace(settings, method="occlusion-regions")  # has no fidelity to be judged by
    (row,) = predicted(tmp_path, model, [radiograph], settings=settings)
    assert (tmp_path / row.explanation).is_file()


def test_one_radiograph_falls_back_on_the_class_map_as_a_batch_does(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    path = sorted((phantoms / "images").iterdir())[0]
    settings = ExplainSettings("lime", LimeSettings(samples=40), least_fidelity=1.01)
    (row,) = predicted(tmp_path, model, [path], settings=settings)
    reading = model.predict(path, settings)
    assert reading.explanation.method == "cam"
    assert reading.prediction.flags == row.flags


def test_a_method_that_cannot_explain_leaves_a_flag_on_one_radiograph_too(
    model: Predictor, phantoms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.runtime, "cam", lambda image: None)
    reading = model.explain(sorted((phantoms / "images").iterdir())[0], "cam")
    assert reading.explanation is None
    assert any(flag.startswith("no explanation:") for flag in reading.prediction.flags)


def test_the_json_holds_zones_similar_cases_and_counterfactual(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    radiograph = sorted((phantoms / "images").iterdir())[0]
    settings = ExplainSettings(
        "occlusion-regions", RegionSettings(superpixels="grid", regions=9), counterfactual=True
    )
    (row,) = predicted(tmp_path, model, [radiograph], settings=settings)
    details = json.loads((tmp_path / row.explanation).with_suffix(".json").read_text("utf-8"))
    assert len(details["similar_cases"]) == 3
    assert details["similar_cases"][0]["image_id"].startswith("phantoms:")
    assert details["counterfactual"]["before"] == pytest.approx(
        row.probabilities[row.predicted_class]
    )
    assert set(details["counterfactual"]["regions"]) <= set(range(9))
    assert details["sentence"].endswith("fidelity not defined.")
    assert set(details["zones"]) == set(ZONES)


def test_an_answered_picture_without_lungs_is_flagged(
    model: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = model.preparer.segmenter
    check = segmenter.manifest.input_check
    anything = Limits(least_log_odds=-1e9, farthest_distance=1e9)
    passing = check.model_copy(update={"lungs_not_found": anything})
    manifest = segmenter.manifest.model_copy(update={"input_check": passing})
    monkeypatch.setattr(segmenter, "manifest", manifest)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    settings = ExplainSettings("cam")
    (row,) = predicted(tmp_path / "out", model, [tmp_path / "noise.png"], settings=settings)
    assert "lungs not found" in row.flags
    details = json.loads(
        (tmp_path / "out" / row.explanation).with_suffix(".json").read_text("utf-8")
    )
    assert details["sentence"] is None
    assert "lungs not found" in details["flags"]
    reading = model.explain(tmp_path / "noise.png", "cam")
    assert reading.prediction.flags == row.flags


def test_montages_show_every_entry(model: Predictor, mess: Path, tmp_path: Path) -> None:
    rows = predicted(tmp_path / "out", model, [mess], settings=ExplainSettings("cam", montage=True))
    (montage,) = (tmp_path / "out" / "explanations").glob("montage-*.png")
    with Image.open(montage) as page:
        assert page.size[0] > 1000
    again = predicted(
        tmp_path / "out", model, [mess, tmp_path / "out"], settings=ExplainSettings("cam")
    )
    assert len(again) == len(rows)  # neither montages nor pictures are taken for films


def test_similar_cases_are_drawn(model: Predictor, phantoms: Path, tmp_path: Path) -> None:
    radiographs = sorted((phantoms / "images").iterdir())
    asked = []
    settings = ExplainSettings(
        "cam", load_image=lambda image_id: asked.append(image_id) or model.read(radiographs[1])
    )
    (row,) = predicted(tmp_path, model, radiographs[:1], settings=settings)
    stem = picture_stem(str(radiographs[0]))
    assert (tmp_path / "explanations" / f"{stem}-similar-cases.png").is_file()
    assert len(asked) == 3
    assert row.status == "ok"


def test_two_at_a_time_is_one_by_one(model: Predictor, phantoms: Path, tmp_path: Path) -> None:
    radiographs = sorted((phantoms / "images").iterdir())[:6]
    settings = ExplainSettings("lime", LimeSettings(samples=30))
    predict_to(tmp_path / "all", model, radiographs, settings=settings)
    for radiograph in radiographs:
        predict_to(tmp_path / radiograph.stem, model, [radiograph], settings=settings)
        name = f"{picture_stem(str(radiograph))}.json"
        one, many = (
            json.loads((tmp_path / folder / "explanations" / name).read_text("utf-8"))
            for folder in (radiograph.stem, "all")
        )
        weights = [[region["weight"] for region in each["regions"]] for each in (one, many)]
        assert weights[0] == pytest.approx(weights[1], abs=1e-6)


def test_batches_begun_ahead_answer_as_images_alone_do(
    phantoms: Path, tiny_run: Path, tmp_path: Path
) -> None:
    several = covid_cxr.load(tiny_run / "bundle", threads=2)
    radiographs = sorted((phantoms / "images").glob("*.png"))[: 3 * BATCH]
    radiographs.insert(BATCH + 1, tmp_path / "missing.png")
    reports: list[tuple[str, int, int]] = []
    with reporting(lambda *step: reports.append(step)):
        found = predicted(tmp_path / "out", several, radiographs)
    assert [each.file for each in found] == [str(radiograph) for radiograph in radiographs]
    assert [each.status for each in found].index("error") == BATCH + 1
    assert reports == [
        ("predicting", done, len(radiographs)) for done in range(1, len(radiographs) + 1)
    ]
    for radiograph, each in zip(radiographs, found, strict=True):
        if each.status != "error":
            alone = several.predict(radiograph).prediction
            assert each.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
            assert each.flags == alone.flags


def test_what_goes_wrong_in_a_batch_is_raised(
    model: Predictor, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(images: np.ndarray) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(model.runtime, "run", broken)
    with pytest.raises(RuntimeError, match="out of order"):
        predict_to(tmp_path / "out", model, [phantoms / "images"])
    assert not (tmp_path / "out" / "predictions.csv").exists()
