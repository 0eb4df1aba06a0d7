"""What `explain-eval.json` holds: explanation methods measured on one run's images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from covid_cxr.results.estimates import Estimate, Record, ResultFile

EXPLAIN_EVAL = "explain-eval.json"

Subset = Literal["all", "covid-19 called covid-19"]
Group = Literal["agreement", "faithfulness", "robustness", "repeatability", "sanity"]


class Score(Estimate):
    """The mean of a measure over `images`, with its interval over patients."""

    images: int


Measures = dict[str, Score]


class SubsetScores(Record):
    """The methods and baselines on one subset of the images.

    Attributes:
        images, patients: how many.
        methods: method -> measure -> score.
        differences: method -> baseline -> measure -> paired difference.
        beats_all_baselines: method -> the measures in which it is better than every baseline, the
            interval of each paired difference above 0.
    """

    images: int
    patients: int
    methods: dict[str, Measures]
    differences: dict[str, dict[str, Measures]]
    beats_all_baselines: dict[str, tuple[str, ...]]


class LabelRandomisation(Record):
    """Similarity of the maps of two networks, trained on true and on permuted labels.

    `accuracy` is that of both on the images they memorised: not near 1, the check says little.
    """

    images: int
    accuracy: dict[Literal["true", "permuted"], float]
    methods: dict[str, Measures]


class OpacityShare(Record):
    """The mean share of the image, and of the lungs, that opacities cover."""

    image: float
    lungs: float


class BenchmarkSettings(Record):
    """What is measured, on how many images.

    Agreement with radiologists is measured on every image. The rest costs many forward passes an
    image, and is measured on the first images of a seeded order of those that the model calls
    COVID-19, which have a score to lose.

    Attributes:
        samples: of the sampling methods.
        seed: random seed of methods, subsets, random orders, noise and random layers.
        images: at most so many images in all, sampled; None takes all.
        faithfulness: images for deletion and insertion.
        robustness: images for noise and shifts.
        repeatability: images for other seeds.
        sanity: images for random layers.
        repeat_samples: numbers of samples to repeat with.
        stages: of the cascade of random layers.
        steps: of a deletion curve.
        orders: random orders an image.
        n_resamples: of the bootstrap.
        labels: whether networks are trained on true and on permuted labels, about a minute.
    """

    samples: int = 1000
    seed: int = 0
    images: int | None = Field(default=None, ge=1)
    faithfulness: int = 20
    robustness: int = 10
    repeatability: int = 10
    sanity: int = 10
    repeat_samples: tuple[int, ...] = (100, 300, 1000, 3000)
    stages: tuple[str, ...]
    steps: int
    orders: int = 5
    n_resamples: int = 2000
    labels: bool = True


class ExplanationBenchmark(ResultFile):
    """`explain-eval.json`; every image is explained by a model that has not seen its patient.

    Attributes:
        held_out: how the images were kept from the models.
        methods: the compared methods, without the baselines.
        measured_on: images of each group of measures.
        opacities: what a map without information scores as AUPRC.
        seconds: method -> median seconds an image.
        rejected: method -> why it cannot explain an image.
    """

    run: str
    held_out: str
    explained_class: str
    command: str
    date: str
    processors: int | None
    methods: tuple[str, ...]
    settings: BenchmarkSettings
    measured_on: dict[Group, int]
    opacities: OpacityShare
    seconds: dict[str, float]
    rejected: dict[str, str]
    subsets: dict[Subset, SubsetScores]
    label_randomisation: LabelRandomisation | None
    disclaimer: str
