"""The command that fits what is refused: gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson, Data, command, data_root

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(gate)


def gate(
    context: typer.Context,
    cohort: Annotated[Path, typer.Option(help="cohort.csv made by `cohort build`.")],
    out: Annotated[Path, typer.Option(help="Folder for the gate, its network and its card.")],
    data: Data = None,
    network: Annotated[
        Path | None, typer.Option(help="Folder of a lung network; default the one that ships.")
    ] = None,
    others: Annotated[
        Path | None,
        typer.Option(help="Pictures that are no chest film, a folder a kind; only measured."),
    ] = None,
    pictures: Annotated[int, typer.Option(min=2, help="Drawn of each kind.")] = 60,
    phantoms: Annotated[int, typer.Option(min=2, help="Chests drawn, to be measured.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 2020,
    json: AsJson = False,
) -> None:
    """Fit the gate that refuses what is no upright frontal chest film, and measure it.

    Each source of films and each family of pictures is left out once and measured; the test split
    is not read.

    Example: `covid-cxr gate --cohort cohort/cohort.csv --data DATA --out gate`
    """
    from covid_cxr.cohort import schema
    from research import input_check as fitting

    table = schema.load(cohort)
    settings = fitting.Settings(phantoms=phantoms, pictures=pictures, seed=seed)
    words = ["gate", "--cohort", cohort.name, "--data", "DATA", "--pictures", str(pictures)]
    words += ["--phantoms", str(phantoms), "--seed", str(seed)]
    words += ["--others", others.name] if others else []
    with output.progress(context):
        figures = fitting.fit_gate(
            table,
            data_root(data, None),
            out,
            settings,
            command=command(*words),
            network=network,
            others=others,
        )
    if json:
        output.as_json(figures)
        return
    _tell(figures, out)


def _tell(figures: Mapping[str, Any], out: Path) -> None:
    for each in figures["measured"]:
        low, high = (100 * end for end in each["interval"])
        output.out.print(
            f"{each['left_out']}, {each['part']}: {each['wanted']} {each['right']} of "
            f"{each['images']}, {100 * each['share']:.1f} % ({low:.1f}-{high:.1f})",
            soft_wrap=True,
        )
    output.out.print(f"Gate and its card: {out}", soft_wrap=True)
