from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from covid_cxr.errors import InputError, UnknownName
from covid_cxr.explain.counterfactual import CounterfactualSettings, counterfactual_regions
from covid_cxr.inference.predictor import predicted_class
from covid_cxr.metrics import decisions
from covid_cxr.types import CLASSES, Explanation

# A white radiograph of 3 x 3 squares, numbered row by row; a hidden one is dark (0.2).
SETTINGS = CounterfactualSettings(superpixels="grid", regions=9, fill="dark", batch_size=4)
IMAGE = np.ones((1, 6, 6), dtype=np.float32)
SQUARES = np.arange(9, dtype=np.int32).reshape(3, 3).repeat(2, axis=0).repeat(2, axis=1)


@dataclass
class _Model:
    """The probability of covid-19 as a function of the set of hidden squares."""

    covid: Callable[[frozenset[int]], float]
    classes: tuple[str, ...] = ("non-covid-19", "covid-19")
    bundle_id: str = "toy"
    weights: Path | None = None
    asked: list[frozenset[int]] = field(default_factory=list)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        covered = [frozenset(SQUARES[radiograph[0] < 0.5].tolist()) for radiograph in images]
        self.asked += covered
        covid = np.array([self.covid(each) for each in covered])
        return np.stack([1 - covid, covid], axis=1)

    def cam(self, image: np.ndarray) -> None:
        return None


def _ranking(*weights: float, label: str = "covid-19") -> Explanation:
    """An explanation whose first regions weigh so much, and the rest nothing."""
    full = np.array([*weights, *[0] * (9 - len(weights))], dtype=np.float32)
    return Explanation("toy", label, full[SQUARES], SQUARES, tuple(full.tolist()))


def _additive(*effects: float) -> _Model:
    """Probability 0.9, less the effect of each hidden square."""
    return _Model(lambda covered: 0.9 - sum(effects[r] for r in covered if r < len(effects)))


def test_heaviest_regions_until_the_decision_flips_by_hand() -> None:
    # 0.9 - 0.25 = 0.65, then 0.65 - 0.2 = 0.45 < 0.5: two of nine squares.
    model = _additive(0.1, 0.25, 0.2, 0.05)
    found = counterfactual_regions(
        IMAGE,
        model,
        _ranking(0.1, 0.25, 0.2, 0.05),
        "covid-19",
        threshold=0.5,
        settings=SETTINGS,
    )
    assert found.regions == (1, 2)
    assert (found.before, found.after) == (pytest.approx(0.9), pytest.approx(0.45))
    assert (found.decision_changes, found.exact) == (True, True)
    assert found.area == pytest.approx(2 / 9)


def test_the_threshold_is_the_one_given() -> None:
    model, ranking = _additive(0.1, 0.25, 0.2), _ranking(0.1, 0.25, 0.2)
    for threshold, regions in ((0.7, (1,)), (0.5, (1, 2)), (0.4, (0, 1, 2))):
        found = counterfactual_regions(
            IMAGE, model, ranking, "covid-19", threshold=threshold, settings=SETTINGS
        )
        assert found.regions == regions


def test_what_is_not_needed_is_shown_again() -> None:
    # The weights mislead: only square 2, the third by weight, decides.
    model = _Model(lambda covered: 0.1 if 2 in covered else 0.9)
    ranking = _ranking(0.5, 0.4, 0.3, 0.2)
    few = CounterfactualSettings(superpixels="grid", fill="dark", most_sets=10)
    found = counterfactual_regions(IMAGE, model, ranking, "covid-19", threshold=0.5, settings=few)
    assert (found.regions, found.exact) == ((2,), True)


def _one_of_two_ways(covered: frozenset[int]) -> float:
    return 0.2 if covered >= {0, 1, 2} or covered >= {3, 4} else 0.8


