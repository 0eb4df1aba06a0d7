"""The smallest set of superpixels whose removal changes the decision: a counterfactual.

"Without these regions it would not have been called COVID-19": Martens and Provost, "Explaining
data-driven document classifications", MIS Quarterly 2014, with superpixels for words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, tee
from math import comb

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from covid_cxr.errors import InputError
from covid_cxr.explain.base import Model, check_image, class_index
from covid_cxr.explain.methods.occlusion import region_weights
from covid_cxr.explain.settings import RegionSettings
from covid_cxr.explain.superpixels import answers, filled, superpixels
from covid_cxr.metrics.threshold import decisions
from covid_cxr.types import COVID, BoolArray, Explanation, FloatArray, IntArray

Regions = tuple[int, ...]


class CounterfactualSettings(RegionSettings):
    """Settings of the search.

    Attributes:
        most_sets: sets of regions that may be tried.
    """

    most_sets: int = Field(1000, ge=1, le=100_000, description="sets that may be tried")


@dataclass(frozen=True)
class Counterfactual:
    """Regions without which the decision would have been another.

    Attributes:
        regions: their numbers, ascending. Empty where the class was not called in the first
            place; every supporting region where `decision_changes` is False.
        before: probability of the class with the whole image shown.
        after: the same with `regions` hidden.
        decision_changes: whether the class is no longer called with `regions` hidden.
        exact: no smaller set of supporting regions changes the decision (or, without
            `decision_changes`, no set at all). Else their number is an upper bound: none of them
            can be spared, but fewer others might do.
        area: their share of the image.
    """

    regions: Regions
    before: float
    after: float
    decision_changes: bool
    exact: bool
    area: float


def counterfactual_regions(
    image: FloatArray,
    model: Model,
    ranking: Explanation | IntArray,
    label: str,
    *,
    threshold: float,
    settings: CounterfactualSettings,
) -> Counterfactual:
    """Find the fewest supporting regions that must be hidden for `label` to be no longer called.

    Greedy: the regions that support the class are hidden one after another, heaviest first, until
    the decision changes; then those that prove unneeded are shown again. The result is an upper
    bound. Where the smaller sets number at most `settings.most_sets`, all are tried, and the answer
    is exact. Of several sets of one size, the one that leaves the least probability is returned.

    Args:
        image: preprocessed, float32 (1, S, S).
        model: the model.
        ranking: an explanation of `label`, whose regions and weights are used (the map of one
            without regions is summed over the superpixels of `settings`); or regions alone, int32
            (S, S) numbered 0..n-1, whose weights are then measured by occlusion.
        label: the class that was called.
        threshold: probability from which on COVID-19 is called; see `metrics.decisions`.
        settings: what replaces a region, images per batch, and how many sets may be tried.

    Raises:
        UnknownName: the model has no class `label`.
        InputError: the explanation is of another class or grid, or the image is no float32
            (1, S, S).
    """
    check_image(image)
    index = class_index(model, label)
    segments, weights = _ranked(image, model, ranking, label, settings)
    cover = filled(image[0], segments, settings.fill)
    search = _Search(image[0], segments, cover, model, index, threshold, settings)
    before, is_called = search.answer(())
    if not is_called:
        return Counterfactual((), before, before, True, True, 0.0)
    supporting = [int(r) for r in np.argsort(-weights, kind="stable") if weights[r] > 0]
    fewest, exact = search.fewest(supporting)
    regions = tuple(sorted(supporting if fewest is None else fewest))
    after, _ = search.answer(regions)
    area = float(np.isin(segments, regions).mean())
    return Counterfactual(regions, before, after, fewest is not None, exact, area)


@dataclass(frozen=True)
class _Search:
    """The pixels (S, S) of one image, its regions, and the decision that is to change."""

    pixels: FloatArray
    segments: IntArray
    cover: FloatArray
    model: Model
    index: int
    threshold: float
    settings: CounterfactualSettings

    def fewest(self, supporting: Sequence[int]) -> tuple[Regions | None, bool]:
        """Return the smallest set, None where no set changes the decision; and if it is exact."""
        bound = self._greedy(supporting)
        sizes = range(1, len(supporting) if bound is None else len(bound))
        if sum(comb(len(supporting), size) for size in sizes) > self.settings.most_sets:
            return bound, False
        for size in sizes:
            smaller = self._best(combinations(supporting, size))
            if smaller is not None:
                return smaller, True
        return bound, True

    def answer(self, regions: Regions) -> tuple[float, bool]:
        """Return the probability with `regions` hidden, and whether the class is still called."""
        ((_, probabilities, is_called),) = self._tried([regions])
        return float(probabilities[0]), bool(is_called[0])

    def _greedy(self, supporting: Sequence[int]) -> Regions | None:
        """Hide ever more regions until the decision changes; show again what proves unneeded."""
        heaviest = (tuple(supporting[: n + 1]) for n in range(len(supporting)))
        for tried, _, is_called in self._tried(heaviest):
            if not is_called.all():
                return self._pruned(tried[int(is_called.argmin())])
        return None

    def _pruned(self, regions: Regions) -> Regions:
        while len(regions) > 1:
            fewer = self._best(combinations(regions, len(regions) - 1))
            if fewer is None:
                break
            regions = fewer
        return regions

    def _best(self, candidates: Iterable[Regions]) -> Regions | None:
        """Return the set that changes the decision and leaves the class the least probability."""
        best, lowest = None, np.inf
        for tried, probabilities, is_called in self._tried(candidates):
            remaining = np.where(is_called, np.inf, probabilities)
            least = int(remaining.argmin())
            if remaining[least] < lowest:
                best, lowest = tried[least], remaining[least]
        return best

    def _tried(
        self, candidates: Iterable[Regions]
    ) -> Iterator[tuple[list[Regions], NDArray[np.float64], BoolArray]]:
        """Yield sets, the class's probability with each hidden, and if it is called, by batch."""
        chosen, names = tee(candidates)
        images = (
            np.where(np.isin(self.segments, regions), self.cover, self.pixels) for regions in chosen
        )
        covid = self.model.classes.index(COVID)
        for rows in answers(self.model.probabilities, images, self.settings.batch_size):
            is_called = decisions(rows, covid, self.threshold) == self.index
            yield list(islice(names, len(rows))), rows[:, self.index], is_called


def _ranked(
    image: FloatArray,
    model: Model,
    ranking: Explanation | IntArray,
    label: str,
    settings: RegionSettings,
) -> tuple[IntArray, NDArray[np.float64]]:
    """Return regions (S, S) and how much each supports the class, float64 (n,)."""
    if isinstance(ranking, np.ndarray):
        index = model.classes.index(label)
        return ranking, region_weights(image[0], ranking, model, index, settings)
    if ranking.label != label or ranking.attribution.shape != image.shape[1:]:
        raise InputError(
            f"explanation of '{ranking.label}' on {ranking.attribution.shape}, "
            f"expected one of '{label}' on {image.shape[1:]}"
        )
    if ranking.segments is not None:
        return ranking.segments, np.asarray(ranking.weights, dtype=np.float64)
    segments = superpixels(image[0], settings)
    sums = np.bincount(segments.ravel(), weights=ranking.attribution.ravel())
    return segments, sums.astype(np.float64)
