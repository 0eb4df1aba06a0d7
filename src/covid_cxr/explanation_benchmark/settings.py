"""What an evaluation of explanations compares, and how much it measures."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from covid_cxr import explain, registry
from covid_cxr.errors import InputError, MissingDependency
from covid_cxr.explain.measures.baselines import BASELINES
from covid_cxr.explain.measures.faithfulness import STEPS
from covid_cxr.explain.measures.sanity import STAGES
from covid_cxr.files import packaged
from covid_cxr.metrics import Bootstrap
from covid_cxr.results.explanation_benchmark import BenchmarkSettings

Budget = Literal["quick", "full"]

# As COVID-CXR (2020) ran LIME; what a method has not among its settings is left out.
_COMMON = {
    "superpixels": "quickshift",
    "regions": 64,
    "sampling": "bernoulli",
    "stopping_reliability": None,
}
_EXPECTED = "expected a YAML list such as [{method: cam}, {method: lime, regions: 32}]"


class MethodSpec(BaseModel):
    """An explanation method, and those of its settings that differ from the evaluation's.

    In YAML `{method: lime, superpixels: lungs, regions: 32}`; `explain.settings_of("lime")` has the
    names and bounds. Where it is not told otherwise, a method that hides superpixels is compared as
    COVID-CXR (2020) ran LIME.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    method: str

    @property
    def name(self) -> str:
        """The method and its options as result tables show them: "lime (lungs, regions=32)"."""
        options = [
            value if isinstance(value, str) else f"{key}={value}"
            for key, value in self._changes().items()
        ]
        return f"{self.method} ({', '.join(options)})" if options else self.method

    def settings(self, *, samples: int, seed: int) -> explain.Settings:
        """Return the settings that the method is run with; its own replace the common ones.

        Raises:
            UnknownName: the method has no such setting.
            InputError: a value is of the wrong type or out of bounds.
        """
        explainer = explain.get(self.method)
        common = {**_COMMON, "samples": samples, "seed": seed}
        own = {name: common[name] for name in common if name in explainer.settings.names()}
        return explainer.configure(own | self._changes())

    def _changes(self) -> dict[str, Any]:
        return self.model_extra or {}


class Settings(BenchmarkSettings):
    """The settings of an evaluation and the methods it compares."""

    methods: tuple[MethodSpec, ...]
    stages: tuple[str, ...] = tuple(STAGES)
    steps: int = STEPS

    @property
    def bootstrap(self) -> Bootstrap:
        """The bootstrap over patients behind every interval."""
        return Bootstrap(self.n_resamples, self.seed)

    @classmethod
    def of(
        cls,
        budget: Budget,
        methods: tuple[MethodSpec, ...],
        *,
        samples: int | None = None,
        seed: int = 0,
        images: int | None = None,
    ) -> Self:
        """Return the settings of a budget: "quick" for a look, "full" for numbers to report."""
        values = packaged(__package__, "budgets.yaml")[budget]
        values |= {"samples": samples} if samples else {}
        return cls.model_validate(
            {**values, "methods": methods, "seed": seed, "images": images}, strict=False
        )


def default_methods() -> tuple[MethodSpec, ...]:
    """Return the methods of `methods.yaml`, and those of installed plugins."""
    listed = read_methods(files(__package__).joinpath("methods.yaml").read_text("utf-8"))
    plugins = set(registry.names(explain.EXPLAINERS, explain.GROUP)) - set(explain.EXPLAINERS)
    return (*listed, *(MethodSpec(method=name) for name in sorted(plugins)))


def read_methods(text: str) -> tuple[MethodSpec, ...]:
    """Return the methods that a YAML list names, given as a file's path or as YAML.

    Raises:
        UnknownName: no such method, or no such setting.
        InputError: no such list, a value that no method can work with, or a method named twice.
    """
    methods = tuple(_validate(entry) for entry in _parse(text))
    for method in methods:
        if methods.count(method) > 1:
            raise InputError(f"'{method.name}' is named twice; {_EXPECTED}")
    return methods


def _parse(text: str) -> list[object]:
    path = Path(text)
    try:
        content = path.read_text("utf-8") if path.suffix in (".yaml", ".yml") else text
        entries = yaml.safe_load(content)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise InputError(f"the methods are not YAML; {_EXPECTED}") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"no method is named in '{text}'; {_EXPECTED}")
    return entries


def _validate(entry: object) -> MethodSpec:
    content = {"method": entry} if isinstance(entry, str) else entry
    try:
        spec = MethodSpec.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "method"
        raise InputError(f"{where} of {entry}: {problem['msg']}; {_EXPECTED}") from error
    registry.check("explainer", spec.method, explain.EXPLAINERS, explain.GROUP)
    if spec.method in BASELINES:
        raise InputError(f"explainer '{spec.method}' has the name of a baseline; rename the plugin")
    if own := {"seed", "batch_size"} & set(spec.model_extra or {}):
        raise InputError(f"'{min(own)}' of {entry} is the same for all methods; leave it out")
    with suppress(MissingDependency):  # then the evaluation says that the method cannot be run
        spec.settings(samples=1000, seed=0)
    return spec
