"""Copies among hundreds of phantoms: all found, no others, however many variants there are."""

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from covid_cxr.cohort.dedup import candidates, near_duplicates, registration
from covid_cxr.cohort.dedup.fingerprint import Fingerprint, fingerprint
from covid_cxr.cohort.dedup.near_duplicates import _crowded
from covid_cxr.cohort.dedup.resolution import group
from covid_cxr.phantoms import HOSPITALS, draw
from covid_cxr.types import FINDINGS, FloatArray
from support.near_duplicates import COPY_TRANSFORMS, transform_copy

COUNT, DUPLICATES = 220, 110  # more than are compared all with all


class Radiographs(NamedTuple):
    """Fingerprints of COUNT images, then of COPIES transformed copies of the first; one image."""

    prints: Fingerprint
    first: FloatArray


def radiograph(number: int) -> FloatArray:
    hospital = HOSPITALS[number % len(HOSPITALS)].name
    return draw(FINDINGS[number % 3], number, hospital=hospital, size=160).pixels


@pytest.fixture(scope="session")
def radiographs() -> Radiographs:
    rng = np.random.default_rng(0)
    synthetic = [radiograph(number) for number in range(COUNT)]
    transformed_pixels = []
    for pixels in synthetic[:DUPLICATES]:
        for kind in rng.choice(list(COPY_TRANSFORMS), rng.integers(1, 3), replace=False):
            pixels = transform_copy(pixels, str(kind), rng)  # noqa: PLW2901
        transformed_pixels.append(pixels)
    return Radiographs(
        np.array([fingerprint(each) for each in synthetic + transformed_pixels]), synthetic[0]
    )


def found(prints: Fingerprint) -> tuple[pd.Series, set[tuple[int, int]]]:
    """Return the group of each image, and the pairs of row numbers."""
    names = [f"{number:012x}".ljust(64, "0") for number in range(len(prints))]
    groups, pairs = group(pd.Series(names), prints)
    rows = pairs[["first", "second"]].map(names.index)
    return groups, set(rows.itertuples(index=False, name=None))


def test_transformed_copies_are_found_and_nothing_else(radiographs: Radiographs) -> None:
    assert len(radiographs.prints) > candidates._ALL_PAIRS  # so that the index is what is asked
    _, pairs = found(radiographs.prints)
    planted = {(number, COUNT + number) for number in range(DUPLICATES)}
    assert len(planted & pairs) / DUPLICATES >= 0.95
    assert len(planted & pairs) / len(pairs) >= 0.99
    # The index is no reason to miss one: what a comparison of all with all would find is found.
    similar = registration.similarity(radiographs.prints[:DUPLICATES], radiographs.prints[COUNT:])
    assert {(int(i), COUNT + int(i)) for i in np.flatnonzero(similar >= registration.COPY)} <= pairs


@pytest.mark.parametrize("variants", [14, 30])
def test_variants_of_an_image_do_not_hide_its_crop(radiographs: Radiographs, variants: int) -> None:
    # Each variant's twelve nearest are variants of the same kind.
    pixels, rng = radiographs.first, np.random.default_rng(3)
    down, across = (edge // 14 for edge in pixels.shape)
    crop = pixels[down:-down, across:-across]
    noisy = [
        fingerprint(np.clip(each + rng.normal(0, 0.01, each.shape), 0, 1).astype(np.float32))
        for each in [pixels] * variants + [crop] * variants
    ]
    groups, _ = found(np.concatenate((radiographs.prints[:COUNT], noisy)))
    assert set(groups[[0, *range(COUNT, COUNT + 2 * variants)]]) == {groups[0]} != {""}
    assert set(groups[1:COUNT]) == {""}


def test_only_images_that_lost_places_are_looked_up_again() -> None:
    # 0 met its copies 1 and 2; 3 met both as well; 4 met one, and 5 a stranger.
    met = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [2, 4], [4, 5]])
    assert _crowded(met, np.array([0, 0, 0, 3, 4, 5])).tolist() == [0]
    met = np.array([[0, 3], [1, 3], [2, 3]])
    assert _crowded(met, np.array([0, 0, 0, 3, 4, 5])).tolist() == [3]


def test_few_copies_cost_one_search(
    radiographs: Radiographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def search(prints: Fingerprint, rows: np.ndarray | None = None) -> np.ndarray:
        asked.append(len(prints) if rows is None else len(rows))
        return candidates.candidate_pairs(prints, rows)

    monkeypatch.setattr(near_duplicates, "candidate_pairs", search)
    near_duplicates.find(
        np.concatenate((radiographs.prints[:COUNT], radiographs.prints[COUNT : COUNT + 5]))
    )
    assert asked[0] == COUNT + 5
    assert sum(asked[1:]) < 60


def test_searches_end_and_say_so(
    radiographs: Radiographs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(near_duplicates, "_ROUNDS", 1)
    monkeypatch.setattr(near_duplicates, "_CROWDED", 1)
    with caplog.at_level(logging.WARNING):
        near_duplicates.find(radiographs.prints[[0, 1, COUNT]])
    assert caplog.messages == ["after 1 searches some copies may still be missed"]


def test_copies_that_differ_in_a_third_of_their_blocks_are_none(
    radiographs: Radiographs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = radiographs.prints[:8]
    noise = np.random.default_rng(1).integers(-90, 91, whole[:, -24:].shape)
    other = whole.astype(int)
    other[:, -24:] += noise
    other = np.clip(other, 0, 255).astype(np.uint8)
    assert (registration.similarity(whole, other) < registration.COPY).all()
    # Their median alone would pass.
    monkeypatch.setattr(registration, "_NEARLY", 2)
    assert (registration.similarity(whole, other) >= registration.COPY).all()


def test_some_crops_register_only_the_other_way_round(radiographs: Radiographs) -> None:
    pairs = radiographs.prints[:DUPLICATES], radiographs.prints[COUNT:]
    one_way = registration._registered(*pairs) >= registration.COPY
    either = registration.similarity(*pairs) >= registration.COPY
    assert (either & ~one_way).any()
    assert not (one_way & ~either).any()
