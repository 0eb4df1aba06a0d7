from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.errors import InputError
from covid_cxr.explain.rendering.zones import (
    ZONES,
    fidelity_in_words,
    is_doubtful,
    sentence,
    with_lungs,
    zone_map,
)
from covid_cxr.types import Explanation, Lungs

OUTSIDE = "Warning: the score rests mostly on places outside the lungs"


def _explanation(attribution: object, **named: object) -> Explanation:
    grid = np.asarray(attribution, dtype=np.float32)
    return Explanation(method="cam", label="covid-19", attribution=grid, **named)


def _lungs(right: str, left: str) -> Lungs:
    """Masks from pictures: rows parted by blanks, a lung's pixels are "x"."""
    return Lungs(*(np.array([list(row) for row in one.split()]) == "x" for one in (right, left)))


SMALL = _lungs("x... x... x...", "...x ...x ...x")  # 3 x 4, one pixel a zone


def test_the_patients_right_comes_first() -> None:
    right = ("upper right", "middle right", "lower right")
    assert (*right, "upper left", "middle left", "lower left") == ZONES


def test_each_lung_is_cut_in_thirds_of_its_own_height() -> None:
    lungs = _lungs(
        "..... xx... xx... x.... x.... x.... xx...", "..... ..... ...x. ...xx ...xx ..... ....."
    )
    # The right lung has six rows, two a third; the left three, one a third.
    assert zone_map(lungs, (7, 5)).tolist() == [
        [0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 0, 4, 0],
        [2, 0, 0, 5, 5],
        [2, 0, 0, 6, 6],
        [3, 0, 0, 0, 0],
        [3, 3, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("rows", "bands"),
    [(1, [1]), (2, [1, 2]), (4, [1, 1, 2, 3]), (5, [1, 1, 2, 2, 3])],
)
def test_lungs_whose_height_is_no_multiple_of_three(rows: int, bands: list[int]) -> None:
    tall = np.ones((rows, 1), dtype=bool)
    assert zone_map(Lungs(tall, ~tall), (rows, 1)).ravel().tolist() == bands


def test_zones_at_another_resolution_than_the_map() -> None:
    fine = Lungs(*(np.kron(each, np.ones((50, 20))) > 0 for each in (SMALL.right, SMALL.left)))
    assert zone_map(fine, (3, 4)).tolist() == zone_map(SMALL, (3, 4)).tolist()
    assert zone_map(fine, (3, 4)).dtype == np.int32


def test_zones_by_hand() -> None:
    found = with_lungs(_explanation([[1, 2, -9, 0], [0, -3, 0, 1], [4, 0, 0, 2]]), SMALL)
    assert found.zones is not None
    # Support is 1 + 2 + 1 + 4 + 2 = 10; in the zones all but the 2 of the first row.
    assert dict(found.zones.shares) == pytest.approx(
        dict(zip(ZONES, (0.1, 0, 0.4, 0, 0.1, 0.2), strict=True))
    )
    assert found.zones.inside_lungs == pytest.approx(0.8)
    assert found.inside_lungs == pytest.approx(8 / 22)  # of all, whatever its sign
    assert found.lungs is SMALL
    assert found.zones.sentence == (
        "The score rests mostly on the lower zones of both lungs; "
        "80 % of the supporting evidence lies inside the lungs; fidelity not defined."
    )


def test_without_lungs_nothing_is_said() -> None:
    before = with_lungs(_explanation(np.ones((3, 4))), SMALL)
    nowhere = Lungs(np.zeros((3, 4), dtype=bool), np.zeros((3, 4), dtype=bool))
    for lungs in (None, nowhere):
        found = with_lungs(before, lungs)
        assert (found.lungs, found.inside_lungs, found.zones) == (None, None, None)


def test_where_nothing_supports_the_class_there_are_no_zones() -> None:
    found = with_lungs(_explanation(-np.ones((3, 4))), SMALL)
    assert found.zones is None
    assert found.inside_lungs == pytest.approx(0.5)
    assert with_lungs(_explanation(np.zeros((3, 4))), SMALL).inside_lungs is None


def test_lungs_that_are_no_masks_are_rejected() -> None:
    with pytest.raises(InputError, match="expected bool"):
        with_lungs(_explanation(np.ones((3, 4))), Lungs(SMALL.right[0], SMALL.left[0]))


def _random_case(seed: int) -> tuple[Explanation, Lungs]:
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 3, (12, 9))
    lungs = Lungs(side == 1, side == 2)
    return _explanation(rng.normal(size=(12, 9)) ** 3), lungs


