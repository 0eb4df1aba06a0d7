"""Options that several commands share, and how to repeat a command."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from covid_cxr.errors import ConfigError, CovidCxrError, InputError

Config = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="YAML file with the settings, or a recipe that ships: {recipes}. Its `model` is "
        "one of: {architectures}.",
    ),
]
RunFolderPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, made by `demo`, `run` or `train`.")
]
CohortFile = Annotated[
    Path, typer.Option("--cohort", help="cohort.csv, as `covid-cxr cohort build` writes it.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder that holds the data sets; paths in cohort.csv are relative to it."
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the configuration, such as training.runs=3; may be repeated.",
    ),
]
Runs = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="Train so many times, with other random seeds, and keep the best on validation.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(min=0, max=2**32 - 1, help="Random seed; the same seed gives the same result."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="CPU threads; all cores by default.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Interrupted(CovidCxrError):
    """The user pressed Ctrl-C; says what is kept."""

    exit_status = 130


class Command(TyperCommand):
    """A command that takes finite numbers alone and, interrupted, says what is kept.

    In the help of its parameters {architectures}, {checks}, {datasets}, {explainers} and {recipes}
    stand for the names that are installed, plugins included.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with the names that are installed."""
        import covid_cxr
        from covid_cxr import config

        lists = {
            "{architectures}": covid_cxr.architectures,
            "{checks}": covid_cxr.audit_checks,
            "{datasets}": covid_cxr.datasets,
            "{explainers}": covid_cxr.explainers,
            "{recipes}": config.recipes,
        }
        parameter: Any
        for parameter in self.params:
            for placeholder, names in lists.items():
                if placeholder in (getattr(parameter, "help", None) or ""):
                    parameter.help = parameter.help.replace(placeholder, ", ".join(names()))
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Raises:
            BadParameter: an option is nan or infinite.
            Interrupted: in place of a KeyboardInterrupt, which typer would make an exit without
                a word.
        """
        for parameter in self.params:
            value = ctx.params.get(parameter.name)
            if isinstance(value, float) and not math.isfinite(value):
                message = f"Invalid value for {parameter.opts[0]}: {value} is no finite number."
                raise typer.BadParameter(message, ctx=ctx)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            kept = str(error) or "the same command continues where it can"
            raise Interrupted(f"interrupted; {kept}") from error


def with_runs(settings: Sequence[str] | None, runs: int | None) -> list[str]:
    """Return the settings, `--runs` among them."""
    return [*(settings or []), *([f"training.runs={runs}"] if runs else [])]


def repeat_command(context: typer.Context, **replaced: object) -> str:
    """Return the command line that repeats a command, for manifests and reports.

    The data root is written as DATA, the random seed always; other options that have their default
    are left out, and so is where the result goes.

    Args:
        context: of the command.
        replaced: parameter -> what to write instead of its value.
    """
    words = ["covid-cxr", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        value = context.params[name]
        if name in replaced:
            value = replaced[name]
        elif name == "data":
            value = "DATA"
        elif name in ("out", "json") or (value == parameter.default and name != "seed"):
            continue
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is None or item is False:
                continue
            if parameter.param_type_name == "option":
                words.append(parameter.opts[0])
            if item is not True:
                words.append(f"{item:g}" if isinstance(item, float) else str(item))
    return shlex.join(words)


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
