"""The lung network's training: Dice by hand, augmentation, folds, network and card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from covid_cxr.cohort import masks, schema
from covid_cxr.errors import CohortError
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.phantoms import draw
from research.lung_segmentation import Settings, report
from research.lung_segmentation.augment import augment
from research.lung_segmentation.experiment import fit, train_lungs
from research.lung_segmentation.network import LungNetwork

pytestmark = pytest.mark.usefixtures("graph_templates")


def test_dice_by_hand() -> None:
    one = np.array([True, True, False, False])
    assert report.dice(one, np.array([False, True, True, False])) == 0.5
    assert report.dice(one, one) == 1
    assert report.dice(one & False, one & False) == 1
    assert report.dice(one, one & False) == 0


def test_image_and_mask_are_bent_together_and_stay_in_range() -> None:
    rng = torch.Generator().manual_seed(0)
    squares = torch.zeros(8, 1, 96, 96)
    squares[:, :, 30:66, 20:50] = 1
    samples, synthetic = augment(squares, squares.repeat(1, 2, 1, 1), rng)
    assert samples.min() >= 0
    assert samples.max() <= 1
    bright = [
        float(radiograph[0][mask[0] > 0.9].mean() - radiograph[0][mask[0] < 0.1].mean())
        for radiograph, mask in zip(samples, synthetic, strict=True)
    ]
    assert min(bright) > 0.1  # where the mask went, the square went
    assert not torch.equal(synthetic[0], synthetic[1])
    assert squares.sum() == 8 * 36 * 30  # the caller's are untouched


def test_masks_change_places_in_the_half_that_is_mirrored() -> None:
    samples = torch.zeros(200, 1, 32, 32)
    samples[..., :10] = 1
    masks = torch.cat([samples, 1 - samples], dim=1)  # the first lies on the left of the film
    recorded, synthetic = augment(samples, masks, torch.Generator().manual_seed(0))
    columns = torch.arange(32.0)
    where = [(mask * columns).sum((1, 2)) / mask.sum((1, 2)) for mask in synthetic.unbind(1)]
    assert (where[0] < where[1]).float().mean() > 0.95  # and stays there, mirrored or not
    wide = synthetic[:, 0].sum((1, 2)) > synthetic[:, 1].sum((1, 2))
    assert 60 < int(wide.sum()) < 140
    assert recorded.shape == samples.shape


def test_the_first_blocks_stay_as_imagenet_made_them() -> None:
    samples, masks = torch.rand(4, 1, 32, 32), torch.zeros(4, 2, 32, 32)
    fresh = LungNetwork().state_dict()
    trained = fit(samples, masks, Settings(epochs=1, batch=2)).state_dict()
    fixed = [name for name in fresh if name.startswith(("encoder.stem", "encoder.blocks.2."))]
    assert len(fixed) > 10
    assert all(torch.equal(fresh[name], trained[name]) for name in fixed)
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
        radiograph = draw("covid-19", number // 2, visit=number % 2)
        path = root / "set" / "images" / f"f{number}.png"
        Image.fromarray((radiograph.pixels * 255).astype(np.uint8)).resize((160, 160)).save(path)
        folder = root / "set" / masks.FOLDER / f"f{number}"
        folder.mkdir(parents=True)
        half = np.arange(radiograph.lungs.shape[1]) < radiograph.lungs.shape[1] / 2
        for name, mask in (
            (masks.RIGHT, radiograph.lungs & half),
            (masks.LEFT, radiograph.lungs & ~half),
        ):
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
    metrics = train_lungs(cohort, root, tmp_path, settings, command="a test")
    assert (metrics["radiographs"], metrics["patients"]) == (7, 4)
    dice = pd.read_csv(tmp_path / "dice.csv")
    assert sorted(dice["image_id"]) == [f"s:f{number}" for number in range(7)]
    folds = [pd.read_csv(tmp_path / f"fold-{k}.csv") for k in (1, 2)]
    assert not set(folds[0]["component"]) & set(folds[1]["component"])
    assert "7 radiographs of 4 patients" in (tmp_path / "LUNGS_CARD.md").read_text("utf-8")
    assert LungSegmenter(tmp_path).manifest.preprocess.size == 160
    calls: list[int] = []
    monkeypatch.setattr(
        "research.lung_segmentation.experiment.fit",
        lambda samples, *rest: calls.append(len(samples)),
    )
    monkeypatch.setattr("research.lung_segmentation.experiment.export", lambda *_: None)
    train_lungs(cohort, root, tmp_path, settings, command="a test")
    assert calls == [7]  # the folds were done


def test_a_network_learns_the_lungs_of_one_image() -> None:
    radiograph = draw("normal", 1)
    small = torch.nn.functional.interpolate(
        torch.from_numpy(radiograph.pixels)[None, None], (64, 64)
    )
    lungs = torch.nn.functional.interpolate(
        torch.from_numpy(radiograph.lungs.astype(np.float32))[None, None], (64, 64)
    )
    half = (torch.arange(64) < 32).float()
    synthetic = torch.cat([lungs * half, lungs * (1 - half)], dim=1)
    network = fit(
        small.repeat(2, 1, 1, 1), synthetic.repeat(2, 1, 1, 1), Settings(epochs=40, batch=2)
    )
    with torch.inference_mode():
        found = torch.sigmoid(network(small))[0]
    for said, lung in zip(found, synthetic[0] > 0.5, strict=True):
        # A softmax between the two lungs, or a rectified last layer, left one of them empty.
        assert said[lung].mean() - said[~lung].mean() > 0.15


def test_a_cohort_without_masks_is_named(marked: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="of the cohort has masks"):
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
