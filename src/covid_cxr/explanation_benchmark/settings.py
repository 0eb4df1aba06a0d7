"""How much an evaluation of explanations does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from covid_cxr.errors import InputError
from covid_cxr.explain.measures.faithfulness import STEPS
from covid_cxr.explain.measures.sanity import STAGES
from covid_cxr.explanation_benchmark.methods import Variant
from covid_cxr.metrics import Bootstrap

Budget = Literal["quick", "full"]


@dataclass(frozen=True)
class Settings:
    """What is measured, on how many films.

    Against radiologists every film is measured. The rest costs many forward passes a film, and is
    measured on the first films of a seeded order of those that the model calls COVID-19, which
    have a score to lose.

    Attributes:
        methods: what is compared.
        samples: of the sampling methods.
        seed: of methods, subsets, random orders, noise and random layers.
        films: at most so many films in all, drawn by seed; None takes all.
        faithful: films for deletion and insertion.
        robust: films for noise and shifts.
        repeated: films for other seeds.
        sane: films for random layers.
        repeat_samples: numbers of samples to repeat with.
        stages: of the cascade of random layers.
        steps: of a deletion curve.
        orders: random orders a film.
        n_resamples: of the bootstrap.
        labels: whether networks are trained on true and on permuted labels, about a minute.
    """

    methods: tuple[Variant, ...]
    samples: int = 1000
    seed: int = 0
    films: int | None = None
    faithful: int = 20
    robust: int = 10
    repeated: int = 10
    sane: int = 10
    repeat_samples: tuple[int, ...] = (100, 300, 1000, 3000)
    stages: tuple[str, ...] = tuple(STAGES)
    steps: int = STEPS
    orders: int = 5
    n_resamples: int = 2000
    labels: bool = True

    @property
    def bootstrap(self) -> Bootstrap:
        """The bootstrap over patients behind every interval."""
        return Bootstrap(self.n_resamples, self.seed)

    def __post_init__(self) -> None:
        """Refuse what measures nothing."""
        if self.films is not None and self.films < 1:
            raise InputError(f"films is {self.films}, expected at least 1")


def settings(
    budget: Budget,
    methods: tuple[Variant, ...],
    *,
    samples: int | None = None,
    seed: int = 0,
    films: int | None = None,
) -> Settings:
    """Return the settings of a budget: "quick" for a look, "full" for numbers to report."""
    chosen = Settings(methods, samples=samples or 1000, seed=seed, films=films)
    if budget == "full":
        return chosen
    return replace(
        chosen,
        samples=samples or 300,
        faithful=8,
        robust=3,
        repeated=3,
        sane=3,
        repeat_samples=(100, 300),
        stages=("head", "all"),
        orders=3,
        labels=False,
    )
