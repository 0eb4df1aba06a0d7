"""The exceptions covid-cxr raises on purpose, and the exit status each one carries.

CovidCxrError                1   an internal error (export parity, a broken invariant)
+-- InputError               2   bad input or usage; the message says which, and what to do
|   +-- UnreadableImage          bytes that are not a decodable image
|   +-- ConfigError              a configuration that does not validate
|   +-- CohortError              a data set or cohort file that does not hold what it must
|   |   +-- AlteredImage             a file that is not the one that the cohort was built on
|   +-- BundleError              a model bundle that is damaged, altered or from another version
|   +-- TrainingError            a training that diverged, or a fit that has no finite solution
|   +-- UnknownName              a registry name that does not exist (the closest is suggested)
|   +-- MissingDependency        an optional extra that is not installed
+-- LeakError                3   a patient or duplicate image stands on both sides of a split
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CovidCxrError(Exception):
    """Base of every error raised on purpose; `exit_status` is what the command line returns."""

    exit_status = 1


class InputError(CovidCxrError):
    """Input or usage that cannot be worked with; nothing was written or lost."""

    exit_status = 2


class UnreadableImage(InputError):
    """The bytes are no image that can be decoded; the batch goes on without it."""


class ConfigError(InputError):
    """A configuration value is unknown, of the wrong type or out of range."""


class CohortError(InputError):
    """A data set or cohort file lacks columns, rows or files that it must have."""


class AlteredImage(CohortError):
    """An image's bytes are not those whose label and patient the cohort states."""


class BundleError(InputError):
    """A model bundle is missing files, altered, or written by an incompatible version."""


class TrainingError(InputError):
    """A training or a fit whose loss, weights or answers are not finite."""


class MissingDependency(InputError):
    """A feature needs an optional extra that is not installed."""


class UnknownName(InputError):
    """A name is not in its registry.

    Args:
        kind: what was looked up, in the user's words ("model", "explainer").
        name: the name that was not found.
        choices: the names that exist.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        choices = sorted(choices)
        close = difflib.get_close_matches(name, choices, n=1, cutoff=0.4)
        hint = f"did you mean '{close[0]}'? " if close else ""
        super().__init__(f"unknown {kind} '{name}': {hint}known are {', '.join(choices)}")


class LeakError(CovidCxrError):
    """A patient or a duplicate image stands on both sides of a split."""

    exit_status = 3
