"""Options of explanations, and the list of all methods with their settings."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from covid_cxr import explain as explainers
from covid_cxr.cli import output
from covid_cxr.errors import InputError

_PICTURES = "Explanations"


def _list_methods(wanted: bool) -> None:
    """Print every method with its settings; a method whose package is missing says so."""
    if wanted:
        for line in chain.from_iterable(map(_lines_of, explainers.names())):
            output.out.print(line, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit


def _lines_of(method: str) -> list[str]:
    try:
        needed, settings = explainers.needs(method), explainers.settings_of(method)
    except InputError as error:
        return [method, f"  {error}"]
    lines = [f"{method} (needs {needed})" if needed else method]
    for name in settings.names():
        field = settings.model_fields[name]
        value = "null" if field.default is None else field.default
        lines.append(f"  {name}={value}  {_described(field)}")
    return lines


def _described(field: FieldInfo) -> str:
    """Return what a setting is, and its choices or bounds."""
    words = {"ge": "at least", "gt": "over", "le": "at most", "lt": "below"}
    limits = [
        f"{word} {getattr(limit, bound)}"
        for limit in field.metadata
        for bound, word in words.items()
        if hasattr(limit, bound)
    ]
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return "; ".join(filter(None, (field.description, " | ".join(choices), ", ".join(limits))))


Method = Annotated[
    str | None,
    typer.Option(
        *("--method", "--explain"),
        metavar="METHOD",
        help=f"Explain every prediction by one of: {', '.join(explainers.names())}.",
        rich_help_panel=_PICTURES,
    ),
]
MethodSettings = Annotated[
    list[str] | None,
    typer.Option(
        *("-s", "--set"),
        metavar="NAME=VALUE",
        help="Setting of the method, such as samples=300 or seed=1; may be repeated. "
        "--list-methods shows them all.",
        rich_help_panel=_PICTURES,
    ),
]
ListMethods = Annotated[
    bool,
    typer.Option(
        "--list-methods",
        callback=_list_methods,
        is_eager=True,
        help="List the methods with their settings, and exit.",
        rich_help_panel=_PICTURES,
    ),
]
Fidelity = Annotated[
    float,
    typer.Option(
        "--min-fidelity",
        metavar="R2",
        help="Draw no map that follows the model less well than this (weighted R2 of LIME); "
        "0 draws all.",
        rich_help_panel=_PICTURES,
    ),
]
Palette = Annotated[
    str,
    typer.Option(
        help="green-red, or blue-orange for colour-blind readers.", rich_help_panel=_PICTURES
    ),
]
Opacity = Annotated[
    float,
    typer.Option(
        min=0.05, max=1, help="Opacity of the strongest colour.", rich_help_panel=_PICTURES
    ),
]
Montage = Annotated[
    bool,
    typer.Option(
        "--montage",
        help="Also draw pages of 24 small radiographs.",
        rich_help_panel=_PICTURES,
    ),
]
Counterfactual = Annotated[
    bool,
    typer.Option(
        "--counterfactual",
        help="Also find the fewest regions without which another class would be predicted.",
        rich_help_panel=_PICTURES,
    ),
]
TrainingCohort = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="cohort.csv that the bundle was trained on: also draw its most similar images.",
        rich_help_panel=_PICTURES,
    ),
]
TrainingData = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="With --cohort: folder that holds the data sets.",
        rich_help_panel=_PICTURES,
    ),
]
