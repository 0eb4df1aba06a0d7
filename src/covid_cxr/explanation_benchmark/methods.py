"""Which methods an evaluation compares, as they are spelled: `cam`, `lime`, `lime:lungs,blur`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from covid_cxr import explain, registry
from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.base import Options
from covid_cxr.explain.measures.baselines import BASELINES

_NOT_SPELLED = ("seed", "lungs", "batch_size")


@dataclass(frozen=True)
class Variant:
    """A method with options of its own.

    Attributes:
        name: as it was spelled, `lime:lungs,blur`.
        method: in `covid_cxr.explain.EXPLAINERS`.
        changes: options that differ from the evaluation's.
    """

    name: str
    method: str
    changes: tuple[tuple[str, Any], ...] = ()

    def options(self, **common: Any) -> Options:
        """Return the options it is run with; its own win over the common ones.

        Raises:
            InputError: a value that no method can work with.
        """
        return Options(**(common | dict(self.changes)))


def default_methods() -> tuple[str, ...]:
    """Return every known method, and LIME with what else it can hide and where."""
    known = sorted(registry.names(explain.EXPLAINERS, explain.GROUP))
    return (*known, "lime:lungs,dark", "lime:lungs,blur")


def parse(text: str) -> list[Variant]:
    """Return the variants of a list such as `cam,lime:lungs,blur,samples=300,occlusion`.

    Behind the colon stand words (what regions follow, what hides them) and KEY=VALUE for any
    number among the options; a word that is no option begins the next method.

    Raises:
        UnknownName: no such method, or no such option.
        InputError: the list is empty, names one method twice, or holds a value that is none.
    """
    spelled: list[str] = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        goes_on = spelled and ":" in spelled[-1] and ":" not in part
        if goes_on and (part in _words() or "=" in part):
            spelled[-1] += f",{part}"
        else:
            spelled.append(part)
    return variants(spelled)


def variants(names: Sequence[str]) -> list[Variant]:
    """Return the variants that `names` spell; see `parse` for what is raised."""
    made = [_variant(name) for name in names]
    twice = {name for name in names if list(names).count(name) > 1}
    if not made or twice:
        said = f"'{min(twice)}' is named twice" if twice else "no method is named"
        raise InputError(f"{said}; expected methods such as cam,lime,lime:lungs,blur")
    return made


def _variant(name: str) -> Variant:
    method, _, rest = name.partition(":")
    known = registry.names(explain.EXPLAINERS, explain.GROUP)
    if method not in known:
        raise UnknownName("explainer", method, known)
    if method in BASELINES:
        raise InputError(f"explainer '{method}' has the name of a baseline; rename the plugin")
    found = Variant(name, method, tuple(_change(part) for part in rest.split(",") if part))
    found.options()
    return found


def _change(part: str) -> tuple[str, Any]:
    key, equals, value = part.partition("=")
    words = _words()
    if not equals:
        if part not in words:
            raise UnknownName("option", part, [*words, *(f"{each}=" for each in _numbers())])
        return words[part], part
    numbers = _numbers()
    if key not in numbers:
        raise UnknownName("option", key, numbers)
    try:
        return key, numbers[key](value)
    except ValueError:
        raise InputError(f"option '{part}': '{value}' is no number") from None


def _words() -> dict[str, str]:
    """Return word -> the option it sets, of every option that is a choice of words."""
    hints = get_type_hints(Options)
    return {
        word: name
        for name, hint in hints.items()
        if get_origin(hint) is Literal
        for word in get_args(hint)
    }


def _numbers() -> dict[str, type[int] | type[float]]:
    hints = get_type_hints(Options)
    spelled = [each.name for each in dataclasses.fields(Options) if each.name not in _NOT_SPELLED]
    kinds = {name: (hints[name], *get_args(hints[name])) for name in spelled}
    return {
        name: int if int in among else float
        for name, among in kinds.items()
        if int in among or float in among
    }