def test_an_exact_search_beats_the_greedy_one_where_it_may_try_enough() -> None:
    # Greedy hides 0, 1, 2, of which none can be spared; 3 and 4 would do. There are
    # 5 + 10 = 15 sets of one or two.
    ranking = _ranking(0.5, 0.4, 0.3, 0.2, 0.1)
    answers = []
    for samples in (14, 15):
        settings = CounterfactualSettings(fill="dark", most_sets=samples)
        model = _Model(_one_of_two_ways)
        found = counterfactual_regions(
            IMAGE, model, ranking, "covid-19", threshold=0.5, settings=settings
        )
        answers.append((found.regions, found.exact))
    assert answers == [((0, 1, 2), False), ((3, 4), True)]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_of_equal_sets_the_one_that_leaves_least(batch_size: int) -> None:
    # Greedy needs 0 and 1; of the single squares 2 and 3 both flip, 3 further.
    left = {frozenset({2}): 0.4, frozenset({3}): 0.3, frozenset({0, 1}): 0.2}
    model = _Model(lambda covered: left.get(covered, 0.9))
    settings = SETTINGS.model_copy(update={"batch_size": batch_size})
    ranking = _ranking(0.4, 0.3, 0.2, 0.1)
    found = counterfactual_regions(
        IMAGE, model, ranking, "covid-19", threshold=0.5, settings=settings
    )
    assert (found.regions, found.after) == ((3,), pytest.approx(0.3))


def test_hiding_more_may_turn_the_decision_back() -> None:
    model = _Model(lambda covered: 0.3 if covered == {0, 1} else 0.9)
    settings = SETTINGS.model_copy(update={"most_sets": 10})
    ranking = _ranking(0.4, 0.3, 0.2, 0.1)
    found = counterfactual_regions(
        IMAGE, model, ranking, "covid-19", threshold=0.5, settings=settings
    )
    assert (found.regions, found.after, found.decision_changes) == (
        (0, 1),
        pytest.approx(0.3),
        True,
    )


def test_where_nothing_flips_it_says_so() -> None:
    ranking = _ranking(0.1, -0.2, 0.05)
    found = counterfactual_regions(
        IMAGE, _additive(0.1, -0.2, 0.05), ranking, "covid-19", threshold=0.5, settings=SETTINGS
    )
    assert (found.decision_changes, found.exact) == (False, True)
    assert found.regions == (0, 2)  # all that support
    assert found.after == pytest.approx(0.75)
    nothing = counterfactual_regions(
        IMAGE, _additive(), _ranking(), "covid-19", threshold=0.5, settings=SETTINGS
    )
    assert (nothing.decision_changes, nothing.regions, nothing.area) == (False, (), 0)


def test_what_was_not_called_needs_no_region() -> None:
    found = counterfactual_regions(
        IMAGE, _additive(0.1), _ranking(0.1), "covid-19", threshold=0.95, settings=SETTINGS
    )
    assert (found.decision_changes, found.exact, found.regions) == (True, True, ())
    assert found.before == found.after == pytest.approx(0.9)


def test_the_other_class_flips_when_covid_reaches_its_threshold() -> None:
    # Squares 0 and 1 speak for non-covid-19: without both, covid-19 rises from 0.1 to 0.4.
    model = _Model(lambda covered: 0.1 + 0.15 * len(covered & {0, 1}))
    ranking = _ranking(0.2, 0.1, label="non-covid-19")
    found = counterfactual_regions(
        IMAGE, model, ranking, "non-covid-19", threshold=0.35, settings=SETTINGS
    )
    assert (found.regions, found.after) == ((0, 1), pytest.approx(0.6))


def test_of_three_classes_another_may_take_over() -> None:
    class _Three(_Model):
        def probabilities(self, images: np.ndarray) -> np.ndarray:
            dark = np.array([(radiograph[0][SQUARES == 5] < 0.5).all() for radiograph in images])
            normal = np.where(dark, 0.6, 0.2)
            return np.stack([normal, 0.8 - normal, np.full(len(images), 0.2)], axis=1)

    model = _Three(lambda covered: 0, CLASSES["multiclass"])
    found = counterfactual_regions(
        IMAGE, model, SQUARES, "pneumonia", threshold=0.3, settings=SETTINGS
    )
    assert (found.regions, found.after) == ((5,), pytest.approx(0.2))


def test_regions_alone_are_weighed_by_hiding_each() -> None:
    model = _additive(0.1, 0.25, 0.2, -0.1)
    found = counterfactual_regions(
        IMAGE, model, SQUARES, "covid-19", threshold=0.5, settings=SETTINGS
    )
    assert (found.regions, found.exact) == ((1, 2), True)
    assert {frozenset({region}) for region in range(9)} <= set(model.asked)