@settings(deadline=None)  # the first call imports, and machines may be busy
@given(seed=st.integers(0, 9999))
def test_zones_and_the_outside_add_up(seed: int) -> None:
    explanation, lungs = _random_case(seed)
    zones = with_lungs(explanation, lungs).zones
    assert zones is not None
    support = np.clip(explanation.attribution, 0, None)
    outside = support[~lungs.both].sum() / support.sum()
    assert sum(zones.shares.values()) + outside == pytest.approx(1, abs=1e-6)
    assert sum(zones.shares.values()) == pytest.approx(zones.inside_lungs)
    assert all(0 <= share <= 1 for share in zones.shares.values())


@settings(deadline=None)
@given(seed=st.integers(0, 9999))
def test_a_mirrored_radiograph_swaps_left_and_right(seed: int) -> None:
    explanation, lungs = _random_case(seed)
    mirrored = Lungs(np.fliplr(lungs.left), np.fliplr(lungs.right))
    one = with_lungs(explanation, lungs).zones
    other = with_lungs(_explanation(np.fliplr(explanation.attribution)), mirrored).zones
    assert one is not None
    assert other is not None
    swap = {"right": "left", "left": "right"}
    for zone, share in one.shares.items():
        band, side = zone.split()
        assert other.shares[f"{band} {swap[side]}"] == pytest.approx(share)
    assert re.sub("right|left", lambda side: swap[side[0]], one.sentence) == other.sentence


# Shares in the order of ZONES.
@pytest.mark.parametrize(
    ("shares", "where"),
    [
        ((0, 0, 1, 0, 0, 0), "mostly on the lower zone of the right lung"),
        ((0, 0, 0, 0.7, 0.1, 0.1), "mostly on the upper zone of the left lung"),
        ((0, 0, 0.45, 0, 0, 0.3), "mostly on the lower zones of both lungs"),
        ((0, 0.3, 0.1, 0.1, 0.4, 0), "mostly on the middle zones of both lungs"),
        ((0, 0.4, 0.4, 0.1, 0, 0.1), "mostly on the middle and lower zones of the right lung"),
        ((0, 0, 0, 0.4, 0.4, 0), "mostly on the upper and middle zones of the left lung"),
        ((0.3, 0.3, 0.3, 0, 0, 0.1), "mostly on the right lung"),
        ((0.1, 0, 0, 0.45, 0, 0.45), "mostly on the left lung"),  # its ends are no two bands
        ((0.02, 0.2, 0.25, 0.03, 0.2, 0.3), "mostly on the middle and lower zones of both lungs"),
        ((0.2, 0.2, 0.05, 0.2, 0.3, 0.05), "mostly on the upper and middle zones of both lungs"),
        ((1 / 6,) * 6, "is spread over the zones of both lungs"),
        ((0.15,) * 6, "is spread over the zones of both lungs"),
        ((0.25, 0.25, 0.2, 0.1, 0.1, 0.1), "is spread over the zones of both lungs"),  # 70 % right
        # One zone: 7 / 12 of all inside, two thirds of its lung, three quarters of its band.
        ((0, 0, 7 / 12, 0.25, 1 / 6, 0), "mostly on the lower zone of the right lung"),
        ((0, 0, 0.58, 0.25, 0.17, 0), "is spread over the zones of both lungs"),
        ((2 / 3, 1 / 3, 0, 0, 0, 0), "mostly on the upper zone of the right lung"),
        ((0.66, 0.34, 0, 0, 0, 0), "mostly on the upper and middle zones of the right lung"),
        ((0.75, 0, 0, 0.25, 0, 0), "mostly on the upper zone of the right lung"),
        ((0.74, 0, 0, 0.26, 0, 0), "mostly on the upper zones of both lungs"),
        # Two thirds for two zones, each with a quarter of them.
        ((1 / 3, 0, 0, 1 / 3, 0, 1 / 3), "mostly on the upper zones of both lungs"),
        ((0.5, 0.17, 0.17, 0.16, 0, 0), "mostly on the right lung"),  # 66 % in both upper zones
        ((0.56, 0.1, 0.1, 0.14, 0, 0.1), "mostly on the right lung"),  # 14 of 70 % in the left one
        ((1 / 3, 1 / 3, 1 / 3, 0, 0, 0), "mostly on the right lung"),  # no two bands of it
        # Two pairs qualify: the one with more is named.
        ((0, 0.25, 0.51, 0, 0, 0.24), "on the middle and lower zones of the right lung"),
        ((0, 0.235, 0.52, 0, 0, 0.245), "on the lower zones of both lungs"),
    ],
)
def test_where_in_words(shares: tuple[float, ...], where: str) -> None:
    found = sentence(sum(shares), dict(zip(ZONES, shares, strict=True)), 0.71)
    assert f"{where}; " in found
    assert found.startswith("The score ")
    assert found.endswith("of the supporting evidence lies inside the lungs; fidelity 0.71, fair.")


