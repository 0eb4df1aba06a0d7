"""Transformed copies are separated from other images, of the same patient too."""

import numpy as np
import pytest

from covid_cxr.cohort.dedup.fingerprint import Fingerprint, fingerprint
from covid_cxr.cohort.dedup.registration import COPY, similarity
from covid_cxr.phantoms import HOSPITALS, draw
from covid_cxr.types import FINDINGS, FloatArray
from support.near_duplicates import COPY_TRANSFORMS, transform_copy

COUNT = 24


def radiograph(number: int, visit: int = 0) -> FloatArray:
    hospital = HOSPITALS[number % len(HOSPITALS)].name
    return draw(FINDINGS[number % 3], number, visit=visit, hospital=hospital).pixels


@pytest.fixture(scope="module")
def images() -> list[FloatArray]:
    return [radiograph(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def prints(images: list[FloatArray]) -> Fingerprint:
    return np.array([fingerprint(each) for each in images])


def test_an_image_is_its_own_copy(prints: Fingerprint) -> None:
    assert similarity(prints, prints) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", COPY_TRANSFORMS)
def test_every_copy_transform_is_recognised(
    kind: str, images: list[FloatArray], prints: Fingerprint
) -> None:
    rng = np.random.default_rng(7)
    near_copies = np.array([fingerprint(transform_copy(each, kind, rng)) for each in images])
    assert (similarity(prints, near_copies) >= COPY).mean() >= 0.95


def test_other_patients_are_no_copies(prints: Fingerprint) -> None:
    pairs = np.stack(np.triu_indices(COUNT, 1), axis=1)
    found = similarity(prints[pairs[:, 0]], prints[pairs[:, 1]])
    assert found.max() < COPY


def test_another_visit_is_mostly_no_copy(prints: Fingerprint) -> None:
    visits = np.array([fingerprint(radiograph(number, visit=1)) for number in range(COUNT)])
    found = similarity(prints, visits)
    assert np.median(found) < COPY - 0.04
    assert (found >= COPY).sum() <= 3


def test_the_order_of_an_uncertain_pair_plays_no_part(images: list[FloatArray]) -> None:
    whole, cropped = fingerprint(images[0]), fingerprint(images[0][30:-12, 28:-28])
    one = similarity(whole[None], cropped[None])
    other = similarity(cropped[None], whole[None])
    assert min(one[0], other[0]) >= COPY


def test_flat_images_are_no_numbers_that_are_not() -> None:
    flat = np.full((2, 64, 64), 128, np.uint8)
    assert np.isfinite(similarity(flat, flat)).all()