def test_a_map_without_regions_is_summed_over_superpixels() -> None:
    pixels = np.zeros((6, 6), dtype=np.float32)
    pixels[0, 0], pixels[2:4, 2:4], pixels[0, 2] = 3, 1, -9  # squares 0, 4 and 1
    ranking = Explanation("cam", "covid-19", pixels)
    # Square 1 would take more from covid-19 than square 4, but the map says it speaks against.
    effects = {0: 0.3, 4: 0.2, 1: 0.25}
    model = _Model(lambda covered: 0.9 - sum(effects.get(square, 0) for square in covered))
    found = counterfactual_regions(
        IMAGE, model, ranking, "covid-19", threshold=0.5, settings=SETTINGS
    )
    assert found.regions == (0, 4)


def test_asks_no_further_than_the_flip() -> None:
    model = _additive(*[0.5] + [0.01] * 8)
    ranking = _ranking(*[0.5] + [0.01] * 8)
    one = CounterfactualSettings(fill="dark", batch_size=1)
    counterfactual_regions(IMAGE, model, ranking, "covid-19", threshold=0.5, settings=one)
    assert model.asked == [frozenset(), frozenset({0}), frozenset({0})]


def test_an_explanation_of_something_else_is_rejected() -> None:
    model = _additive(0.5)
    with pytest.raises(InputError, match="explanation of 'covid-19'"):
        counterfactual_regions(
            IMAGE, model, _ranking(0.5), "non-covid-19", threshold=0.5, settings=SETTINGS
        )
    larger = np.ones((1, 8, 8), dtype=np.float32)
    with pytest.raises(InputError, match=r"\(6, 6\), expected one of 'covid-19' on \(8, 8\)"):
        counterfactual_regions(
            larger, model, _ranking(0.5), "covid-19", threshold=0.5, settings=SETTINGS
        )
    with pytest.raises(UnknownName, match="covid19"):
        counterfactual_regions(IMAGE, model, SQUARES, "covid19", threshold=0.5, settings=SETTINGS)


@given(
    table=npst.arrays(np.float64, 2**5, elements=st.floats(0, 1)),
    weights=npst.arrays(np.float32, 5, elements=st.floats(0.125, 1, width=32)),
    samples=st.sampled_from([10, 1000]),
    batch_size=st.integers(1, 9),
)
def test_no_smaller_set_than_the_exact_one_and_none_to_spare(
    table: np.ndarray, weights: np.ndarray, samples: int, batch_size: int
) -> None:
    def covid(covered: frozenset[int]) -> float:
        return float(table[sum(1 << region for region in covered)]) if covered else 1.0

    def flips(regions: tuple[int, ...]) -> bool:
        return covid(frozenset(regions)) < 0.5

    settings = CounterfactualSettings(fill="dark", most_sets=samples, batch_size=batch_size)
    ranking = _ranking(*weights.tolist())
    found = counterfactual_regions(
        IMAGE, _Model(covid), ranking, "covid-19", threshold=0.5, settings=settings
    )
    every = list(chain.from_iterable(combinations(range(5), n) for n in range(1, 6)))
    assert found.exact or samples == 10
    assert found.decision_changes == flips(found.regions)
    if found.decision_changes:
        spared = combinations(found.regions, len(found.regions) - 1)
        assert not any(flips(fewer) for fewer in spared if fewer)
    if found.exact:
        smallest = min((len(each) for each in every if flips(each)), default=None)
        assert (len(found.regions) if found.decision_changes else None) == smallest


@given(
    raw=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    threshold=st.floats(0, 1),
    task=st.sampled_from(["binary", "multiclass"]),
)
def test_the_decision_is_the_predictors(raw: list[float], threshold: float, task: str) -> None:
    classes = CLASSES[task]  # type: ignore[index]
    row = np.array([raw[: len(classes)]]) / sum(raw[: len(classes)])
    answer = predicted_class(dict(zip(classes, row[0].tolist(), strict=True)), threshold)
    (called,) = decisions(row, classes.index("covid-19"), threshold)
    assert classes[called] == answer


def test_the_decision_at_the_threshold_and_in_a_tie() -> None:
    rows = np.array([[0.4, 0.4, 0.2], [0.3, 0.4, 0.3]])
    classes = CLASSES["multiclass"]
    called = decisions(rows, classes.index("covid-19"), 0.3)
    assert [classes[column] for column in called] == ["normal", "covid-19"]