def test_the_sentence_of_the_issue() -> None:
    zones = {"lower right": 0.45, "lower left": 0.3, "upper left": 0.08}
    assert sentence(0.83, zones, 0.71) == (
        "The score rests mostly on the lower zones of both lungs; 83 % of the supporting evidence "
        "lies inside the lungs; fidelity 0.71, fair."
    )


@pytest.mark.parametrize(
    ("inside", "start"),
    [
        (0, f"{OUTSIDE}; only 0 % of"),
        (0.494, f"{OUTSIDE}; only 49 % of"),
        (0.496, "Within the lungs, the score rests mostly on the right lung; 50 % of"),
        (0.55, "The score rests mostly on the right lung; 55 % of"),
    ],
)
def test_support_outside_the_lungs_is_a_warning(inside: float, start: str) -> None:
    zones = {"upper right": inside / 3, "middle right": inside / 3, "lower right": inside / 3}
    assert sentence(inside, zones, None).startswith(start)


def test_a_place_with_less_than_half_of_all_is_only_first_within_the_lungs() -> None:
    zones = {"lower right": 0.24, "lower left": 0.24, "upper left": 0.12}
    assert sentence(0.6, zones, 0.9) == (
        "Within the lungs, the score rests mostly on the lower zones of both lungs; 60 % of the "
        "supporting evidence lies inside the lungs; fidelity 0.90, good."
    )


_GRAMMAR = re.compile(
    r"(Warning: the score rests mostly on places outside the lungs; "
    r"only \d+ % of the supporting evidence lies inside them|"
    r"(The score|Within the lungs, the score) (is spread over the zones of both lungs|"
    r"rests mostly on (the (right|left) lung|"
    r"the (upper|middle|lower) zone of the (right|left) lung|"
    r"the (upper|middle|lower|upper and middle|middle and lower) zones of "
    r"(both lungs|the (right|left) lung))); "
    r"\d+ % of the supporting evidence lies inside the lungs); "
    r"fidelity (not defined|-?\d+\.\d\d, (good|fair|low: do not rely on it))\."
)


@settings(deadline=None)
@given(
    parts=st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda parts: sum(parts) > 0.01),
    fidelity=st.none() | st.floats(-5, 1),
)
def test_every_sentence_is_one_of_these(parts: list[float], fidelity: float | None) -> None:
    zones = {zone: part / sum(parts) for zone, part in zip(ZONES, parts[:6], strict=True)}
    found = sentence(sum(zones.values()), zones, fidelity)
    assert _GRAMMAR.fullmatch(found)
    named = re.search(r"mostly on the (\w+) zone of the (\w+) lung", found)
    if named:  # what one zone is said to hold, it holds
        assert zones[f"{named[1]} {named[2]}"] == max(zones.values())
    if found.startswith("The score rests"):
        shares = [zones[f"{band} {side}"] for band, side in product(_bands(found), _sides(found))]
        assert sum(shares) > 0.5


def _bands(found: str) -> list[str]:
    location = found.split(";", maxsplit=1)[0]
    bands = [band for band in ("upper", "middle", "lower") if band in location]
    return bands or ["upper", "middle", "lower"]


def _sides(found: str) -> list[str]:
    location = found.split(";", maxsplit=1)[0]
    return [side for side in ("right", "left") if side in location or "both lungs" in location]


@pytest.mark.parametrize(
    ("fidelity", "words"),
    [
        (0.8, "fidelity 0.80, good"),
        (0.796, "fidelity 0.80, good"),
        (0.794, "fidelity 0.79, fair"),
        (0.71, "fidelity 0.71, fair"),
        (0.5, "fidelity 0.50, fair"),
        (0.494, "fidelity 0.49, low: do not rely on it"),
        (-2.0, "fidelity -2.00, low: do not rely on it"),
        (None, "fidelity not defined"),
    ],
)
def test_fidelity_in_words(fidelity: float | None, words: str) -> None:
    assert fidelity_in_words(fidelity) == words
    assert is_doubtful(fidelity) == ("low" in words)
