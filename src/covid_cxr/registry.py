"""Names that stand for code: plain dicts of "module:function", extended by entry points.

A registry imports nothing until a name is used, so that listing the choices stays cheap and
works where an optional dependency is missing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from covid_cxr.errors import InputError, MissingDependency, UnknownName

# What the import of a plugin fails with, short of exceptions of its own.
_FAILURES = (ImportError, AttributeError, NameError, SyntaxError, TypeError, ValueError, OSError)


def names(builtin: Mapping[str, str], group: str) -> dict[str, str]:
    """Return name -> "module:function" of the built-in entries and of installed plugins.

    Args:
        builtin: the registry's own dict; its names cannot be taken over by a plugin.
        group: entry point group such as "covid_cxr.datasets".
    """
    plugins = {point.name: point.value for point in entry_points(group=group)}
    return plugins | dict(builtin)


def summaries(builtin: Mapping[str, str], group: str, *, of_module: bool = False) -> dict[str, str]:
    """Return name -> first line of the docstring; "" where there is none. Imports none of them.

    Args:
        builtin: the registry's own dict.
        group: entry point group.
        of_module: take the docstring of the module in place of the function's.
    """
    return {name: _summary(target, of_module) for name, target in names(builtin, group).items()}


def _summary(target: str, of_module: bool) -> str:
    module, _, attribute = target.partition(":")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # of a plugin whose own dependency is missing
        return ""
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return ""
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    own = (
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute
    )
    node = tree if of_module else next(own, None)
    text = ast.get_docstring(node) if node else None
    return (text or "").partition("\n")[0]


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
        MissingDependency: the code needs a package that is not installed.
        InputError: a plugin cannot be imported; the message names it and its package.
    """
    target = check(kind, name, builtin, group)
    try:
        return EntryPoint(name, target, group).load()
    except _FAILURES as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if name in builtin:
            if missing is None or missing.startswith("covid_cxr"):
                raise
            raise MissingDependency(
                f"{kind} '{name}' needs the package '{missing}', which is not installed: "
                "pip install 'covid-cxr[train]'"
            ) from error
        plugin = described(kind, name, builtin, group)
        if missing is not None and missing != target.partition(":")[0]:
            raise MissingDependency(
                f"{plugin} needs the package '{missing}', which is not installed: "
                f"pip install '{missing}'"
            ) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{plugin} cannot be imported from '{target}' ({reason}); repair or uninstall it"
        ) from error


def described(kind: str, name: str, builtin: Mapping[str, str], group: str) -> str:
    """Return kind and name, and the package of a plugin, as error messages begin.

    >>> described("explainer", "lime", {"lime": "m:f"}, "covid_cxr.explainers")
    "explainer 'lime'"
    """
    if name in builtin:
        return f"{kind} '{name}'"
    packages = {
        f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
        for point in entry_points(group=group)
        if point.name == name
    }
    return f"{kind} '{name}' of the package {' and of '.join(sorted(packages))}"


def check_parameters(function: Callable[..., Any], count: int, owner: str, expected: str) -> None:
    """Check that `function` can be called with `count` arguments by position.

    Args:
        function: a plugin's.
        count: of arguments.
        owner: as `described` returns it.
        expected: the signature in words.

    Raises:
        InputError: it cannot, or is no function.
    """
    try:
        signature(function).bind(*[None] * count)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{owner} is {_signature_of(function)}, expected a function {expected}"
        ) from error


def _signature_of(found: object) -> str:
    try:
        return f"{getattr(found, '__qualname__', found)!s}{signature(found)}"  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return f"a {type(found).__name__}"
