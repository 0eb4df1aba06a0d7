"""Names that stand for code: plain dicts of "module:function", extended by entry points.

A registry imports nothing until a name is used, so that listing the choices stays cheap and
works where an optional dependency is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from covid_cxr.errors import MissingDependency, UnknownName


def names(builtin: Mapping[str, str], group: str) -> dict[str, str]:
    """Return name -> "module:function" of the built-in entries and of installed plugins.

    Args:
        builtin: the registry's own dict; its names cannot be taken over by a plugin.
        group: entry point group such as "covid_cxr.datasets".
    """
    plugins = {point.name: point.value for point in entry_points(group=group)}
    return plugins | dict(builtin)


def check(kind: str, name: str, builtin: Mapping[str, str], group: str) -> str:
    """Return the "module:function" of a name.

    Raises:
        UnknownName: no such name; the message suggests the closest.
    """
    choices = names(builtin, group)
    if name not in choices:
        raise UnknownName(kind, name, choices)
    return choices[name]


def resolve(kind: str, name: str, builtin: Mapping[str, str], group: str) -> Any:
    """Import and return what `name` stands for.

    Raises:
        UnknownName: no such name; the message suggests the closest.
        MissingDependency: the code needs an extra that is not installed.
    """
    module, _, attribute = check(kind, name, builtin, group).partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("covid_cxr"):
            raise
        raise MissingDependency(
            f"{kind} '{name}' needs the package '{error.name}', which is not installed: "
            "pip install 'covid-cxr[train]'"
        ) from error
