"""The index finds what a search through all pairs would find, without looking at all pairs."""

import numpy as np
import pytest

from covid_cxr.cohort.dedup import candidates
from covid_cxr.cohort.dedup.candidates import candidate_pairs as search


def generated(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random fingerprints of `count` images."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (count, 8, 8)).repeat(8, axis=1).repeat(8, axis=2)
    return np.clip(coarse * 50 + 128, 0, 255).astype(np.uint8)


def test_few_images_are_compared_all_with_all() -> None:
    pairs = search(generated(5))
    assert pairs.tolist() == [[i, j] for i in range(5) for j in range(i + 1, 5)]
    assert len(search(generated(1))) == 0
    assert len(search(generated(0))) == 0


def test_planted_copies_are_among_the_pairs() -> None:
    prints = generated(2000)
    noise = np.random.default_rng(1).integers(-20, 21, (100, 64, 64))
    near_copies = np.clip(prints[:100].astype(int) + noise, 0, 255).astype(np.uint8)
    pairs = set(map(tuple, search(np.concatenate((prints, near_copies))).tolist()))
    assert all((i, 2000 + i) in pairs for i in range(100))
    assert len(pairs) < 2100 * 13  # far from the 2.2 million there are


def test_pairs_are_sorted_unique_and_never_an_image_with_itself() -> None:
    pairs = search(generated(600))
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert (np.unique(pairs, axis=0) == pairs).all()
    assert (search(generated(600)) == pairs).all()


def test_identical_images_are_found_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = np.concatenate((generated(300), generated(1, seed=9).repeat(5, axis=0)))
    pairs = search(prints)
    same = pairs[(pairs >= 300).all(axis=1)]
    assert len(same) == 10
    flat = np.full((300, 64, 64), 7, np.uint8)
    assert np.isfinite(search(flat)).all()


def test_images_compared_grow_with_n_root_n(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = {}
    for count in (1000, 4000):
        met = 0

        def probed(vectors, asked, order, cells):
            nonlocal met
            met = sum(len(cells[cell]) for row in order for cell in row)
            return np.full((len(asked), 1), -1)

        monkeypatch.setattr(candidates, "_search", probed)
        search(generated(count))
        compared[count] = met
    # 64 cells of 4 sqrt(n): n * 64 / (4 sqrt(n)) = 16 n sqrt(n): 8 times as much for 4 times n.
    assert compared[4000] / compared[1000] < 12
