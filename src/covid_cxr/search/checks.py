"""What can be known of a search before any training: whether its space can work."""

from __future__ import annotations

import difflib
import itertools
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from covid_cxr import registry
from covid_cxr.config import RunConfig, first_problem, with_settings
from covid_cxr.errors import ConfigError
from covid_cxr.models import zoo
from covid_cxr.search.settings import SearchConfig
from covid_cxr.search.space import (
    Conditional,
    Value,
    combinations,
    default_values,
    finite_values,
)
from covid_cxr.types import CLASSES

MOST_COMBINATIONS = 20_000  # of a grid
_MOST_CHECKED = 1_000
# What no training reads: a search over it would compare a recipe with itself.
_WITHOUT_EFFECT = {
    "name": "is a name",
    "data_root": "is given by --data",
    "cohort": "is given by --cohort",
    "evaluation": "changes the operating point, not the ranking that is scored",
    "explain": "changes explanations, not the training",
    "audit": "changes the audit, not the training",
}


class SpaceSummary(NamedTuple):
    """What was checked of a space.

    Attributes:
        checked: combinations of ends, choices and values between.
        impossible: reason -> how many of them cannot be trained.
    """

    checked: int
    impossible: Mapping[str, int]


def check(search: SearchConfig) -> SpaceSummary:
    """Check that a search can work, without reading an image.

    Raises:
        ConfigError: a field that does not exist or has no effect, a value that it cannot have,
            conditions that never hold, combinations that cannot be trained (all of them where
            `impossible` is "skip"), a default recipe outside the space, or a grid without end.
        UnknownName: no such architecture.
    """
    for field, parameter in search.space.items():
        _check_field(field)
        _check_conditions(field, parameter, list(search.space))
    default_values(search.space, search.recipe)
    _check_values(search)
    if search.sampler in ("grid", "exhaustive"):
        _check_grid(search)
    return _check_combinations(search)


def _check_field(field: str) -> None:
    head, kind = field.partition(".")[0], _kind(RunConfig, field.split("."))
    if kind is None:
        close = difflib.get_close_matches(field, list(_fields(RunConfig)), n=1, cutoff=0.4)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ConfigError(f"space: the configuration has no field '{field}'{hint}")
    if head in _WITHOUT_EFFECT:
        raise ConfigError(f"space '{field}': {_WITHOUT_EFFECT[head]}; remove it")
    if _is_group(kind):
        raise ConfigError(f"space '{field}' is a group of fields; name one of them")


def _check_conditions(field: str, parameter: Conditional, order: list[str]) -> None:
    for other in parameter.when:
        if _kind(RunConfig, other.split(".")) is None:
            raise ConfigError(f"space '{field}': when names '{other}', which is no field")
        if other in order and order.index(other) >= order.index(field):
            raise ConfigError(f"space '{field}': when names '{other}', which must come before it")


def _check_values(search: SearchConfig) -> None:
    """Raise an error for a value that its field cannot have, whatever the others are."""
    for field, parameter in search.space.items():
        for value in parameter.samples():
            try:
                with_settings(search.recipe, {field: value})
            except ConfigError as error:
                cause = error.__cause__
                assert isinstance(cause, ValidationError)
                if _is_about(cause, field):
                    raise ConfigError(f"space {first_problem(cause)}") from error
        if field == "model":
            for name in map(str, parameter.samples()):
                registry.check("model", name, zoo.ARCHITECTURES, zoo.GROUP)


def _check_grid(search: SearchConfig) -> None:
    for field, parameter in search.space.items():
        finite_values(field, parameter)
    every = combinations(search.space, search.recipe)
    count = sum(1 for _ in itertools.islice(every, MOST_COMBINATIONS + 1))
    if count > MOST_COMBINATIONS:
        raise ConfigError(
            f"space: the grid has more than {MOST_COMBINATIONS:,} combinations; take larger steps "
            "or fewer points, or the sampler tpe or random"
        )


def _check_combinations(search: SearchConfig) -> SpaceSummary:
    registry.check("model", search.recipe.model, zoo.ARCHITECTURES, zoo.GROUP)
    reasons: Counter[str] = Counter()
    examples: list[Mapping[str, Value]] = []
    checked, never = 0, set(search.space)
    probed: set[str] = set()
    for values in _sampled(search):
        checked += 1
        never -= set(values)
        try:
            config = with_settings(search.recipe, values)
        except ConfigError as error:
            examples.append(values)
            reasons[str(error)] += 1
        else:
            if config.training.method == "linear-probe":
                probed.add(config.model)
    if never:
        raise ConfigError(f"space '{min(never)}': its conditions never hold; change when")
    if reasons and (search.impossible == "reject" or len(examples) == checked):
        where = ", ".join(f"{field}={value}" for field, value in examples[0].items())
        raise ConfigError(
            f"space: {len(examples):,} of {checked:,} combinations cannot be trained, such as "
            f"{where}: {next(iter(reasons))}; give the field a condition (when), a smaller range, "
            "or impossible: skip"
        )
    _require_pretrained(probed)
    return SpaceSummary(checked, dict(reasons.most_common()))


def _require_pretrained(models: Iterable[str]) -> None:
    """Raise an error for a linear probe of a network that starts with random weights."""
    for model in sorted(models):
        if not _starts_pretrained(model):
            raise ConfigError(
                f"space: model '{model}' starts with random weights, expected ImageNet weights "
                "where training.method is linear-probe; make it conditional with "
                "when: {training.method: gradient}, or remove it"
            )


def _sampled(search: SearchConfig) -> Iterator[dict[str, Value]]:
    """Yield all corner combinations, or a random part of them where there are too many."""
    every = combinations(search.space, search.recipe, corners=True)
    first = list(itertools.islice(every, _MOST_CHECKED + 1))
    if len(first) <= _MOST_CHECKED:
        yield from first
        return
    rng = np.random.default_rng(search.seed)
    for _ in range(_MOST_CHECKED):
        one = {
            field: parameter.model_copy(update=_one_value(parameter, rng))
            for field, parameter in search.space.items()
        }
        yield from combinations(one, search.recipe, corners=True)


def _one_value(parameter: Any, rng: np.random.Generator) -> dict[str, Any]:
    options = parameter.samples()
    value = options[int(rng.integers(len(options)))]
    if parameter.type == "choice":
        return {"values": (value,)}
    return {"low": value, "high": value, "step": 1 if parameter.type == "int" else None}


def _starts_pretrained(name: str) -> bool:
    """Return whether a network built twice has the same weights below its head."""
    first, second = (
        zoo.build(name, len(CLASSES["binary"])).features.state_dict() for _ in range(2)
    )
    return all(torch.equal(values, second[key]) for key, values in first.items())


def _is_about(error: ValidationError, field: str) -> bool:
    location = tuple(field.split("."))
    return any(
        tuple(str(part) for part in problem["loc"])[: len(location)] == location
        for problem in error.errors()
    )


def _kind(model: Any, parts: list[str]) -> Any:
    """Return the type of a field; None where there is none."""
    kind = _without_none(model)
    if not parts:
        return kind
    if typing.get_origin(kind) is dict:
        return _kind(typing.get_args(kind)[1], parts[1:])
    field = kind.model_fields.get(parts[0]) if _is_group(kind) else None
    return field and _kind(field.annotation, parts[1:])


def _is_group(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (UnionType, typing.Union):
        rest = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields."""
    for name, field in model.model_fields.items():
        kind = _without_none(field.annotation)
        if _is_group(kind):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
