"""All that is measured on one film, method by method."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from covid_cxr import explain
from covid_cxr.errors import InputError
from covid_cxr.explain import superpixels
from covid_cxr.explain.base import Model
from covid_cxr.explain.measures import baselines, faithfulness, sanity, stability
from covid_cxr.explain.measures.localisation import agreement
from covid_cxr.explain.rendering.grid import mask_on_grid
from covid_cxr.explanation_benchmark.cases import Case
from covid_cxr.explanation_benchmark.methods import Variant
from covid_cxr.explanation_benchmark.settings import Settings
from covid_cxr.imaging.crop import crop, crop_lungs
from covid_cxr.inference import Predictor
from covid_cxr.types import COVID, BoolArray, Explanation, FloatArray, Lungs

AGREEMENT, FAITHFUL, ROBUST, REPEATED, SANE = "agreement", "faithful", "robust", "repeated", "sane"
RANDOM = "random"
_STEPS_MEASURED = {FAITHFUL: "faithful", ROBUST: "robust", REPEATED: "repeated", SANE: "sane"}

Measures = dict[str, float]
Found = dict[str, dict[str, Measures]]  # method -> group -> measure -> value


@dataclass(frozen=True)
class Film:
    """One film made ready: model input, and what was drawn brought to its grid.

    Attributes:
        case: which film.
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
    def of(cls, case: Case, predictor: Predictor) -> Film:
        """Read and preprocess the film of `case` as its bundle says."""
        film = predictor.prepare(predictor.read(case.root / case.path))
        image, field = film.image, film.field
        opacities, lungs = case.opacities, case.lungs
        if opacities is None:
            raise InputError(f"'{case.path}' has no opacities drawn")
        grid = image.shape[1:]
        if lungs is not None:
            seen = crop_lungs(lungs, field)
            lungs = Lungs(mask_on_grid(seen.right, grid), mask_on_grid(seen.left, grid))
        drawn = mask_on_grid(crop(opacities, field), grid)
        return cls(case, image, drawn, lungs, predictor.runtime)

    @property
    def both_lungs(self) -> BoolArray | None:
        return None if self.lungs is None else self.lungs.both

    @cached_property
    def column(self) -> int:
        """The explained class among the model's outputs.

        It is COVID-19 for every film, whatever the film shows or the model calls it: what was
        drawn is what should raise that score, and a map of the other class would be its negative.
        """
        return self.model.classes.index(COVID)

    def score(self, images: FloatArray) -> FloatArray:
        """Return the probability of COVID-19 (N,) of images (N, 1, S, S)."""
        return self.model.probabilities(images)[:, self.column].copy()


def groups(settings: Settings, place: int) -> tuple[str, ...]:
    """Return what is measured on the film at `place` of the order."""
    costly = (group for group, name in _STEPS_MEASURED.items() if place < getattr(settings, name))
    return (AGREEMENT, *costly)


