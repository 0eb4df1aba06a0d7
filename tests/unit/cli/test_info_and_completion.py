"""The command info, shell completion, and the help of every command."""

from __future__ import annotations

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer.main

import covid_cxr
from covid_cxr import cli
from covid_cxr.cli.main import app


def commands(
    group: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its words, groups included."""
    group = group or typer.main.get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


ALL = dict(commands())
LEAVES = {words: command for words, command in ALL.items() if not hasattr(command, "commands")}
WORDS = sorted(" ".join(words) for words in ALL)


def help_of(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run([*words.split(), "--help"]) == 0
    return " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


def test_info_says_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["info", "--json"]) == 0
    details = json.loads(capsys.readouterr().out)
    assert details["covid-cxr"] == covid_cxr.__version__
    assert covid_cxr.default_bundle().id in details["default bundle"]
    assert "CPUExecutionProvider" in details["onnxruntime providers"]
    assert details["packages"]["numpy"] and details["extras"].keys() >= {"train", "dev"}
    assert str(os.cpu_count()) in details["processors"]
    assert cli.run(["info"]) == 0
    assert "onnxruntime providers: " in capsys.readouterr().out


def test_info_names_no_user_host_or_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COVID_CXR_DATA", str(tmp_path))
    cli.run(["info"])
    said = capsys.readouterr().out
    assert "COVID_CXR_DATA is set" in said
    assert str(tmp_path) not in said and str(Path.home()) not in said
    assert os.uname().nodename not in said
    assert not re.search(rf"\b{getpass.getuser()}\b", said.replace("data root", ""))
    monkeypatch.setenv("COVID_CXR_DATA", str(tmp_path / "none"))
    cli.run(["info"])
    assert "is set, to no folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("covid-cxr cross", ["cross-validate"]),
        ("covid-cxr cohort b", ["build"]),
        ("covid-cxr -v cohort s", ["show"]),
        ("covid-cxr cross-validate c.yaml --leave-out s", ["sources", "sites"]),
    ],
)
def test_a_shell_completes_commands_and_choices(
    words: str,
    expected: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("_COVID_CXR_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit) as left:
        cli.run([])
    assert left.value.code in (0, None)
    assert capsys.readouterr().out.split() == expected


def test_completion_is_printed_and_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    with pytest.raises(SystemExit):
        cli.run(["--show-completion", "bash"])
    script = capsys.readouterr().out
    assert "_COVID_CXR_COMPLETE=complete_bash" in script and "covid-cxr" in script
    with suppress(SystemExit):
        assert cli.run(["--install-completion", "bash"]) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_COVID_CXR_COMPLETE" in path.read_text() for path in written)


@pytest.mark.parametrize("words", WORDS)
def test_help_has_an_example_and_explains_every_option(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = help_of(words, capsys, monkeypatch)
    assert "{" not in re.sub(r"\{[A-Z|. ]+\}|\{method: [^}]*\}", "", said), "a name left open"
    command = ALL[tuple(words.split())]
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        assert text and text.rstrip().endswith((".", ")")), f"{words}: {parameter.name} {text!r}"
    if tuple(words.split()) in LEAVES:
        assert re.search(rf"Examples?: covid-cxr {words}", said), said


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("train", covid_cxr.architectures),
        ("cohort build", covid_cxr.datasets),
        ("audit", covid_cxr.audit_checks),
        ("explain-eval", covid_cxr.explainers),
    ],
)
def test_help_lists_what_is_installed_plugins_included(
    words: str, names: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = help_of(words, capsys, monkeypatch)
    for name in names():
        assert name in said


def test_numbers_are_finite(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = 0
    for words, command in LEAVES.items():
        required: list[str] = []
        for parameter in command.params:
            if parameter.required:
                named = parameter.param_type_name == "option"
                required += [parameter.opts[0], "x"] if named else ["x"]
        said = help_of(" ".join(words), capsys, monkeypatch)
        for option in re.findall(r"(--[a-z-]+) <float", said):
            for value in ("nan", "inf", "-inf"):
                assert cli.run([*words, *required, f"{option}={value}"]) == 2
                error = capsys.readouterr().err
                assert option in error and error.count("\n") == 1
                checked += 1
    assert checked >= 9


def test_help_and_completion_load_no_library_for_numbers() -> None:
    heavy = {"scipy", "sklearn", "skimage", "pandas", "onnxruntime", "torch", "pydicom", "PIL"}
    script = f"""
import sys
import covid_cxr.cli
print(*({heavy} | {{"covid_cxr.results"}}) & sys.modules.keys())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_closed_pipe_is_no_traceback() -> None:
    """As `covid-cxr info --json | head -0`."""
    script = "from covid_cxr import cli\ncli.main()"
    words = [sys.executable, "-c", script, "info", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


def test_python_m_is_the_command() -> None:
    run = [sys.executable, "-m", "covid_cxr", "--version"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == covid_cxr.__version__


def test_help_lists_the_recipes_that_ship(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(help_of("train", capsys, monkeypatch).split())
    assert "default, fine-tuned, from-scratch" in text
