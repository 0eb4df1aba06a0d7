"""A typed search space: which fields of the configuration vary, and over which values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeGuard

import numpy as np
import optuna
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from covid_cxr.config import RunConfig, Strict
from covid_cxr.errors import ConfigError

Value = float | int | str | bool | None


class Conditional(Strict):
    """What every kind of parameter has.

    Attributes:
        when: field -> value or values; the parameter varies only where all of them hold.
    """

    when: dict[str, Value | tuple[Value, ...]] = Field(default_factory=dict)

    def applies(self, config: Mapping[str, Any]) -> bool:
        """Return whether the conditions hold for nested settings."""
        for field, wanted in self.when.items():
            allowed = wanted if isinstance(wanted, tuple) else (wanted,)
            if value_of(config, field) not in allowed:
                return False
        return True


class FloatParameter(Conditional):
    """Real numbers from `low` to `high`, on a logarithmic scale with `log`.

    Attributes:
        step: distance of the values that are tried; None: any value.
        points: values that a grid takes of an interval without a step.
    """

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None
    points: PositiveInt | None = None

    @model_validator(mode="after")
    def _makes_an_interval(self) -> FloatParameter:
        _check_interval(self.low, self.high, self.log)
        if self.log and self.step:
            raise ValueError("log with step; give one of them")
        return self

    def suggest(self, trial: optuna.Trial, field: str) -> Value:
        return trial.suggest_float(field, self.low, self.high, log=self.log, step=self.step)

    def contains(self, value: Value) -> bool:
        """Return whether a trial can have this value."""
        if not _is_number(value) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0
        return abs(steps - round(steps)) < 1e-8

    def grid(self) -> tuple[Value, ...] | None:
        """Return the values of a grid; None where there is no end of them."""
        if self.step:
            count = int((self.high - self.low) / self.step + 1e-9)
            return tuple(float(self.low + i * self.step) for i in range(count + 1))
        if self.points is None:
            return None
        space = np.geomspace if self.log else np.linspace
        return tuple(float(value) for value in space(self.low, self.high, self.points))

    def samples(self) -> tuple[Value, ...]:
        """Return values at which to check the space: both ends and one between."""
        grid = self.grid() if self.step else None
        return grid or (self.low, self.high, self.low + 0.3819 * (self.high - self.low))


class IntParameter(Conditional):
    """Whole numbers from `low` to `high`."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: PositiveInt = 1

    @model_validator(mode="after")
    def _makes_an_interval(self) -> IntParameter:
        _check_interval(self.low, self.high, self.log)
        if self.log and self.step != 1:
            raise ValueError("log with step; give one of them")
        return self

    def suggest(self, trial: optuna.Trial, field: str) -> Value:
        return trial.suggest_int(field, self.low, self.high, log=self.log, step=self.step)

    def contains(self, value: Value) -> bool:
        """Return whether a trial can have this value."""
        return _is_number(value) and value in range(self.low, self.high + 1, self.step)

    def grid(self) -> tuple[Value, ...]:
        return tuple(range(self.low, self.high + 1, self.step))

    def samples(self) -> tuple[Value, ...]:
        values = self.grid()
        return values if len(values) <= 20 else (values[0], values[len(values) // 2], values[-1])


class ChoiceParameter(Conditional):
    """One of several values."""

    type: Literal["choice"]
    values: Annotated[tuple[Value, ...], Field(min_length=1)]

    def suggest(self, trial: optuna.Trial, field: str) -> Value:
        return trial.suggest_categorical(field, self.values)

    def contains(self, value: Value) -> bool:
        """Return whether a trial can have this value."""
        return value in self.values

    def grid(self) -> tuple[Value, ...]:
        return self.values

    def samples(self) -> tuple[Value, ...]:
        return self.values


Parameter = Annotated[FloatParameter | IntParameter | ChoiceParameter, Field(discriminator="type")]
Space = dict[str, Parameter]


def suggest(trial: optuna.Trial, space: Space, config: RunConfig) -> dict[str, Value]:
    """Return the values that the sampler proposes for a trial, in the order of the space.

    Args:
        trial: asked for each parameter whose conditions hold.
        space: by field.
        config: the default recipe, for conditions on fields that do not vary.
    """
    settings, chosen = config.model_dump(mode="json"), {}
    for field, parameter in space.items():
        if parameter.applies(settings):
            chosen[field] = parameter.suggest(trial, field)
            _assign(settings, field, chosen[field])
    return chosen


def default_values(space: Space, config: RunConfig) -> dict[str, Value]:
    """Return the default recipe's place in the space.

    Raises:
        ConfigError: it lies outside.
    """
    settings, values = config.model_dump(mode="json"), {}
    for field, parameter in space.items():
        if not parameter.applies(settings):
            continue
        value = value_of(settings, field)
        if not parameter.contains(value):
            raise ConfigError(
                f"space '{field}': the recipe has {value!r}, outside {describe(parameter)}; widen "
                "the range, or give the recipe another value under 'settings': trial 0 is the "
                "recipe itself"
            )
        values[field] = value
    return values


def combinations(
    space: Space, config: RunConfig, *, corners: bool = False
) -> Iterator[dict[str, Value]]:
    """Yield every combination of a finite space, conditions kept.

    Args:
        space: by field.
        config: the default recipe.
        corners: take the ends of an interval without a step and one value between.

    Raises:
        ConfigError: a parameter has no end of values.
    """
    values = [
        (field, parameter, parameter.samples() if corners else finite_values(field, parameter))
        for field, parameter in space.items()
    ]
    yield from _combine(values, config.model_dump(mode="json"), {})


def finite_values(field: str, parameter: Parameter) -> tuple[Value, ...]:
    """Return the values that a grid tries of a parameter.

    Raises:
        ConfigError: there is no end of them.
    """
    values = parameter.grid()
    if values is None:
        assert isinstance(parameter, FloatParameter)  # the only kind without an end
        raise ConfigError(
            f"space '{field}': any number from {parameter.low:g} to {parameter.high:g} makes no "
            "finite grid; give step or points, or take the sampler tpe or random"
        )
    return values


def describe(parameter: Parameter) -> str:
    """Return a range in words, such as "1e-05 to 0.001 (log)"."""
    if isinstance(parameter, ChoiceParameter):
        return " | ".join(map(str, parameter.values))
    scale = " (log)" if parameter.log else ""
    return f"{parameter.low:g} to {parameter.high:g}{scale}"


def value_of(settings: Mapping[str, Any], field: str) -> Any:
    """Return what nested settings hold for a dotted field; None where they hold nothing."""
    node: Any = settings
    for part in field.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    return node


def _combine(
    values: list[tuple[str, Parameter, tuple[Value, ...]]],
    settings: dict[str, Any],
    chosen: dict[str, Value],
) -> Iterator[dict[str, Value]]:
    if not values:
        yield dict(chosen)
        return
    (field, parameter, options), rest = values[0], values[1:]
    if not parameter.applies(settings):
        yield from _combine(rest, settings, chosen)
        return
    before = value_of(settings, field)
    for option in options:
        _assign(settings, field, option)
        yield from _combine(rest, settings, chosen | {field: option})
    _assign(settings, field, before)


def _assign(settings: dict[str, Any], field: str, value: Value) -> None:
    *parents, leaf = field.split(".")
    node = settings
    for parent in parents:
        node = node.setdefault(parent, {})
    node[leaf] = value


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_interval(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"low {low:g} is above high {high:g}")
    if log and low <= 0:
        raise ValueError(f"log with low {low:g}, expected above 0")