@dataclass(frozen=True)
class Bench:
    """What is measured on one film, and what is known already.

    Attributes:
        film: ready.
        wanted: groups.
        found: method -> group -> measures; filled, and groups that are in it are left as they are.
        settings: methods, samples and seed.
    """

    film: Film
    wanted: Sequence[str]
    found: Found
    settings: Settings

    def measure(self, step: Callable[[], None]) -> dict[str, str]:
        """Measure what is wanted and not yet known, calling `step` after every method.

        Returns:
            method -> why it cannot explain this film; such a method has nothing in `found`.
        """
        refused = {}
        # the random order comes first: what the others gain is counted from it
        for name in sorted(baselines.BASELINES, key=lambda each: each != RANDOM):
            try:
                self._baseline(name)
            except InputError as error:
                refused[name] = str(error)
            step()
        made: dict[Variant, Explanation] = {}
        for variant in self.settings.methods:
            try:
                made |= self._method(variant)
            except InputError as error:
                refused[variant.name] = str(error)
            step()
        self._sane(made)
        return refused

    def _baseline(self, name: str) -> None:
        film, own = self.film, self.found.setdefault(name, {})
        maps = baselines.maps(name, film.image, film.both_lungs, seed=self.settings.seed)
        if AGREEMENT not in own:
            drawn = [agreement(each, film.opacities, film.both_lungs) for each in maps]
            own[AGREEMENT] = {key: float(np.mean([one[key] for one in drawn])) for key in drawn[0]}
        if FAITHFUL in self.wanted and FAITHFUL not in own:
            own[FAITHFUL] = self._random() if name == RANDOM else self._faithful(maps[0])

    def _method(self, variant: Variant) -> dict[Variant, Explanation]:
        """Measure one method; return its explanation where random layers are still to be tried."""
        own = self.found.setdefault(variant.name, {})
        missing = [group for group in self.wanted if group not in own]
        if not missing:
            return {}
        made, seconds = self._timed(variant)
        work: dict[str, Callable[[], Measures]] = {
            AGREEMENT: lambda: self._agreement(made, seconds),
            FAITHFUL: lambda: self._faithful(made.attribution),
            ROBUST: lambda: self._robust(variant, made),
            REPEATED: lambda: self._repeated(variant),
        }
        own.update({group: work[group]() for group in missing if group in work})
        return {variant: made} if SANE in missing else {}

    def _timed(self, variant: Variant) -> tuple[Explanation, float]:
        """Explain as if this method were the first to look at the film."""
        superpixels.forget()
        started = time.perf_counter()
        made = self._explain(self.film, variant)
        return made, time.perf_counter() - started

    def _agreement(self, made: Explanation, seconds: float) -> Measures:
        found = agreement(made.attribution, self.film.opacities, self.film.both_lungs)
        fidelity = {} if made.fidelity is None else {"fidelity": made.fidelity}
        return {**found, **fidelity, "seconds": seconds}

    def _random(self) -> Measures:
        film, chosen = self.film, self.settings
        return faithfulness.random_areas(
            film.image, film.score, draws=chosen.orders, steps=chosen.steps, seed=chosen.seed
        )

    def _faithful(self, attribution: FloatArray) -> Measures:
        film, chosen = self.film, self.settings
        found = faithfulness.areas(
            film.image, attribution, film.score, steps=chosen.steps, seed=chosen.seed
        )
        return {**found, **faithfulness.gains(found, self.found[RANDOM][FAITHFUL])}

    def _robust(self, variant: Variant, made: Explanation) -> Measures:
        film = self.film

        def explained(image: FloatArray, move: stability.Move) -> FloatArray:
            return self._explain(_changed(film, image, move), variant).attribution

        seed = self.settings.seed
        return stability.robustness(film.image, made.attribution, explained, seed=seed)

    def _repeated(self, variant: Variant) -> Measures:
        counts, start = self.settings.repeat_samples, self.settings.seed

        def repeat(samples: int, seed: int) -> Explanation:
            return self._explain(self.film, variant, samples=samples, seed=start + seed)

        fewest = stability.repeatability(repeat, counts[:1])
        if all(value == 1 for value in fewest.values()):  # no draw in it: nothing more to try
            names = [name.rsplit("_", 1)[0] for name in fewest]
            return {f"{name}_{count}": 1.0 for count in counts for name in names}
        return {**fewest, **stability.repeatability(repeat, counts[1:])}

    def _sane(self, made: Mapping[Variant, Explanation]) -> None:
        """Explain with each randomised network; a network is made once for all methods."""
        film = self.film
        if not made or film.model.weights is None:
            return
        mirrored = np.stack([film.image, film.image[:, :, ::-1]])
        stages, seed = self.settings.stages, self.settings.seed
        after: dict[Variant, Measures] = {variant: {} for variant in made}
        for stage, model in sanity.cascade(film.model.weights, mirrored, stages=stages, seed=seed):
            for variant, before in made.items():
                random = self._explain(replace(film, model=model), variant)
                alike = sanity.likeness(before.attribution, random.attribution)
                after[variant] |= {f"{name}_{stage}": value for name, value in alike.items()}
        for variant, measures in after.items():
            self.found[variant.name][SANE] = measures

    def _explain(
        self, film: Film, variant: Variant, samples: int | None = None, seed: int | None = None
    ) -> Explanation:
        chosen = variant.options(
            samples=self.settings.samples, seed=self.settings.seed, lungs=film.lungs
        )
        if samples is not None and seed is not None:
            chosen = replace(chosen, samples=samples, seed=seed)
        return explain.get(variant.method)(film.image, film.model, COVID, chosen)


def _changed(film: Film, image: FloatArray, move: stability.Move) -> Film:
    """Return the film with another picture; what was drawn of its lungs moves along."""
    lungs = film.lungs
    if lungs is not None:
        lungs = Lungs(stability.moved(lungs.right, move), stability.moved(lungs.left, move))
    return replace(film, image=image, lungs=lungs)
