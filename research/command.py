"""What the scripts of research have in common: options, progress, one-line errors."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from covid_cxr.errors import CovidCxrError, InputError
from covid_cxr.progress import reporting

Work = Callable[[Namespace, str], Mapping[str, Any]]  # arguments and command -> figures


def parser(module: str, description: str) -> ArgumentParser:
    """Return a parser with the options that the scripts share."""
    options = ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("--cohort", type=Path, required=True, help="cohort.csv of `cohort build`")
    options.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    options.add_argument("--out", type=Path, required=True, help="folder for what is written")
    options.add_argument("--seed", type=int, default=2020, help="random seed")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    return options


def run(options: ArgumentParser, work: Work, arguments: Sequence[str] | None = None) -> int:
    """Do a script's work and print its figures; return the exit status.

    Paths in the command that is recorded are names alone: the figures are published.
    """
    given = options.parse_args(arguments)
    words = [options.prog]
    for name, value in vars(given).items():
        if name not in ("json", "out", "data") and value is not None:
            text = value.name if isinstance(value, Path) else str(value)
            words.append(shlex.join([f"--{name.replace('_', '-')}", text]))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if not given.data.is_dir():
            raise InputError(f"--data '{given.data}' is no folder; name the one of the data sets")
        with reporting(_show if sys.stderr.isatty() else None):
            figures = work(given, " ".join([*words, "--data DATA"]))
    except CovidCxrError as error:
        sys.stderr.write(f"{options.prog}: {error}\n")
        return error.exit_status
    if given.json:
        print(json.dumps(figures, indent=2, ensure_ascii=False))
    print(f"Written: {given.out}", file=sys.stderr)
    return 0


def _show(description: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r{description}: {done} of {total}" + ("\n" if done == total else ""))
