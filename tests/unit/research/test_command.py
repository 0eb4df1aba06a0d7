"""The scripts of research: help, errors in one line, figures as JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covid_cxr.errors import CohortError
from covid_cxr.progress import track
from research import command
from research.input_check.__main__ import main as input_check
from research.lung_segmentation.__main__ import main as lung_segmentation

Main = Callable[[list[str]], int]
SCRIPTS = pytest.mark.parametrize("main", [input_check, lung_segmentation])


def arguments(folder: Path) -> list[str]:
    return ["--cohort", str(folder / "c.csv"), "--data", str(folder), "--out", str(folder)]


@SCRIPTS
def test_every_script_has_help(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    displayed = capsys.readouterr().out
    assert "usage: python -m research." in displayed
    for option in ("--cohort", "--data", "--out", "--seed", "--json"):
        assert option in displayed


@SCRIPTS
def test_a_missing_cohort_or_folder_is_one_line(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(tmp_path)]) == 2
    assert main([*arguments(tmp_path), "--data", str(tmp_path / "nowhere")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python -m research.") for line in lines)
    assert "nowhere' is no folder" in lines[1]


def test_figures_are_printed_and_the_command_holds_no_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = command.parser("research.example", "An example.")
    options.add_argument("--other-pictures", type=Path)

    def work(given: Namespace, words: str) -> dict[str, Any]:
        return {"seed": given.seed, "command": words, "squares": [n**2 for n in track([2], "")]}

    more = ["--json", "--seed", "7", "--other-pictures", str(tmp_path / "a b")]
    assert command.run(options, work, [*arguments(tmp_path), *more]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["seed"], figures["squares"]) == (7, [4])
    expected = "--cohort c.csv --seed 7 --other-pictures 'a b' --data DATA"
    assert figures["command"] == f"python -m research.example {expected}"


def test_an_error_of_ours_gives_its_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(given: Namespace, words: str) -> dict[str, Any]:
        raise CohortError("no rows")

    options = command.parser("research.example", "An example.")
    assert command.run(options, work, arguments(tmp_path)) == 2
    assert capsys.readouterr().err == "python -m research.example: no rows\n"
