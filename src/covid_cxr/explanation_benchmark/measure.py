"""All measures of one image, method by method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from covid_cxr import explain
from covid_cxr.errors import InputError
from covid_cxr.explain import superpixels
from covid_cxr.explain.base import Model
from covid_cxr.explain.measures import baselines, faithfulness, sanity, stability
from covid_cxr.explain.measures.localisation import agreement
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.settings import MethodSpec, Settings
from covid_cxr.imaging.crop import crop, crop_lungs
from covid_cxr.inference import Predictor
from covid_cxr.results.explanation_benchmark import Group
from covid_cxr.types import COVID, BoolArray, Explanation, FloatArray, Lungs

AGREEMENT: Group = "agreement"
COSTLY: tuple[Group, ...] = ("faithfulness", "robustness", "repeatability", "sanity")
RANDOM = "random"

Values = dict[str, float]  # measure -> value
MethodValues = dict[str, dict[Group, Values]]  # by method


@dataclass(frozen=True)
class PreparedCase:
    """A case as the model sees it, its masks brought to the grid of the model's input.

    Attributes:
        case: of which image.
        image: preprocessed, float32 (1, S, S).
        opacities: bool (S, S).
        lungs: on the same grid; None where not drawn.
        model: the bundle that has not seen it.
    """

    case: Case
    image: FloatArray
    opacities: BoolArray
    lungs: Lungs | None
    model: Model

    @classmethod
    def of(cls, case: Case, predictor: Predictor) -> PreparedCase:
        """Read and preprocess the image of `case` as its bundle says."""
        prepared = predictor.prepare(predictor.read(case.root / case.path, case.sha256))
        grid, lungs = prepared.image.shape[1:], case.lungs
        if lungs is not None:
            visible = crop_lungs(lungs, prepared.box)
            lungs = Lungs(mask_on_grid(visible.right, grid), mask_on_grid(visible.left, grid))
        opacities = mask_on_grid(crop(case.opacities, prepared.box), grid)
        return cls(case, prepared.image, opacities, lungs, predictor.runtime)

    @property
    def both_lungs(self) -> BoolArray | None:
        return None if self.lungs is None else self.lungs.both

    @cached_property
    def column(self) -> int:
        """The explained class among the model's outputs.

        It is COVID-19 for every image, whatever the model calls it: opacities should raise that
        score, and a map of the other class would be its negative.
        """
        return self.model.classes.index(COVID)

    def score(self, images: FloatArray) -> FloatArray:
        """Return the probability of COVID-19 (N,) of images (N, 1, S, S)."""
        return self.model.probabilities(images)[:, self.column].copy()

    def explain(self, method: MethodSpec, samples: int, seed: int) -> Explanation:
        """Return the explanation of COVID-19 by a method."""
        explainer, settings = (
            explain.get(method.method),
            method.settings(samples=samples, seed=seed),
        )
        return explainer(self.image, self.model, COVID, settings, lungs=self.lungs)

    def moved(self, image: FloatArray, move: stability.Move) -> PreparedCase:
        """Return the case with another image, its lungs moved along."""
        lungs = self.lungs
        if lungs is not None:
            lungs = Lungs(stability.moved(lungs.right, move), stability.moved(lungs.left, move))
        return replace(self, image=image, lungs=lungs)


def groups(settings: Settings, rank: int) -> tuple[Group, ...]:
    """Return the groups of measures for the image at `rank` of the order."""
    return (AGREEMENT, *(name for name in COSTLY if rank < getattr(settings, name)))


@dataclass(frozen=True)
class CaseMeasurement:
    """Measures the methods and baselines on one image, but for what is known already.

    Attributes:
        case: prepared.
        wanted: groups.
        values: method -> group -> measures; filled, groups that are in it are left as they are.
        rejected: filled: method -> why it cannot explain this image, which has nothing in `values`.
        settings: methods, samples and seed.
    """

    case: PreparedCase
    wanted: Sequence[Group]
    values: MethodValues
    rejected: dict[str, str]
    settings: Settings

    def run(self) -> Iterator[None]:
        """Measure what is wanted and not yet known, pausing after every method."""
        # the random order comes first: the gain of the others is counted from it
        for name in sorted(baselines.BASELINES, key=lambda name: name != RANDOM):
            try:
                self._baseline(name)
            except InputError as error:
                self.rejected[name] = str(error)
            yield
        explanations: dict[MethodSpec, Explanation] = {}
        for method in self.settings.methods:
            try:
                explanations |= self._method(method)
            except InputError as error:
                self.rejected[method.name] = str(error)
            yield
        self._sanity(explanations)

    def _baseline(self, name: str) -> None:
        case, settings, own = self.case, self.settings, self.values.setdefault(name, {})
        maps = baselines.maps(name, case.image, case.both_lungs, seed=settings.seed)
        if AGREEMENT not in own:
            scores = [agreement(one, case.opacities, case.both_lungs) for one in maps]
            own[AGREEMENT] = {
                key: float(np.mean([values[key] for values in scores])) for key in scores[0]
            }
        if "faithfulness" in self.wanted and "faithfulness" not in own:
            counts = {"repeats": settings.orders, "steps": settings.steps, "seed": settings.seed}
            own["faithfulness"] = (
                faithfulness.random_areas(case.image, case.score, **counts)
                if name == RANDOM
                else self._faithfulness(maps[0])
            )

    def _method(self, method: MethodSpec) -> dict[MethodSpec, Explanation]:
        """Measure one method; return its explanation where random layers are still to be tried."""
        own = self.values.setdefault(method.name, {})
        missing = [group for group in self.wanted if group not in own]
        if not missing:
            return {}
        superpixels.forget()  # timed as if this method were the first on the image
        started = time.perf_counter()
        explanation = self._explain(self.case, method)
        seconds = time.perf_counter() - started
        measures: dict[Group, Callable[[], Values]] = {
            AGREEMENT: lambda: self._agreement(explanation, seconds),
            "faithfulness": lambda: self._faithfulness(explanation.attribution),
            "robustness": lambda: self._robustness(method, explanation),
            "repeatability": lambda: self._repeatability(method),
        }
        own.update({group: measures[group]() for group in missing if group in measures})
        return {method: explanation} if "sanity" in missing else {}

    def _agreement(self, explanation: Explanation, seconds: float) -> Values:
        scores = agreement(explanation.attribution, self.case.opacities, self.case.both_lungs)
        fidelity = {} if explanation.fidelity is None else {"fidelity": explanation.fidelity}
        return {**scores, **fidelity, "seconds": seconds}

    def _faithfulness(self, attribution: FloatArray) -> Values:
        case, settings = self.case, self.settings
        areas = faithfulness.areas(
            case.image, attribution, case.score, steps=settings.steps, seed=settings.seed
        )
        return {**areas, **faithfulness.gains(areas, self.values[RANDOM]["faithfulness"])}

    def _robustness(self, method: MethodSpec, explanation: Explanation) -> Values:
        def explained(image: FloatArray, move: stability.Move) -> FloatArray:
            return self._explain(self.case.moved(image, move), method).attribution

        return stability.robustness(
            self.case.image, explanation.attribution, explained, seed=self.settings.seed
        )

    def _repeatability(self, method: MethodSpec) -> Values:
        counts, start = self.settings.repeat_samples, self.settings.seed

        def repeat(samples: int, seed: int) -> Explanation:
            own = {name: value for name, value in method if name != "samples"}
            return self.case.explain(MethodSpec(**own), samples, start + seed)

        fewest = stability.repeatability(repeat, counts[:1])
        if all(value == 1 for value in fewest.values()):  # not random: more samples change nothing
            names = [name.rsplit("_", 1)[0] for name in fewest]
            return {f"{name}_{count}": 1.0 for count in counts for name in names}
        return {**fewest, **stability.repeatability(repeat, counts[1:])}

    def _sanity(self, explanations: Mapping[MethodSpec, Explanation]) -> None:
        """Explain with each randomised network; a network is made once for all methods."""
        case = self.case
        if not explanations or case.model.weights is None:
            return
        mirrored = np.stack([case.image, case.image[:, :, ::-1]])
        stages, seed = self.settings.stages, self.settings.seed
        after: dict[MethodSpec, Values] = {method: {} for method in explanations}
        for stage, model in sanity.cascade(case.model.weights, mirrored, stages=stages, seed=seed):
            for method, before in explanations.items():
                random = self._explain(replace(case, model=model), method)
                scores = sanity.similarity(before.attribution, random.attribution)
                after[method] |= {f"{name}_{stage}": value for name, value in scores.items()}
        for method, values in after.items():
            self.values[method.name]["sanity"] = values

    def _explain(self, case: PreparedCase, method: MethodSpec) -> Explanation:
        return case.explain(method, self.settings.samples, self.settings.seed)
