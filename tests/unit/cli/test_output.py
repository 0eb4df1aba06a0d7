"""Progress of long work: a bar with the time that is left, on a terminal and nowhere else."""

import io
import re
import sys
from functools import partial
from types import SimpleNamespace

import pytest

from covid_cxr.cli import output
from covid_cxr.progress import report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not as a fixture: between set-up and test, pytest puts its own stream back."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return screen


def context(quiet: bool = False) -> SimpleNamespace:
    return SimpleNamespace(obj={"quiet": quiet})


def test_a_terminal_sees_what_is_done_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    clock = iter(range(10_000))
    ticking = partial(output.Bars, get_time=lambda: float(next(clock)))
    monkeypatch.setattr(output, "Bars", ticking)
    with output.progress(context()):
        for done in range(1, 31):
            report("reading radiographs", done, 40)
        report("comparing radiographs", 5, 5)
    synthetic = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())  # without colours
    assert "reading radiographs" in synthetic and "30/40" in synthetic
    assert "comparing radiographs" in synthetic and "5/5" in synthetic
    rate, left = synthetic[synthetic.rindex("30/40") :].split()[1:3]
    assert rate == "1.0/s"
    assert re.fullmatch(r"0:00:\d\d", left)  # not "-:--:--", which says that nothing is known


def test_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    with output.progress(context(quiet=True)):
        report("reading radiographs", 1, 1)
    elsewhere = io.StringIO()
    monkeypatch.setattr(sys, "stderr", elsewhere)
    with output.progress(context()):
        report("reading radiographs", 1, 1)
    assert screen.getvalue() == elsewhere.getvalue() == ""
