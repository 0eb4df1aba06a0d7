"""The command line as people and machines use it: output, one-line errors, exit status."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from covid_cxr import cli
from covid_cxr.cohort import schema
from covid_cxr.explain import EXPLAINERS
from support.without_torch import BLOCK_TORCH


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.run([str(each) for each in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = (
    *("demo", "run", "train", "evaluate", "export", "models", "predict", "explain"),
    *("explain-eval", "compare", "cross-validate", "validate", "audit"),
    *("cohort build", "cohort check", "cohort show", "cohort fetch"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    status, out, _ = run(capsys, *command.split(), "--help")
    assert status == 0
    assert re.search(r"Examples?:", out)
    assert f"covid-cxr {command.split(maxsplit=1)[0]}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["predict"], 2, "Missing argument"),
        (["predict", "x.png", "--out", "o", "--nope"], 2, "No such option: --nope"),
        (["predict", "x.png", "--out", "o", "--model", "none"], 2, "'none' is no bundle"),
        (["run", "none.yaml"], 2, "config 'none.yaml' is neither a file nor a recipe"),
        (["evaluate", "none"], 2, "'none' is no run folder"),
        (["cohort", "check", "none.csv"], 2, "none.csv"),
        (["cohort", "build", "--data", "none", "--out", "o"], 2, "'none' is no folder"),
        (["nonsense"], 2, "No such command 'nonsense'"),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(
    capsys: pytest.CaptureFixture[str],
    empty: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == status
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("covid-cxr: ")
    assert "Traceback" not in out + err
    assert not list(empty.iterdir())


def test_predict_writes_rows_and_pictures(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    radiographs = sorted((phantoms / "images").iterdir())[:2]
    status, out, _ = run(
        *(capsys, "predict", *radiographs, "--model", tiny_run / "bundle", "--out", tmp_path),
        *("--explain", "lime", "--set", "samples=20"),
    )
    assert status == 0
    assert "2 files" in out
    assert "Explanations: 2" in out
    assert "Not a medical device" in out
    assert len(list((tmp_path / "explanations").glob("*.png"))) == 2


def test_a_file_that_cannot_be_read_gives_status_4(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    radiograph = next((phantoms / "images").glob("*.png"))
    (tmp_path / "bad.png").write_text("text")
    status, out, _ = run(
        *(capsys, "predict", radiograph, tmp_path / "bad.png", "--json"),
        *("--model", tiny_run / "bundle", "--out", tmp_path / "out"),
    )
    assert status == 4
    assert [row["status"] for row in json.loads(out)] == ["ok", "error"]


@pytest.mark.parametrize("method", sorted(EXPLAINERS))
def test_explain_by_every_method(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, phantoms: Path, tmp_path: Path, method: str
) -> None:
    radiograph = next((phantoms / "images").glob("*.png"))
    status, _, err = run(
        *(capsys, "explain", radiograph, "--method", method),
        *(("-s", "samples=20") if method in ("lime", "agreement") else ()),
        *("--model", tiny_run / "bundle", "--out", tmp_path),
    )
    assert (status, err) == (0, "")
    details = json.loads(next((tmp_path / "explanations").glob("*.json")).read_text())
    assert details["method"] == method
    assert "Not a medical device" in details["disclaimer"]


def test_explain_with_all_its_options(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    radiograph = next((phantoms / "images").glob("*.png"))
    status, _, err = run(
        *(capsys, "explain", radiograph, "--set", "samples=40", "--set", "superpixels=lungs"),
        *("-s", "fill=blur", "-s", "regions=9", "-s", "sampling=balanced"),
        *("-s", "stopping-reliability=0.9", "-s", "seed=3", "--palette", "blue-orange"),
        *(
            "--opacity",
            0.4,
            "--min-fidelity",
            0,
            "--montage",
            "--counterfactual",
            "--data",
            phantoms,
        ),
        *("--cohort", tiny_run / "cohort.csv"),
        *("--model", tiny_run / "bundle", "--out", tmp_path),
    )
    assert (status, err) == (0, "")
    pictures = sorted(path.name for path in (tmp_path / "explanations").glob("*.png"))
    assert len(pictures) == 3
    assert sum(name.endswith("-similar-cases.png") for name in pictures) == 1
    (name,) = (tmp_path / "explanations").glob("*.json")
    details = json.loads(name.read_text("utf-8"))
    assert details["parameters"]["superpixels"] == "lungs"
    assert (details["parameters"]["sampling"], details["parameters"]["fill"]) == (
        "balanced",
        "blur",
    )
    assert 5 <= len(details["regions"]) <= 16
    assert details["counterfactual"].keys() >= {
        "regions",
        "before",
        "after",
        "decision_changes",
        "exact",
    }


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--palette", "green"), "unknown palette 'green'"),
        (("--cohort", "cohort.csv"), "no data root: give --data"),
        (("--method", "lime2"), "unknown explainer 'lime2': did you mean 'lime'?"),
        (("--set", "fill=black"), "fill of lime is 'black', expected"),
        (("--set", "sample=9"), "unknown setting of lime 'sample': did you mean 'samples'?"),
        (("--set", "samples"), "setting 'samples' is not name=value, such as samples=300"),
    ],
)
def test_wrong_options_of_explain_are_one_line(
    capsys: pytest.CaptureFixture[str], phantoms: Path, empty: Path, option: tuple[str], said: str
) -> None:
    radiograph = next((phantoms / "images").glob("*.png"))
    status, _, err = run(capsys, "explain", radiograph, *option, "--out", empty / "out")
    assert status == 2
    assert said in err
    assert err.count("\n") == 1
    assert not (empty / "out").exists()


def test_cohort_build_then_check_finds_a_leak_made_by_hand(
    capsys: pytest.CaptureFixture[str], phantoms: Path, tmp_path: Path
) -> None:
    named = f"csv={phantoms / 'manifest.csv'}"
    status, out, err = run(
        capsys, "cohort", "build", "--data", phantoms, "--dataset", named, "--out", tmp_path
    )
    assert (status, err) == (0, "")
    assert "covid-19" in out
    file = tmp_path / "cohort.csv"
    assert run(capsys, "cohort", "check", file)[0] == 0
    cohort = schema.load(file)
    images = cohort[cohort["split"] == "train"].groupby("patient_id").size()
    patient = images[images > 1].index[0]
    first = cohort.index[cohort["patient_id"] == patient][0]
    cohort.loc[first, "split"] = "test"
    cohort.to_csv(file, index=False)
    status, out, _ = run(capsys, "cohort", "check", file)
    assert status == 3
    assert f"patient '{patient}' is in test and train" in out
    # whatever else reads the cohort refuses it too
    status, _, err = run(
        *(
            capsys,
            "train",
            "default",
            "--cohort",
            file,
            "--data",
            phantoms,
            "--out",
            tmp_path / "run",
        )
    )
    assert status == 3
    assert "leak" in err
    assert not (tmp_path / "run").exists()


def test_evaluate_and_export_a_run(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    status, out, err = run(capsys, "evaluate", copied, "-q")
    assert (status, err) == (0, "")
    assert "constant prior" in out
    assert "report.html" in out
    assert max(map(len, out.split("Report:")[0].splitlines())) <= 80
    status, out, _ = run(capsys, "export", copied, "--out", tmp_path / "bundle.zip", "--no-weights")
    assert status == 0
    assert (tmp_path / "bundle.zip").stat().st_size > 100_000


def test_models_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "models", "--json")
    assert status == 0
    listed = json.loads(out)
    assert "dcnn-resnet" in listed["architectures"]
    assert listed["default_bundle"]["task"] == "binary"


def test_prediction_lime_and_cam_work_without_torch(
    tiny_run: Path, phantoms: Path, tmp_path: Path
) -> None:
    image = next((phantoms / "images").glob("*.png"))
    script = BLOCK_TORCH + (
        "from covid_cxr import cli\n"
        "for method in ('lime', 'cam'):\n"
        f"    assert cli.run(['explain', {str(image)!r}, '--method', method,\n"
        f"        '--model', {str(tiny_run / 'bundle')!r}, '--out', {str(tmp_path)!r}]) == 0\n"
        f"assert cli.run(['explain', {str(image)!r}, '--method', 'gradcam', '--model',\n"
        f"    {str(tiny_run / 'bundle')!r}, '--out', {str(tmp_path)!r}]) == 2\n"
        f"import shutil; shutil.copytree({str(tiny_run)!r}, {str(tmp_path / 'run')!r})\n"
        f"assert cli.run(['evaluate', {str(tmp_path / 'run')!r}]) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "needs the package" in done.stderr
    assert "covid-cxr[train]" in done.stderr


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    script = (
        "import sys\nfrom covid_cxr import cli\ncli.run(['--help'])\n"
        "heavy = {'torch', 'lightning', 'pandas', 'onnxruntime', 'skimage', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
