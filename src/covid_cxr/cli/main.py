"""The `covid-cxr` command: its options, its errors and its exit status."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Annotated

import click
import typer
from rich.console import Console
from rich.logging import RichHandler

from covid_cxr.cli import build, cohort, use
from covid_cxr.errors import CovidCxrError
from covid_cxr.types import DISCLAIMER

app = typer.Typer(
    name="covid-cxr",
    help=f"Explained COVID-19 prediction from frontal chest X-rays.\n\n{DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
build.add_to(app)
cohort.add_to(app)
use.add_to(app)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more.")] = 0,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what failed.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
) -> None:
    if version:
        from covid_cxr import __version__

        typer.echo(__version__)
        raise typer.Exit
    level = logging.WARNING if quiet else logging.DEBUG if verbose > 1 else logging.INFO
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("covid_cxr").setLevel(level)
    context.obj = {"quiet": quiet, "debug": debug}


def main() -> None:
    """Run the command line and leave with its exit status.

    0 done, 1 a fault of ours, 2 bad input or usage, 3 a leak was found, 4 every file was answered
    but some with an error, 130 interrupted.
    """
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    try:
        status = app(arguments, prog_name="covid-cxr", standalone_mode=False)
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted; the same command goes on where it can")
        return 130
    except CovidCxrError as error:
        if debug:
            traceback.print_exc()
        _say(" ".join(str(error).split()))
        return error.exit_status
    except OSError as error:
        if debug:
            traceback.print_exc()
        where = f"'{error.filename}': " if error.filename else ""
        _say(f"{where}{error.strerror or error}")
        return 2
    except Exception as error:  # noqa: BLE001 - the last resort: say it in one line
        if debug:
            traceback.print_exc()
        _say(f"a fault of ours, {type(error).__name__}: {error}; --debug shows where")
        return 1


def _say(message: str) -> None:
    sys.stderr.write(f"covid-cxr: {message}\n")
