"""What a search is: the default recipe, the space around it, the objective and the budget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from covid_cxr import config as configuration
from covid_cxr.config import RunConfig, Strict, first_problem, recipe_file
from covid_cxr.errors import ConfigError
from covid_cxr.search.space import Space, Value

Sampler = Literal["tpe", "random", "grid", "exhaustive"]
Measure = Literal["latency", "size"]


class ObjectiveConfig(Strict):
    """How a recipe is scored, on training and validation images alone.

    Attributes:
        kind: validation: one training, scored on the validation rows; out-of-fold: every row by a
            training without its patient; leave-out: hold-out validation over sources and sites.
        metric: of COVID-19 against the rest; leave-out always takes the AUROC.
        folds: for out-of-fold.
        repeats: scorings with other seeds; their mean is the score.
        also: measures that are minimised beside, which gives a Pareto front.
    """

    kind: Literal["validation", "out-of-fold", "leave-out"] = "validation"
    metric: Literal["auroc", "average-precision"] = "auroc"
    folds: int = Field(5, ge=2, le=50)
    repeats: int = Field(1, ge=1, le=100)
    also: tuple[Measure, ...] = ()

    @model_validator(mode="after")
    def _metric_is_the_kinds(self) -> ObjectiveConfig:
        if self.kind == "leave-out" and self.metric != "auroc":
            raise ValueError(f"metric '{self.metric}' with kind 'leave-out', expected 'auroc'")
        return self


class SearchConfig(Strict):
    """One search, whole. Saved resolved as `search.json` in its folder.

    Attributes:
        recipe: the default recipe, trial 0.
        space: field -> what it varies over.
        trials: at most; an exhaustive search takes every combination.
        prune: stop trials that fall behind, by Hyperband on epochs or folds.
        impossible: what to do where some combinations cannot be trained: reject the space, or
            skip these combinations.
        heartbeat: seconds between a worker's signs of life; one that gives none for six times as
            long is taken for dead, and its trial is repeated.
    """

    name: str = Field("search", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    recipe: RunConfig = RunConfig()
    space: Space = Field(min_length=1)
    objective: ObjectiveConfig = ObjectiveConfig()
    sampler: Sampler = "tpe"
    trials: int = Field(50, ge=1)
    prune: bool = True
    impossible: Literal["reject", "skip"] = "reject"
    seed: int = Field(2020, ge=0, lt=2**31)
    heartbeat: int = Field(10, ge=1)


class _SearchFile(SearchConfig):
    """The YAML file: the recipe ships or is a file beside it, and `settings` change it."""

    recipe: str | None = None  # type: ignore[assignment]
    settings: dict[str, Value | dict[str, Value]] = Field(default_factory=dict)


def load(path: Path | str) -> SearchConfig:
    """Read a search's YAML file and the recipe that it names.

    Raises:
        ConfigError: no such file, not YAML, an unknown key or a value out of range.
    """
    path = recipe_file(path)
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
        file = _SearchFile.model_validate(raw)
    except OSError as error:
        raise ConfigError(f"config '{path}' cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config '{path}' is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {first_problem(error)}") from error
    recipe = configuration.load(path.parent / recipe_file(file.recipe) if file.recipe else None)
    recipe = configuration.with_settings(recipe, file.settings)
    own = file.model_dump(exclude={"recipe", "settings"})
    return SearchConfig.model_validate(own | {"recipe": recipe})
