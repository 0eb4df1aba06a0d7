"""What is answered is not lost: killed, interrupted, full disks; and the same command continues."""

import copy
import csv
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import covid_cxr
from covid_cxr import cli
from covid_cxr.errors import InputError
from covid_cxr.explain import Settings
from covid_cxr.explain.rendering.overlay import OverlayStyle
from covid_cxr.inference import answers, batch, predictions_csv
from covid_cxr.inference.batch import predict_to
from covid_cxr.inference.entries import Listing
from covid_cxr.inference.explaining import ExplainSettings
from covid_cxr.inference.predictions_csv import PART, PREDICTIONS, RECORD
from covid_cxr.inference.predictor import Predictor
from covid_cxr.progress import reporting
from support.predictions import pictures, predicted

CAM = ExplainSettings("cam")


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Predictor:
    return covid_cxr.load(tiny_run / "bundle", threads=1)


@pytest.fixture(scope="module")
def images(phantoms: Path) -> list[Path]:
    return sorted((phantoms / "images").glob("*.png"))[:30]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def without_seconds(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def interrupt_after(count: int, error: BaseException) -> Callable[[str, int, int], None]:
    def raise_it(_: str, done: int, total: int) -> None:
        if done >= count:
            raise error

    return raise_it


def interrupted(
    out: Path, model: Predictor, images: list[Path], after: int, settings: ExplainSettings
) -> list[dict[str, str]]:
    """Return the rows that are left of a prediction interrupted after so many."""
    with (
        reporting(interrupt_after(after, KeyboardInterrupt())),
        pytest.raises(KeyboardInterrupt, match=f"of {len(images)} files are answered"),
    ):
        predict_to(out, model, images, settings=settings)
    assert not (out / PREDICTIONS).exists()
    return rows_of(out / PART)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_rows_survive_a_killed_process_and_the_same_command_continues(
    tiny_run: Path,
    images: list[Path],
    tmp_path: Path,
    number: int,
    status: int,
) -> None:
    model = covid_cxr.load(tiny_run / "bundle", threads=1)
    out, some = tmp_path / "out", images[:10]
    words = [*map(str, some), "--method", "cam", "--model", str(tiny_run / "bundle")]
    words += ["--out", str(out), "--threads", "1"]
    script = f"import sys\nfrom covid_cxr import cli\nsys.exit(cli.run(['predict', *{words!r}]))"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    while not (out / PART).exists() or (out / PART).read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    before = rows_of(out / PART)
    assert 2 <= len(before) < len(some)  # with work in flight
    assert not (out / PREDICTIONS).exists()
    if number == signal.SIGINT:
        counted = re.search(r"interrupted; (\d+) of 10 files are answered, the same command", said)
        # The signal may come between a row's writing and its counting.
        assert int(counted[1]) in (len(before) - 1, len(before))
    assert cli.run(["predict", *words, "--resume", "-q"]) == 0
    after = rows_of(out / PREDICTIONS)
    assert after[: len(before)] == before  # the same seconds too: they were not answered again
    whole = rows_of(predict_to(tmp_path / "whole", model, some, settings=CAM))
    assert without_seconds(after) == without_seconds(whole)
    assert pictures(out) == pictures(tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir()) == ["explanations", PREDICTIONS]


def test_a_torn_row_is_dropped_and_its_file_answered_again(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    whole = rows_of(predict_to(tmp_path / "whole", model, images[:6]))
    for name, tear in {
        "half": lambda data: data[:-20],
        "open quote": lambda data: data + b'"a name\nthat goes',
        "no text": lambda data: data + b"\xff\xfe\0\0,,\n",
        "other columns": lambda data: data + b"a,b\n",
        "header": lambda data: data[:9],
    }.items():
        out = tmp_path / name
        interrupted(out, model, images[:6], 4, None)
        (out / PART).write_bytes(tear((out / PART).read_bytes()))
        again = rows_of(predict_to(out, model, images[:6], start="resume"))
        assert without_seconds(again) == without_seconds(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": None}, "with method = cam, now it is None"),
        (
            {"settings": replace(CAM, options=Settings(seed=5))},
            "with cam seed = 0, now it is 5",
        ),
        ({"settings": replace(CAM, least_fidelity=0.1)}, "least fidelity = 0.5, now it is 0.1"),
        ({"images": 4}, "with number of files = 3, now it is 4"),
        ({"touched": True}, "with SHA-256 of names, sizes and dates = "),
        ({"other": True}, "with model = "),
    ],
)
def test_another_command_does_not_continue(
    model: Predictor,
    images: list[Path],
    tmp_path: Path,
    change: dict[str, object],
    said: str,
) -> None:
    own = tmp_path / "images"
    own.mkdir()
    for image in images[:4]:
        (own / image.name).write_bytes(image.read_bytes())
    some = sorted(own.iterdir())
    interrupted(tmp_path, model, some[:3], 2, CAM)
    left = (tmp_path / PART).read_bytes()
    if "touched" in change:
        os.utime(some[0], (1, 1))
    if "other" in change:
        manifest = model.bundle.manifest.model_copy(update={"id": "f00"})
        model = copy.copy(model)
        model.bundle = replace(model.bundle, manifest=manifest)
    settings, count = change.get("settings", CAM), change.get("images", 3)
    for start in ("continue", "resume"):
        with pytest.raises(InputError) as error:
            predict_to(tmp_path, model, some[:count], settings=settings, start=start)
        assert said in str(error.value) and "--restart begins anew" in str(error.value)
    assert (tmp_path / PART).read_bytes() == left
    rows = rows_of(predict_to(tmp_path, model, some[:count], settings=settings, start="restart"))
    assert len(rows) == count


def test_a_setting_of_a_method_hides_no_other_part_of_the_record(model: Predictor) -> None:
    class Named(Settings):
        model: int = 3

    record = batch._record(model, Listing(1, ""), replace(CAM, options=Named()))
    assert (record["model"], record["cam model"]) == (model.bundle.id, 3)


def test_resume_insists_on_an_unfinished_prediction(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"nothing to resume: there is no '.*leave --resume out"):
        predict_to(tmp_path / "none", model, images[:1], start="resume")
    assert not (tmp_path / "none").exists()
    predict_to(tmp_path, model, images[:1])
    with pytest.raises(InputError, match="nothing to resume"):
        predict_to(tmp_path, model, images[:1], start="resume")
    assert len(rows_of(tmp_path / PREDICTIONS)) == 1


def test_rows_without_their_record_are_not_continued(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    interrupted(tmp_path, model, images[:6], 4, None)
    (tmp_path / RECORD).unlink()
    with pytest.raises(InputError, match=r"cannot be continued.*--restart begins anew"):
        predict_to(tmp_path, model, images[:6])
    assert len(predicted(tmp_path, model, images[:6], start="restart")) == 6


def test_rows_of_other_files_are_not_continued(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    interrupted(tmp_path, model, images[:6], 4, None)
    part = (tmp_path / PART).read_text("utf-8").replace(str(images[2]), "other.png")
    (tmp_path / PART).write_text(part, "utf-8")
    with pytest.raises(InputError, match=r"row 3 of .* is for 'other.png', the files named have"):
        predict_to(tmp_path, model, images[:6])


def test_two_processes_do_not_write_one_table(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    tried: list[str] = []

    def again(_: str, done: int, total: int) -> None:
        if not tried:
            with pytest.raises(InputError, match="is being written by another process") as error:
                predict_to(tmp_path, model, images[:6])
            tried.append(str(error.value))

    with reporting(again):
        assert len(predicted(tmp_path, model, images[:6])) == 6
    assert len(tried) == 1


def test_a_table_that_another_process_finished_meanwhile_is_left_as_it_is(
    model: Predictor, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, model, images[:6], 4, None)
    left = (tmp_path / PART).read_bytes()

    def renamed_before(_: object) -> None:
        (tmp_path / PART).replace(tmp_path / PREDICTIONS)

    monkeypatch.setattr(predictions_csv, "_lock", renamed_before)
    with pytest.raises(InputError, match="is being written by another process"):
        predict_to(tmp_path, model, images[:6], start="restart")
    assert (tmp_path / PREDICTIONS).read_bytes() == left


def test_a_file_system_without_locks_is_written_to(
    model: Predictor, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert len(predicted(tmp_path, model, images[:1])) == 1


def test_a_table_is_written_where_fcntl_is_missing(tmp_path: Path) -> None:
    """As on Windows."""
    script = """
import sys
from pathlib import Path
sys.modules["fcntl"] = None
from covid_cxr.inference.predictions_csv import PredictionsFile
with PredictionsFile(Path(sys.argv[1]), ["covid-19"], {}, []) as file:
    file.finish()
"""
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    assert (tmp_path / PREDICTIONS).read_text("utf-8").startswith("file,status,message,")


def test_a_finished_table_is_replaced_only_by_a_finished_one(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    predict_to(tmp_path, model, images[:2])
    with reporting(interrupt_after(4, KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
        predict_to(tmp_path, model, images[:6])
    assert len(rows_of(tmp_path / PREDICTIONS)) == 2
    predict_to(tmp_path, model, images[:6])
    assert len(rows_of(tmp_path / PREDICTIONS)) == 6


def test_a_picture_that_cannot_be_written_is_a_message_in_its_row(
    tiny_run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "explanations").write_text("in the way")
    words = ["explain", *map(str, images[:3]), "--method", "cam", "--montage"]
    model = ["--model", str(tiny_run / "bundle")]
    assert cli.run([*words, *model, "--out", str(tmp_path), "-q"]) == 4
    rows = rows_of(tmp_path / PREDICTIONS)
    assert [row["status"] for row in rows] == ["ok"] * 3
    for row in rows:
        assert row["message"].startswith(f"'{tmp_path / 'explanations'}/")
        assert "cannot be written: " in row["message"]
        assert "no explanation: picture not written" in row["flags"]
        assert (row["explanation"], row["predicted_class"] != "") == ("", True)
    assert "montage-1.png" in rows[-1]["message"]
    assert "3 without a picture" in capsys.readouterr().out


def test_a_full_disk_names_the_picture_and_keeps_the_rows(
    model: Predictor, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = answers.write_explanation, []

    def full(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x.png"))
        return write(*arguments)

    monkeypatch.setattr(answers, "write_explanation", full)
    with pytest.raises(OSError, match="2 of 5 files are answered, the same command") as error:
        predict_to(tmp_path, model, images[:5], settings=CAM)
    assert error.value.errno == errno.ENOSPC
    assert error.value.filename == str(tmp_path / "x.png")
    monkeypatch.setattr(answers, "write_explanation", write)
    rows = rows_of(predict_to(tmp_path, model, images[:5], settings=CAM, start="resume"))
    assert all(row["explanation"] and not row["message"] for row in rows)


def test_a_full_disk_names_the_table_and_keeps_the_rows(
    tiny_run: Path,
    images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync, calls = os.fsync, []

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) > 4:  # record, header, folder, four rows
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    monkeypatch.setattr(os, "fsync", full)
    words = [*map(str, images[:6]), "--out", str(tmp_path), "--model", str(tiny_run / "bundle")]
    assert cli.run(["predict", *words, "-q"]) == 2
    said = capsys.readouterr().err
    assert f"'{tmp_path / PART}': No space left on device; 4 of 6 files are answered" in said
    assert said.count("\n") == 1
    monkeypatch.setattr(os, "fsync", sync)
    assert cli.run(["predict", *words, "--resume", "-q"]) == 0
    assert len(rows_of(tmp_path / PREDICTIONS)) == 6


def test_montages_continue_where_a_page_begins(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    images = images[:26]
    settings = ExplainSettings("cam", montage=True, style=OverlayStyle(longest=64))
    one, two = tmp_path / "one", tmp_path / "two"
    assert len(interrupted(one, model, images, 25, settings)) == 25
    predict_to(one, model, images, settings=settings, start="resume")
    predict_to(two, model, images, settings=settings)
    assert pictures(one) == pictures(two)
    for page in ("montage-1.png", "montage-2.png"):
        first, second = ((out / "explanations" / page).read_bytes() for out in (one, two))
        assert first == second


def test_a_table_of_odd_names_is_continued(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    names = ["a\rb.png", "c\nd.png", 'e"f.png', "g,h.png", "i\r\nj.png", "k.png", "l.png"]
    for name in names:
        (tmp_path / name).write_bytes(images[0].read_bytes())
    paths = [tmp_path / name for name in names]
    assert len(interrupted(tmp_path / "out", model, paths, 5, CAM)) == 5
    rows = rows_of(predict_to(tmp_path / "out", model, paths, settings=CAM, start="resume"))
    assert [row["file"] for row in rows] == [str(path) for path in paths]


def test_progress_goes_on_from_what_was_done(
    model: Predictor, images: list[Path], tmp_path: Path
) -> None:
    interrupted(tmp_path, model, images[:10], 5, None)
    steps: list[int] = []
    with reporting(lambda _, done, total: steps.append(done)):
        predict_to(tmp_path, model, images[:10])
    assert steps == [9, 10]  # two batches of four were on disk


def test_json_is_the_table(
    tiny_run: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*map(str, images[:2]), "--out", str(tmp_path), "--model", str(tiny_run / "bundle")]
    assert cli.run(["predict", *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    rows = rows_of(tmp_path / PREDICTIONS)
    assert [one["file"] for one in said] == [row["file"] for row in rows]
    for one, row in zip(said, rows, strict=True):
        assert f"{one['probabilities']['covid-19']:.6f}" == row["probability_covid-19"]
        assert one["threshold"] == pytest.approx(float(row["threshold"]))
