"""The command line: one subcommand, one function call. Heavy imports happen inside commands."""

from covid_cxr.cli.main import main, run

__all__ = ["main", "run"]
