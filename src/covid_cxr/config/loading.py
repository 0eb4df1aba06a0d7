"""A configuration file -> validated settings, and back to resolved JSON."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from covid_cxr.config.settings import RunConfig
from covid_cxr.errors import ConfigError

_RECIPES = Path(__file__).parent / "recipes"


def load(path: Path | str | RunConfig | None, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a YAML (or resolved JSON) file and apply `key=value` overrides.

    Args:
        path: a file, the name of a recipe that ships (`recipes()`), or settings to change; None
            starts from the defaults.
        overrides: such as "model=dcnn-resnet" or "training.max_epochs=3"; values are YAML.

    Raises:
        ConfigError: no such file or recipe, not YAML, an unknown key or a value out of range.
    """
    raw = _start(path)
    for override in overrides:
        _apply(raw, override)
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        where = path if isinstance(path, Path | str) else "settings"
        raise ConfigError(f"{where}: {first_problem(error, RunConfig)}") from error


def recipes() -> list[str]:
    """Return the names of the recipes that ship: "default" is that of the bundle that ships."""
    return sorted(path.stem for path in _RECIPES.glob("*.yaml") if "search" not in path.stem)


def recipe_file(given: Path | str) -> Path:
    """Return the file to read for a path, or for the name of a recipe that ships.

    A file comes before a recipe of the same name.
    """
    path, shipped = Path(given), _RECIPES / f"{given}.yaml"
    is_name = len(path.parts) == 1 and not path.is_file() and shipped.is_file()
    return shipped if is_name else path


def with_settings(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return `config` with other values, such as {"training.max_epochs": 3}, validated.

    Raises:
        ConfigError: an unknown key, a value out of range, or values that do not go together.
    """
    raw = config.model_dump(mode="json")
    for key, value in values.items():
        _assign(raw, key, value, f"setting '{key}'")
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(first_problem(error, RunConfig)) from error


def dump(config: RunConfig) -> str:
    """Return the resolved configuration as indented JSON (which `load` reads back)."""
    return json.dumps(config.model_dump(mode="json"), indent=2) + "\n"


def _start(given: Path | str | RunConfig | None) -> dict[str, Any]:
    if isinstance(given, RunConfig):
        return given.model_dump(mode="json")
    return {} if given is None else _read(given)


def _read(path: Path | str) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(recipe_file(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError as error:
        raise ConfigError(
            f"config '{path}' is neither a file nor a recipe that ships: {', '.join(recipes())}"
        ) from error
    except OSError as error:
        raise ConfigError(f"config '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"config '{path}' is not YAML: {reason}") from error
    if not isinstance(raw, dict):
        raise ConfigError(
            f"config '{path}' holds a {type(raw).__name__}, expected key: value lines"
        )
    return raw


def _apply(raw: dict[str, Any], override: str) -> None:
    key, sep, text = override.partition("=")
    if not sep or not key:
        raise ConfigError(f"override '{override}' is not key=value, such as model=resnet18")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override '{override}': the value is not YAML") from error
    _assign(raw, key, value, f"override '{override}'")


def _assign(raw: dict[str, Any], key: str, value: Any, what: str) -> None:
    *parents, leaf = key.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{what}: '{parent}' is a value, not a group of keys")
    node[leaf] = value


def first_problem(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return in one line what is wrong first, and how much more is.

    With the model that was validated, an unknown key is answered with the nearest known one.
    """
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        near = _nearest(where, model) if model else ""
        hint = f"did you mean '{near}'?" if near else "remove or rename it"
        return f"unknown key '{where}'; {hint}{more}"
    said = problem["msg"].removeprefix("Value error, ")  # pydantic's word for a rule of ours
    if isinstance(problem["input"], dict):  # a rule on several keys: its message names them
        return f"'{where}': {said}{more}" if where else f"{said}{more}"
    return f"'{where}' is {problem['input']!r}: {said}{more}"


def _nearest(key: str, model: type[BaseModel]) -> str:
    """Return the known key nearest to an unknown one, in the same group; "" where none is near."""
    *groups, leaf = key.split(".")
    for group in groups:
        field = model.model_fields.get(group)
        if field is None or not isinstance(field.annotation, type):
            return ""
        if not issubclass(field.annotation, BaseModel):
            return ""
        model = field.annotation
    close = difflib.get_close_matches(leaf, model.model_fields, n=1)
    return ".".join([*groups, *close]) if close else ""
