"""Similar cases: distances by hand, files, pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from covid_cxr.errors import AlteredImage, BundleError, UnreadableImage
from covid_cxr.imaging.page import CROSS, GAP, HEAD
from covid_cxr.inference import similar_cases
from covid_cxr.types import Radiograph


@pytest.fixture
def reference(tmp_path: Path) -> similar_cases.Reference:
    embeddings = np.array([[2, 0], [0, 3], [1, 1]], np.float32)
    path = tmp_path / "reference.npz"
    similar_cases.save(path, embeddings, ["m:a", "m:b", "m:ü"], ["normal", "covid-19", "normal"])
    return similar_cases.load(path)


def test_distance_is_one_less_the_cosine(reference: similar_cases.Reference) -> None:
    found = reference.nearest(np.array([5, 0], np.float32))
    assert [each.image_id for each in found] == ["m:a", "m:ü", "m:b"]
    assert [each.finding for each in found] == ["normal", "normal", "covid-19"]
    assert [each.distance for each in found] == pytest.approx([0, 1 - np.sqrt(0.5), 1], abs=1e-3)
    assert len(reference.nearest(np.array([5, 0], np.float32), count=1)) == 1


def test_an_embedding_of_nothing_is_far_from_all(reference: similar_cases.Reference) -> None:
    assert {each.distance for each in reference.nearest(np.zeros(2, np.float32))} == {1.0}


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reference.npz").write_bytes(content)
    with pytest.raises(BundleError, match="holds no reference embeddings"):
        similar_cases.load(tmp_path / "reference.npz")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, embeddings=np.array([object()]), image_ids=np.array([]), findings=np.array([]))
    with pytest.raises(BundleError):
        similar_cases.load(path)


@pytest.mark.parametrize("error", [None, UnreadableImage("gone"), AlteredImage("replaced")])
def test_similar_cases_are_drawn_beside_the_radiograph(
    reference: similar_cases.Reference, error: Exception | None
) -> None:
    radiograph = np.full((200, 100), 0.5, np.float32)
    bright = Radiograph(np.ones((80, 80), np.float32), "a", "PNG", 8)

    def load_image(image_id: str) -> Radiograph | None:
        if image_id != "m:a" and error:
            raise error
        return bright if image_id == "m:a" else None

    found = reference.nearest(np.array([5, 0], np.float32))
    page = np.asarray(
        similar_cases.draw_similar_cases(radiograph, "ward/film.png", found, load_image)
    )
    assert page.shape[1] == 4 * (300 + GAP) + GAP
    columns = GAP + np.arange(4) * (300 + GAP)
    middle = page[HEAD + 150]
    assert (middle[columns[0] + 150] == 127).all() or (middle[columns[0] + 150] == 128).all()
    assert (middle[columns[1] + 150] == 255).all()
    assert middle[columns[2] + 20].max() < 60  # not at hand: a crossed frame
    assert tuple(page[HEAD + 10, columns[2] + 10]) == CROSS
