"""Batches: one row for everything that lies in a folder, never a stopped batch."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import covid_cxr
from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain import Options
from covid_cxr.inference.batch import expand, picture_stem, predict_to
from covid_cxr.inference.explaining import How
from covid_cxr.inference.predictor import Predictor, predicted_class


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return covid_cxr.load(tiny_run / "bundle", threads=1)


@pytest.fixture
def mess(phantoms: Path, tmp_path: Path) -> Path:
    """A folder such as people have."""
    folder = tmp_path / "in"
    (folder / "sub" / ".hidden").mkdir(parents=True)
    film = next((phantoms / "images").glob("*.png")).read_bytes()
    (folder / "film.png").write_bytes(film)
    (folder / "sub" / "film.png").write_bytes(film)
    (folder / "sub" / ".hidden" / ".film.png").write_bytes(film)
    (folder / 'odd, "name"\n.png').write_bytes(film)
    (folder / "=2+3.png").write_bytes(film)
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
    predictions = predict_to(tmp_path / "out", model, [mess])
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
    predict_to(out, model, [mess], how=How("lime", Options(samples=20)))
    for row in rows_of(out):
        if row["status"] == "ok":
            assert (out / row["explanation"]).read_bytes().startswith(b"\x89PNG")
            assert (out / row["explanation"]).with_suffix(".json").exists()
        else:
            assert row["explanation"] == ""


def test_the_same_seed_gives_the_same_bytes(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    film = sorted((phantoms / "images").iterdir())[0]
    for name in ("one", "two"):
        options = Options(samples=30, seed=5)
        predict_to(tmp_path / name, model, [film], how=How("lime", options))
    stem = picture_stem(str(film))
    for suffix in (".png", ".json"):
        one, two = (
            (tmp_path / name / "explanations" / f"{stem}{suffix}").read_bytes()
            for name in ("one", "two")
        )
        assert one == two


def test_an_existing_csv_is_replaced_and_the_order_is_the_arguments(
    model: Predictor, phantoms: Path, tmp_path: Path
) -> None:
    films = sorted((phantoms / "images").iterdir())[:3]
    predict_to(tmp_path, model, films[:1])
    predict_to(tmp_path, model, [films[2], films[1], tmp_path / "missing.png"])
    rows = rows_of(tmp_path)
    assert [row["file"] for row in rows] == [
        str(films[2]),
        str(films[1]),
        f"{tmp_path}/missing.png",
    ]
    assert "does not exist" in rows[2]["message"]


def test_a_batch_answers_as_one_by_one(model: Predictor, phantoms: Path, tmp_path: Path) -> None:
    films = sorted((phantoms / "images").iterdir())[:20]
    together = predict_to(tmp_path, model, films)
    for film, prediction in zip(films, together, strict=True):
        alone = model.predict(film).prediction
        for name in model.classes:
            assert alone.probabilities[name] == pytest.approx(
                prediction.probabilities[name], abs=1e-5
            )


def test_out_inside_the_input_is_left_out(model: Predictor, mess: Path) -> None:
    for _ in range(2):
        options = Options(samples=20)
        predictions = predict_to(mess / "out", model, [mess], how=How("lime", options))
        assert len(predictions) == 12


def test_out_that_is_a_file_is_found_before_any_film(model: Predictor, mess: Path) -> None:
    with pytest.raises(InputError, match="is a file; name a folder"):
        predict_to(mess / "film.png", model, [mess])


def test_a_method_that_cannot_explain_this_model_leaves_a_flag(
    model: Predictor, mess: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.runtime, "cam", lambda image: None)
    predict_to(tmp_path, model, [mess], how=How("cam"))
    ok = [row for row in rows_of(tmp_path) if row["status"] == "ok"]
    assert len(ok) == 5
    assert all("no explanation:" in row["flags"] for row in ok)
    assert all(row["explanation"] == "" for row in ok)


def test_an_unknown_method_is_found_before_any_file(model: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'lime'"):
        predict_to(tmp_path / "out", model, ["nothing.png"], how=How("lim"))
    assert not (tmp_path / "out").exists()


def test_pictures_of_one_name_in_two_folders_are_two() -> None:
    assert picture_stem("a/film.png") != picture_stem("b/film.png")
    assert picture_stem("../../etc/passwd").startswith("passwd-")
    assert picture_stem("\n.png").startswith("film-")


def test_expand_keeps_what_does_not_exist() -> None:
    assert expand(["/no/such/file.png"])[0].file == "/no/such/file.png"


def test_covid_is_called_from_its_threshold_on() -> None:
    p = {"normal": 0.6, "pneumonia": 0.1, "covid-19": 0.3}
    assert predicted_class(p, 0.3) == "covid-19"
    assert predicted_class(p, 0.31) == "normal"
