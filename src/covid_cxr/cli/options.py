"""Options that several commands share, and the words that repeat a command."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from covid_cxr.errors import ConfigError, InputError

Config = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="YAML file, such as configs/default.yaml.")
]
Data = Annotated[Path | None, typer.Option("--data", help="Folder that holds the data sets.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
Runs = Annotated[
    int | None, typer.Option(min=1, help="Train so many seeds and keep the best on validation.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print for a machine.")]


def with_runs(settings: Sequence[str] | None, runs: int | None) -> list[str]:
    """Return the settings, `--runs` among them."""
    return [*(settings or []), *([f"training.runs={runs}"] if runs else [])]


def command(*words: str) -> str:
    """Return a command as one would type it, for manifests and reports."""
    return shlex.join(["covid-cxr", *words])


def repeated(settings: Sequence[str] | None) -> list[str]:
    """Return the words that repeat these settings."""
    return [word for each in settings or [] for word in ("-s", each)]


def data_root(given: Path | None, configured: str | None) -> Path:
    """Return the data root: the option, else the configuration's.

    Raises:
        ConfigError: neither is given.
        InputError: it is no folder.
    """
    chosen = given or (Path(configured) if configured else None)
    if chosen is None:
        raise ConfigError("no data root: give --data DATA, or data_root in the configuration")
    if not chosen.is_dir():
        raise InputError(f"--data '{chosen}' is no folder; name the one that holds the data sets")
    return chosen
