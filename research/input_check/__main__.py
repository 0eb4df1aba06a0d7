"""`python -m research.input_check`: fit the input check and measure it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from covid_cxr.cohort import schema
from research import command
from research.input_check.experiment import Settings, fit_input_check

_DESCRIPTION = """Fit what rejects anything but upright frontal chest radiographs, and measure it.
Each source of radiographs and each family of pictures is left out once and measured; the test
split is not read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script and return its exit status."""
    options = command.parser("research.input_check", _DESCRIPTION)
    add = options.add_argument
    add("--network", type=Path, help="folder of a lung network; without it the one that ships")
    add("--others", type=Path, help="further pictures, a folder a kind; measured, not fitted to")
    add("--pictures", type=int, default=60, help="pictures drawn of each kind")
    add("--phantoms", type=int, default=96, help="phantoms drawn, to be measured")
    return command.run(options, _fit, arguments)


def _fit(given: Namespace, words: str) -> Mapping[str, Any]:
    figures = fit_input_check(
        schema.load(given.cohort),
        given.data,
        given.out,
        Settings(given.phantoms, given.pictures, given.seed),
        command=words,
        network=given.network,
        others=given.others,
    )
    for row in figures["measured"]:
        low, high = (100 * end for end in row["interval"])
        print(
            f"{row['left_out']}, {row['part']}: {row['wanted']} {row['right']} of "
            f"{row['images']}, {100 * row['share']:.1f} % ({low:.1f}-{high:.1f})",
            file=sys.stderr,
        )
    return figures


if __name__ == "__main__":
    sys.exit(main())
