"""The command line of `predict` and `explain`: what it takes, and what it says of the rest."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from pydantic import Field

from covid_cxr import cli, explain
from covid_cxr.cli.main import app
from covid_cxr.imaging.dicom.reading import FOR_PROCESSING
from covid_cxr.phantoms import draw
from support.dicom_objects import dataset_of, encode


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = cli.run([str(word) for word in words])
    return status, capsys.readouterr().err


def floats_of(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that takes a number with a fraction, and that option."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from floats_of(command, (*path, name))
            continue
        for option in command.params:
            if "float" in str(option.type_descriptor.annotation):
                yield (*path, name, option.opts[0])


FLOATS = sorted(floats_of(typer.main.get_command(app)))


def test_there_are_numbers_to_try() -> None:
    assert ("predict", "--min-fidelity") in FLOATS and ("predict", "--opacity") in FLOATS


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN"])
@pytest.mark.parametrize("words", FLOATS, ids=" ".join)
def test_no_number_is_nan_or_infinite(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    value: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").touch()
    required = {
        "predict": ["x.png", "--out", "o"],
        "explain": ["x.png", "--out", "o"],
        "validate": ["x.zip", "--cohort", "c.csv", "--out", "o"],
        "evaluate": ["x"],
        "search": ["x.yaml", "--cohort", "c.csv"],
    }[words[0]]
    status, said = run(capsys, words[0], *required, words[-1], value)
    assert status == 2
    assert words[-1] in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "", "--out", "o"),
        ("predict", "x.png", "--out", ""),
        ("predict", "x.png", "--out="),
        ("predict", "x.png", "--out", "o", "--model", ""),
        ("cohort", "build", "--data", "", "--out", "o"),
        ("models", ""),
    ],
)
def test_an_empty_argument_is_not_the_working_folder(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = run(capsys, *words)
    assert status == 2
    assert "is empty, expected a value; is a variable unset?" in said
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_replaces_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("of yesterday")
    status, said = run(capsys, "predict", tmp_path / "in", "--out", tmp_path / "out")
    assert status == 2
    assert f"no file to predict in '{tmp_path / 'in'}'" in said
    assert (tmp_path / "out" / "predictions.csv").read_text() == "of yesterday"


def test_a_name_that_is_too_long_is_a_row(
    capsys: pytest.CaptureFixture[str], phantoms: Path, tmp_path: Path
) -> None:
    radiograph = min((phantoms / "images").glob("*.png"))
    status, _ = run(capsys, "predict", "x" * 300, radiograph, "--out", tmp_path, "-q")
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert status == 4
    assert [row["status"] == "error" for row in rows] == [True, False]
    assert "File name too long" in rows[0]["message"]


@pytest.mark.parametrize(
    ("option", "value", "bound"),
    [
        ("--set", f"regions={10**5}", "regions of lime is 100000, expected less than or equal to"),
        ("--set", f"samples={10**9}", "samples of lime is 1000000000, expected less than or equal"),
        ("--set", f"batch_size={10**9}", "batch_size of lime is 1000000000, expected less than"),
        ("--threads", 10**9, "1024"),
        ("--set", f"seed={2**32}", "seed of lime is 4294967296, expected less than"),
        ("--set", "stopping_reliability=.nan", "stopping_reliability of lime is nan, expected"),
    ],
)
def test_what_could_take_all_memory_is_bounded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, value: object, bound: str
) -> None:
    status, said = run(capsys, "explain", "x.png", "--out", tmp_path, option, value)
    assert status == 2
    assert bound in said


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "integrated-gradients"])
def test_a_method_that_the_bundle_cannot_serve_is_an_error_before_any_work(
    capsys: pytest.CaptureFixture[str], phantoms: Path, tmp_path: Path, method: str
) -> None:
    words = ("explain", phantoms / "images", "--method", method, "--out", tmp_path / "out")
    status, said = run(capsys, *words)
    assert status == 2
    assert f"'{method}' needs weights (weights.safetensors), which bundle" in said
    assert "it can be explained by lime, occlusion, occlusion-regions, agreement, cam" in said
    assert not (tmp_path / "out").exists()


def test_both_commands_have_the_same_options() -> None:
    commands = typer.main.get_command(app).commands
    predict, explain = (
        {option.name: option for option in commands[name].params} for name in ("predict", "explain")
    )
    assert list(predict) == list(explain)
    for name, option in predict.items():
        other = explain[name]
        assert (option.opts, option.help) == (other.opts, other.help)
        assert option.type_descriptor.annotation == other.type_descriptor.annotation
        if name != "method":
            assert option.default == other.default
    assert (predict["method"].default, explain["method"].default) == (None, "lime")


@pytest.mark.parametrize(
    ("encoding", "as_json"), [("cp437", False), ("cp437", True), ("ascii", False)]
)
def test_an_output_that_lacks_letters_ends_nothing(
    tmp_path: Path, encoding: str, as_json: bool
) -> None:
    name = "肺-😀-Größe.png"
    (tmp_path / name).write_text("no image")
    words = ["predict", name, "--out", "肺", *(["--json"] if as_json else [])]
    script = f"import sys\nsys.argv[1:] = {words!r}\nfrom covid_cxr.cli import main\nmain()"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert done.stderr == b""
    assert (tmp_path / "肺" / "predictions.csv").exists()
    if as_json:
        assert json.loads(done.stdout.decode(encoding))[0]["file"] == name
    else:
        assert b"\\u80ba-\\U0001f600-Gr" in done.stdout


@pytest.mark.parametrize(("name", "kind"), [("dl", "folder"), ("DLFCN", "folder"), ("dl", "file")])
def test_the_working_folder_may_hold_what_a_decoder_looks_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    if kind == "folder":
        (tmp_path / name / "images").mkdir(parents=True)
    else:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    script = (
        "import covid_cxr, sys\ncovid_cxr.load(threads=1)\nimport covid_cxr.imaging.read, gdcm\n"
        f"assert {name!r} not in sys.modules\n"
        f"import {name}\n"  # is still found by whoever wants it
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    if kind == "file":
        assert done.stderr == "imported\n"
    else:
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("choice", "status"), [("assess", "ok"), ("abstain", "abstained")])
def test_images_for_processing_are_assessed_or_not(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tmp_path: Path, choice: str, status: str
) -> None:
    pixels = np.uint16(np.round(4095 * draw("normal", 3, size=256).pixels))
    for name, intent in (("raw", "FOR PROCESSING"), ("shown", "FOR PRESENTATION")):
        image = dataset_of(pixels, BitsStored=12, PresentationIntentType=intent)
        (tmp_path / f"{name}.dcm").write_bytes(encode(image, enforce_file_format=True))
    words = ("predict", tmp_path / "raw.dcm", tmp_path / "shown.dcm", "--out", tmp_path, "-q")
    model = ("--model", tiny_run / "bundle", "--for-processing", choice)
    assert run(capsys, *words, *model) == (0, "")
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        raw, other = csv.DictReader(stream)
    assert (raw["status"], other["status"]) == (status, "ok")
    assert FOR_PROCESSING in raw["flags"] and FOR_PROCESSING not in other["flags"]
    assert ("not assessed" in raw["flags"]) == (choice == "abstain")
    assert (raw["probability_covid-19"] == "") == (choice == "abstain")


def test_the_help_lists_what_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for command in ("predict", "explain"):
        assert cli.run([command, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert all(name in said for name in explain.names())
        assert f"covid-cxr {command} radiograph.png --out out" in said


class OwnSettings(explain.Settings):
    holes: int = Field(3, ge=1, le=9, description="how many holes")


def own(image: np.ndarray, model: object, index: int, settings: OwnSettings) -> np.ndarray:
    return np.full(image.shape[1:], settings.holes, dtype=np.float32)


def test_the_settings_of_a_plugin_are_set_and_listed(
    capsys: pytest.CaptureFixture[str],
    tiny_run: Path,
    phantoms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(explain.EXPLAINERS, "own", f"{__name__}:own")
    assert cli.run(["predict", "--list-methods"]) == 0
    said = capsys.readouterr().out
    assert "own\n  seed=0  random seed; at least 0, below 4294967296\n" in said
    assert "  holes=3  how many holes; at least 1, at most 9\n" in said
    assert "superpixels=lungs  how regions are cut; quickshift | slic | lungs | grid\n" in said
    radiograph = min((phantoms / "images").glob("*.png"))
    words = ["predict", radiograph, "--method", "own", "--model", tiny_run / "bundle"]
    assert run(capsys, *words, "--set", "holes=7", "--out", tmp_path) == (0, "")
    (record,) = (tmp_path / "explanations").glob("*.json")
    assert json.loads(record.read_text("utf-8"))["parameters"]["holes"] == 7
    status, said = run(capsys, *words, "--set", "holes=10", "--out", tmp_path)
    assert status == 2
    assert "holes of own is 10, expected less than or equal to 9" in said


def test_a_setting_needs_a_method(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, said = run(capsys, "predict", "x.png", "--set", "samples=20", "--out", tmp_path)
    assert (status, "samples=20 is of no method; name one with --method" in said) == (2, True)
