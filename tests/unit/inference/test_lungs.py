"""Lungs: the rules of what can be lungs, the network that ships, its training and its card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from covid_cxr.cohort import masks, schema
from covid_cxr.errors import BundleError, CohortError
from covid_cxr.inference.lungs import GRAPH, MANIFEST, SHIPPED, LungFinder, lungs_of
from covid_cxr.models.lung_unet import LungNetwork
from covid_cxr.phantoms import HOSPITALS, draw
from research.lung_segmentation import Settings, report
from research.lung_segmentation.augment import augment
from research.lung_segmentation.experiment import fit, train_lungs

pytestmark = pytest.mark.usefixtures("graph_templates")


@pytest.fixture(scope="module")
def finder() -> LungFinder:
    return LungFinder(threads=1)


def answer(right: slice, left: slice, rows: slice = slice(20, 80)) -> np.ndarray:
    """What a network says that is sure of two rectangles on a film of 100 x 100."""
    found = np.full((2, 100, 100), 0.01, np.float32)
    found[0, rows, right] = found[1, rows, left] = 0.99
    return found


def test_holes_are_filled_and_bays_are_not() -> None:
    seen = answer(slice(10, 40), slice(60, 90))
    seen[0, 40:50, 20:30] = 0.01  # a hole
    seen[0, 39, 19] = 0.01  # touches it at a corner alone: a hole of its own
    seen[1, 40:50, 80:90] = 0.01  # a bay
    seen[1, 20, 60] = 0.01
    found = lungs_of(seen)
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (1800, 1800 - 100 - 1)


def test_a_lung_at_the_edge_of_the_film_keeps_what_the_edge_cuts_open() -> None:
    seen = answer(slice(0, 40), slice(60, 100))
    seen[0, 40:50, 0:10] = 0.01
    found = lungs_of(seen)
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (2400 - 100, 2400)


def test_two_clear_lungs_are_found() -> None:
    found = lungs_of(answer(slice(10, 40), slice(60, 90)))
    assert found is not None
    assert (found.right.sum(), found.left.sum()) == (1800, 1800)
    assert found.both.sum() == 3600


def test_what_cannot_be_lungs_is_refused() -> None:
    clear = answer(slice(10, 40), slice(60, 90))
    small = answer(slice(10, 40), slice(60, 65))
    swapped = clear[::-1]
    unsure = np.where(clear > 0.5, 0.6, 0.3).astype(np.float32)
    apart = clear.copy()
    apart[1] = np.roll(apart[1], 40, axis=0)
    for wrong in (small, swapped, unsure, apart, np.zeros_like(clear)):
        assert lungs_of(np.asarray(wrong, np.float32)) is None


def test_of_several_pieces_the_largest_counts_and_its_holes_are_filled() -> None:
    found = answer(slice(10, 40), slice(60, 90))
    found[0, 40:45, 20:25] = 0.01  # a hole
    found[0, 2:6, 2:6] = 0.99  # a crumb
    lungs = lungs_of(found)
    assert lungs is not None
    assert lungs.right.sum() == 1800
    assert not lungs.right[:10].any()


@pytest.mark.parametrize("number", range(5))
def test_the_shipped_network_finds_the_lungs_of_phantoms(finder: LungFinder, number: int) -> None:
    finding = ("normal", "covid-19", "pneumonia")[number % 3]
    film = draw(finding, number, hospital=HOSPITALS[number].name)
    (found,) = finder.find([film.pixels])
    assert found is not None
    right, left = report.row(_row(), found, (film.lungs, film.lungs & False)), None
    assert left is None
    assert right["dice"] > 0.7  # phantoms are not what it was trained on


def _row() -> pd.Series:
    return pd.Series({"image_id": "a", "component": 0, "raw_finding": "", "view": "PA"})


def test_a_mirrored_film_gets_the_mirrored_answer(finder: LungFinder) -> None:
    film = np.random.default_rng(0).random((1, 1, 160, 160), dtype=np.float32)
    film[..., :80] *= 0.3
    once = finder.probabilities(film)
    mirrored = finder.probabilities(np.ascontiguousarray(film[..., ::-1]))
    assert np.abs(mirrored[:, ::-1, :, ::-1] - once).max() < 1e-5
    assert np.abs(once[:, 0] - once[:, 1]).max() > 1e-3


def test_pictures_without_lungs_are_told_apart(finder: LungFinder) -> None:
    rng = np.random.default_rng(0)
    noise = rng.random((200, 200), dtype=np.float32)
    film = draw("normal", 3).pixels
    ramp = np.linspace(0, 1, 200, dtype=np.float32)[None].repeat(200, axis=0)
    blank = np.full((200, 200), 0.4, np.float32)
    pictures = [noise, ramp, blank, np.rot90(film).copy()]
    assert finder.find(pictures) == [None] * 4


def test_many_films_are_answered_in_order(finder: LungFinder) -> None:
    films = [draw("normal", n).pixels for n in range(3)]
    blank = np.zeros((50, 60), np.float32)
    together = finder.find([films[0], blank, *films[1:], *[blank] * 20])
    alone = [finder.find([film])[0] for film in films]
    assert together[1] is None
    assert together[4:] == [None] * 20
    for one, other in zip([together[0], *together[2:4]], alone, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one.both, other.both)


def test_the_shipped_card_says_what_the_network_scored() -> None:
    metrics = json.loads((SHIPPED / MANIFEST).read_text("utf-8"))["metrics"]
    card = (SHIPPED / "LUNGS_CARD.md").read_text("utf-8")
    assert f"mean {metrics['dice']:.3f}" in card
    assert f"{metrics['dice_5th_percentile']:.3f} / {metrics['dice_lowest']:.3f}" in card
    assert "Not a medical device" in card


def test_an_altered_or_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no lung network"):
        LungFinder(tmp_path)
    shutil.copytree(SHIPPED, tmp_path / "copy")
    with (tmp_path / "copy" / GRAPH).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match="was altered"):
        LungFinder(tmp_path / "copy")


def test_dice_by_hand() -> None:
    one = np.array([True, True, False, False])
    assert report.dice(one, np.array([False, True, True, False])) == 0.5
    assert report.dice(one, one) == 1
    assert report.dice(one & False, one & False) == 1
    assert report.dice(one, one & False) == 0


def test_film_and_mask_are_bent_alike_and_stay_in_range() -> None:
    rng = torch.Generator().manual_seed(0)
    squares = torch.zeros(8, 1, 96, 96)
    squares[:, :, 30:66, 20:50] = 1
    films, drawn = augment(squares, squares.repeat(1, 2, 1, 1), rng)
    assert films.min() >= 0
    assert films.max() <= 1
    bright = [
        float(film[0][mask[0] > 0.9].mean() - film[0][mask[0] < 0.1].mean())
        for film, mask in zip(films, drawn, strict=True)
    ]
    assert min(bright) > 0.1  # where the mask went, the square went
    assert not torch.equal(drawn[0], drawn[1])
    assert squares.sum() == 8 * 36 * 30  # the caller's are untouched


def test_masks_change_places_in_the_half_that_is_mirrored() -> None:
    films = torch.zeros(200, 1, 32, 32)
    films[..., :10] = 1
    masks = torch.cat([films, 1 - films], dim=1)  # the first lies on the left of the film
    seen, drawn = augment(films, masks, torch.Generator().manual_seed(0))
    columns = torch.arange(32.0)
    where = [(mask * columns).sum((1, 2)) / mask.sum((1, 2)) for mask in drawn.unbind(1)]
    assert (where[0] < where[1]).float().mean() > 0.95  # and stays there, mirrored or not
    wide = drawn[:, 0].sum((1, 2)) > drawn[:, 1].sum((1, 2))
    assert 60 < int(wide.sum()) < 140
    assert seen.shape == films.shape


def test_the_first_blocks_stay_as_imagenet_made_them() -> None:
    films, masks = torch.rand(4, 1, 32, 32), torch.zeros(4, 2, 32, 32)
    fresh = LungNetwork().state_dict()
    trained = fit(films, masks, Settings(epochs=1, batch=2)).state_dict()
    frozen = [name for name in fresh if name.startswith(("encoder.stem", "encoder.blocks.2."))]
    assert len(frozen) > 10
    assert all(torch.equal(fresh[name], trained[name]) for name in frozen)
    for moved in ("encoder.blocks.3._bn0.running_mean", "encoder.blocks.14._project_conv.weight"):
        assert not torch.equal(fresh[moved], trained[moved])


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """A Mila-like folder: eight phantoms of four patients, with masks as radiologists draw."""
    from PIL import Image

    root = tmp_path_factory.mktemp("marked")
    (root / "set" / "images").mkdir(parents=True)
    rows = []
    for number in range(8):
        film = draw("covid-19", number // 2, visit=number % 2)
        path = root / "set" / "images" / f"f{number}.png"
        Image.fromarray((film.pixels * 255).astype(np.uint8)).resize((160, 160)).save(path)
        folder = root / "set" / masks.FOLDER / f"f{number}"
        folder.mkdir(parents=True)
        half = np.arange(film.lungs.shape[1]) < film.lungs.shape[1] / 2
        for name, mask in ((masks.RIGHT, film.lungs & half), (masks.LEFT, film.lungs & ~half)):
            if (number, name) != (7, masks.RIGHT):  # one lung alone was drawn
                Image.fromarray((mask * 255).astype(np.uint8)).resize((160, 160)).save(
                    folder / f"{name}.png"
                )
        rows.append(dict.fromkeys(schema.COLUMNS, "") | _cohort_row(number))
    return pd.DataFrame(rows), root


def _cohort_row(number: int) -> dict[str, object]:
    return {
        "image_id": f"s:f{number}",
        "path": f"set/images/f{number}.png",
        "patient_id": f"s:{number // 2}",
        "raw_finding": "COVID-19",
        "view": "PA",
    }


@pytest.mark.slow
def test_training_measures_out_of_fold_and_ships_a_network(
    marked: tuple[pd.DataFrame, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, root = marked
    settings = Settings(epochs=1, batch=2, folds=2)
    metrics = train_lungs(cohort, root, tmp_path, settings, command="covid-cxr lungs")
    assert (metrics["films"], metrics["patients"]) == (7, 4)
    dice = pd.read_csv(tmp_path / "dice.csv")
    assert sorted(dice["image_id"]) == [f"s:f{number}" for number in range(7)]
    folds = [pd.read_csv(tmp_path / f"fold-{k}.csv") for k in (1, 2)]
    assert not set(folds[0]["component"]) & set(folds[1]["component"])
    assert "7 films of 4 patients" in (tmp_path / "LUNGS_CARD.md").read_text("utf-8")
    assert LungFinder(tmp_path).manifest.preprocess.size == 160
    calls: list[int] = []
    monkeypatch.setattr(
        "research.lung_segmentation.experiment.fit",
        lambda films, *rest: calls.append(len(films)),
    )
    monkeypatch.setattr("research.lung_segmentation.experiment.export", lambda *_: None)
    train_lungs(cohort, root, tmp_path, settings, command="covid-cxr lungs")
    assert calls == [7]  # the folds were done


def test_a_network_learns_the_lungs_of_one_film() -> None:
    film = draw("normal", 1)
    small = torch.nn.functional.interpolate(torch.from_numpy(film.pixels)[None, None], (64, 64))
    lungs = torch.nn.functional.interpolate(
        torch.from_numpy(film.lungs.astype(np.float32))[None, None], (64, 64)
    )
    half = (torch.arange(64) < 32).float()
    drawn = torch.cat([lungs * half, lungs * (1 - half)], dim=1)
    network = fit(small.repeat(4, 1, 1, 1), drawn.repeat(4, 1, 1, 1), Settings(epochs=60, batch=4))
    with torch.inference_mode():
        found = torch.sigmoid(network(small))[0]
    for said, lung in zip(found, drawn[0] > 0.5, strict=True):
        # A softmax between the two lungs, or a rectified last layer, left one of them empty.
        assert said[lung].mean() - said[~lung].mean() > 0.15


def test_a_cohort_without_masks_is_named(marked: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="no film of the cohort has masks"):
        masks.annotated(marked[0], tmp_path)


def test_masks_are_joined_and_must_fit(tmp_path: Path) -> None:
    from PIL import Image

    for name, at, size in (("consolidation", 0, 32), ("airways", 1, 32), ("tubings", 0, 33)):
        mask = np.zeros((size, size), np.uint8)
        mask[at] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    joined = masks.mask(tmp_path, "consolidation", "airways", "not-drawn")
    assert joined is not None
    assert joined.sum(axis=1).tolist() == [32, 32] + 30 * [0]
    assert masks.mask(tmp_path, "not-drawn") is None
    with pytest.raises(CohortError, match="differ in size"):
        masks.mask(tmp_path, "consolidation", "tubings")
