"""The command cohort fetch: public sets by name, an archive by its address, steps for the rest."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from covid_cxr.cli import output
from covid_cxr.cli.options import AsJson
from covid_cxr.errors import ConfigError

if TYPE_CHECKING:
    from covid_cxr.cohort.download.catalogue import DataSet


def fetch(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|URL", help="Name of a data set, or the https:// address of a zip or tar."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Data root; the data set gets a folder in it.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="SHA-256 that the archive at URL must have.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="Name of the folder; default: the data set's own.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="List the data sets, as without NAME.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Download a public data set, or print the steps where an account is needed.

    Examples:

    `covid-cxr cohort fetch`: list what there is, with size and licence

    `covid-cxr cohort fetch mila --out DATA`

    `covid-cxr cohort fetch https://hospital.example/set.zip --sha256 HEX --out DATA`
    """
    from covid_cxr.cohort.download.catalogue import catalogue
    from covid_cxr.cohort.download.fetch import choose
    from covid_cxr.cohort.download.fetch import fetch as fetch_set

    if name is None or listed:
        _list(catalogue(), json)
        return
    chosen = choose(name, folder)
    if chosen.access == "steps":
        _explain(name, chosen, out, json)
        return
    if out is None:
        raise ConfigError(f"where to put '{name}'? give the data root, --out DATA")
    with output.progress(context):
        fetched = fetch_set(chosen, out, sha256)
    kind = "sha256" if chosen.access == "https" else "commit"
    if json:
        lines = _entry(chosen) | {"folder": str(fetched.folder), kind: fetched.version}
        output.as_json(lines | {"new": fetched.new})
        return
    state = "Fetched" if fetched.new else "Already there"
    _say(f"{state}: {fetched.folder}, {kind} {fetched.version}")
    _terms(chosen)
    _say(f"Next: covid-cxr cohort build --data {shlex.quote(str(out))} --out cohort")


def _list(datasets: dict[str, DataSet], machine: bool) -> None:
    if machine:
        output.as_json([{"name": name} | _entry(chosen) for name, chosen in datasets.items()])
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("name", "GB", "access", "licence"):
        table.add_column(column, no_wrap=column == "name")
    for name, chosen in datasets.items():
        access = "steps to follow" if chosen.access == "steps" else chosen.access
        table.add_row(name, f"{chosen.gigabytes:g}", access, chosen.license)
    output.out.print(table)
    _say("Sizes are rough. To fetch one, or see its steps: covid-cxr cohort fetch NAME --out DATA")


def _explain(name: str, chosen: DataSet, out: Path | None, machine: bool) -> None:
    root = shlex.quote(str(out)) if out else "DATA"
    steps = [step.replace("{data}", root) for step in chosen.steps]
    if machine:
        output.as_json({"name": name} | _entry(chosen) | {"steps": steps})
        return
    _say(f"'{name}' wants a browser or an account. The steps, with {root} as your data root:")
    for number, step in enumerate(steps, 1):
        _say(f"{number}. {step}")
    _terms(chosen)


def _terms(chosen: DataSet) -> None:
    for what, text in (("Licence", chosen.license), ("Cite", chosen.cite), ("Note", chosen.note)):
        if text:
            _say(f"{what}: {text}")


def _entry(chosen: DataSet) -> dict[str, Any]:
    from covid_cxr.cohort.download.archives import address

    where = address(chosen.where) if chosen.access == "https" else chosen.where
    fields = ("access", "gigabytes", "license", "cite", "note")
    return {"where": where} | {field: getattr(chosen, field) for field in fields}


def _say(text: str) -> None:
    output.out.print(text, soft_wrap=True, markup=False, highlight=False)
