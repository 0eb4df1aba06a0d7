"""The `covid-cxr` command: its options, its errors and its exit status."""

from __future__ import annotations

import io
import logging
import re
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler

from covid_cxr.cli import (
    audit,
    build,
    cohort,
    compare,
    evaluate,
    explain_eval,
    info,
    predict,
    search,
    validate,
)
from covid_cxr.cli.options import Command
from covid_cxr.errors import CovidCxrError
from covid_cxr.types import DISCLAIMER

app = typer.Typer(
    name="covid-cxr",
    help=(
        f"Explained COVID-19 prediction from frontal chest X-rays.\n\n{DISCLAIMER}\n\n"
        "Examples:\n\n`covid-cxr explain radiograph.png --out out`: predict an image and draw why"
        "\n\n`covid-cxr demo`: train, audit and evaluate a model on synthetic radiographs"
        "\n\n`covid-cxr run --help`: what a command does and takes"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_LONGEST = 300
_EMPTY_VALUE = re.compile(r"--[a-z-]+=")
_GLOBALS = {"-v", "-vv", "--verbose", "-q", "--quiet", "--debug"}
# typer raises these from click or from its own copy of it, depending on its version
_UsageError: Any = typer.BadParameter.__base__
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Use a model": (predict.predict, predict.explain),
    "Make a model": (
        *(build.demo, build.run, build.train, build.export),
        *(search.search, search.search_dashboard),
    ),
    "Evaluate a model": (
        *(evaluate.evaluate, audit.audit, validate.cross_validate, validate.validate),
        *(compare.compare, explain_eval.explain_eval),
    ),
    "What is installed": (build.models, info.info),
}
cohort.add_to(app)
for _panel, _functions in _COMMANDS.items():
    for _function in _functions:
        app.command(cls=Command, rich_help_panel=_panel)(_function)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Also log details of the work.")
    ] = 0,
    quiet: Annotated[
        bool,
        typer.Option("-q", "--quiet", help="Log warnings and errors only, draw no progress bars."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from covid_cxr import __version__

        typer.echo(__version__)
        raise typer.Exit
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_level=False)
    plain = logging.StreamHandler()
    plain.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    chosen = handler if console.is_terminal else plain
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[chosen], force=True)
    logging.getLogger("covid_cxr").setLevel(level)
    # Its warnings quote the contents of files, patients' names among them.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    context.obj = {"quiet": quiet, "debug": debug}


def main() -> None:
    """Run the command line and leave with its exit status.

    0 done, 1 an internal error, 2 bad input or usage, 3 an audit failed or a leak was found,
    4 every file was answered but some with an error, 130 interrupted. Letters that the output's
    encoding lacks are escaped: they must not end the work that is done.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors are one line on stderr."""
    for word in arguments:
        if not word or _EMPTY_VALUE.fullmatch(word):
            # A path would be taken for the working folder.
            said = f"'{word}' among the arguments is empty, expected a value; is a variable unset?"
            return _fail(said, 2)
    try:
        status = app(_globals_first(arguments), prog_name="covid-cxr", standalone_mode=False)
        return int(status or 0)
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "covid-cxr"
        return _fail(f"{error.format_message()} See {command} --help", 2)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except Exception as error:  # noqa: BLE001 - the last resort: say it in one line
        return _fail(*_explained(error))


def _explained(error: Exception) -> tuple[str, int]:
    """Return what to say of an error, and the exit status."""
    if isinstance(error, CovidCxrError):
        return str(error), error.exit_status
    if isinstance(error, ModuleNotFoundError):
        return f"this needs the package '{error.name}': pip install 'covid-cxr[train]'", 2
    if isinstance(error, OSError):
        where = f"'{error.filename}': " if error.filename else ""
        return f"{where}{error.strerror or error}", 2
    said = f"{type(error).__name__}: {error}"[:_LONGEST]
    return f"internal error, {said}; --debug shows where", 1


def _globals_first(arguments: list[str]) -> list[str]:
    """Let -v, -q and --debug stand behind the command as well as before it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [word for word in arguments[:end] if word in _GLOBALS]
    rest = [word for word in arguments[:end] if word not in _GLOBALS]
    return flags + rest + arguments[end:]


def _fail(message: str, status: int) -> int:
    if "--debug" in sys.argv:
        traceback.print_exc()
    sys.stderr.write(f"covid-cxr: {' '.join(message.split())}\n")
    return status
