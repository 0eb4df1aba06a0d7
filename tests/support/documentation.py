"""The fenced blocks of the documentation, and what their commands are checked for.

Commands are run on phantoms, except those of `LONG`, which are parsed here and run by
`scripts/soak` on the public data. A comment before a block,
which readers do not see, makes another exception:

- `<!-- example: soak -->`: as `LONG`, because it needs the public data.
- `<!-- example: parse -->`: cannot run here (another computer's, a placeholder); only parsed.
- `<!-- example: file NAME -->`: the block is the file NAME of the blocks after it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer.main

from covid_cxr.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"(?:<!-- example: (?P<mark>[^>]*?) -->\s*\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)

LONG = ("run", "demo", "train", "cross-validate", "audit", "explain-eval")


class Block(NamedTuple):
    """One fenced block."""

    language: str
    mark: str
    text: str


def pages() -> list[Path]:
    """Return all pages whose examples are executed; the first is worked through first."""
    first = ROOT / "docs/get-started.md"
    docs = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path != first]
    return [first, *docs, *sorted(ROOT.glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(match["language"], match["mark"] or "", match["text"])
        for match in _BLOCK.finditer(page.read_text("utf-8"))
    ]


def commands(block: Block) -> Iterator[list[str]]:
    """Yield the command lines of a block as words, without comments."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def is_for_soak(block: Block, words: list[str]) -> bool:
    """Return whether a command needs the public data, or minutes."""
    is_long = words[0] == "covid-cxr" and words[1] in LONG
    return block.mark == "soak" or (is_long and not block.mark)


def check_arguments(words: list[str]) -> None:
    """Fail unless the command exists and takes these arguments; nothing is run."""
    match words:
        case ["covid-cxr", *arguments]:
            _parse(arguments)
        case ["pip", *arguments]:
            _check_pip(arguments)
        case ["python", "-m", module, *arguments]:
            package = ROOT / module.replace(".", "/")
            paths = package.rglob("*.py") if package.is_dir() else [package.with_suffix(".py")]
            _check_flags(arguments, [*paths, ROOT / "research/command.py"])
        case ["python", script, *arguments]:
            _check_flags(arguments, [ROOT / script, ROOT / "benchmarks/support.py"])
        case [script, *_] if script.startswith("scripts/"):
            assert (ROOT / script).stat().st_mode & 0o111, f"'{script}' is not executable"
        case _:
            raise AssertionError(f"no way to check {shlex.join(words)!r}: mark or simplify it")


def _parse(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    _silence(command)
    command(arguments, prog_name="covid-cxr", standalone_mode=False)


def _silence(command: Any) -> None:
    """Let a command end once its arguments are parsed."""
    for below in getattr(command, "commands", {}).values():
        _silence(below)
    if not hasattr(command, "commands"):
        command.callback = lambda **_: None


def _check_pip(arguments: list[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    for extra in re.findall(r"\[(\w+)\]", " ".join(arguments)):
        assert f"\n{extra} = [" in project, f"no extra '{extra}'"


def _check_flags(arguments: list[str], sources: list[Path]) -> None:
    assert sources[0].is_file(), f"no file '{sources[0]}'"
    text = "".join(path.read_text("utf-8") for path in sources)
    for flag in (word for word in arguments if word.startswith("--")):
        assert f'"{flag}"' in text, f"no option '{flag}' in {sources[0]}"
