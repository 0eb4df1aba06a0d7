"""The lung network over folds of patients, then on all of them."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.losses import DiceLoss
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold
from torch import Tensor, nn

from covid_cxr import imaging
from covid_cxr.cohort import masks as drawings
from covid_cxr.cohort.splits.grouped import components
from covid_cxr.explain.resampling import mask_on_grid
from covid_cxr.files import atomic_write
from covid_cxr.inference.lungs import LungSegmenter
from covid_cxr.progress import track
from covid_cxr.training.experiment import without_denormals
from covid_cxr.types import BoolArray, FloatArray
from research.lung_segmentation import report
from research.lung_segmentation.augment import augment
from research.lung_segmentation.export import SPEC, export
from research.lung_segmentation.network import LungNetwork

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How the network is trained; the number of epochs is fixed, none is chosen on a fold."""

    epochs: int = 60
    batch: int = 8
    learning_rate: float = 2e-3  # of what starts anew; half of it for what has seen ImageNet
    weight_decay: float = 1e-4
    folds: int = 5
    seed: int = 2020


@dataclass(frozen=True)
class Marked:
    """Images whose lungs a radiologist drew: images and masks at the network's size and as read."""

    rows: pd.DataFrame
    images: Tensor  # (N, 1, S, S)
    masks: Tensor  # (N, 2, S, S)
    read: list[FloatArray]  # (H, W)
    annotated_masks: list[tuple[BoolArray, BoolArray]]  # (H, W): right, left


def train_lungs(
    cohort: pd.DataFrame,
    data_root: Path,
    out: Path,
    settings: Settings,
    *,
    command: str,
) -> dict[str, Any]:
    """Measure the recipe out of fold, train it on all masked images, write network and card.

    Writes `dice.csv` (a row a image, from a network that saw neither it, nor its patient, nor a
    copy), `lungs.onnx`, `lungs.json` and `LUNGS_CARD.md` to `out`, and returns the figures. Folds
    that are done are not repeated.

    Raises:
        CohortError: the cohort's images have no masks.
    """
    marked = load(cohort, data_root)
    folds = GroupKFold(settings.folds, shuffle=True, random_state=settings.seed)
    groups = marked.rows["component"]
    scores = []
    for fold, parts in enumerate(folds.split(groups, groups=groups), start=1):
        description = f"fold {fold} of {settings.folds}"
        scores.append(_fold(marked, parts, out / f"fold-{fold}.csv", settings, description))
    dice = pd.concat(scores, ignore_index=True)
    network = fit(marked.images, marked.masks, settings, "all folds")
    metrics = report.metrics(dice) | {"settings": asdict(settings)}
    export(network, out, metrics, command)
    report.write(dice, metrics, out)
    return metrics


def load(cohort: pd.DataFrame, data_root: Path) -> Marked:
    """Read the images of `cohort` on which both lungs are annotated.

    Raises:
        CohortError: there are none.
    """
    rows = drawings.annotated(cohort.assign(component=components(cohort)), data_root)
    kept, read, annotated_masks = [], [], []
    for row in rows.itertuples():
        both = [drawings.mask(data_root / str(row.masks), name) for name in drawings.LUNGS]
        if both[0] is None or both[1] is None:
            continue
        kept.append(row.Index)
        read.append(imaging.read(data_root / str(row.path)).pixels)
        annotated_masks.append((both[0], both[1]))
    images = np.stack([imaging.preprocess(pixels, SPEC) for pixels in read])
    shape = (SPEC.size, SPEC.size)
    masks = np.stack([[mask_on_grid(mask, shape) for mask in both] for both in annotated_masks])
    grids = torch.from_numpy(images), torch.from_numpy(masks.astype(np.float32))
    return Marked(rows.loc[kept].reset_index(drop=True), *grids, read, annotated_masks)


@without_denormals()
def fit(
    images: Tensor,
    masks: Tensor,
    settings: Settings,
    description: str = "training",
) -> nn.Module:
    """Return a network trained on images (N, 1, S, S) and masks (N, 2, S, S)."""
    torch.manual_seed(settings.seed)
    rng = torch.Generator().manual_seed(settings.seed)
    network = LungNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Not MONAI's DiceCELoss: of two channels it takes a softmax, and a pixel may be no lung at all.
    dice, cross_entropy = DiceLoss(sigmoid=True, batch=True), nn.BCEWithLogitsLoss()
    steps = settings.epochs * (len(images) // settings.batch)
    optimizer, schedule = _optimizer(network, settings, steps)
    bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    network.train()
    for _ in track(range(settings.epochs), description):
        order = torch.randperm(len(images), generator=rng)
        for at in range(0, len(images) - settings.batch + 1, settings.batch):
            rows = order[at : at + settings.batch]
            batch, wanted = augment(images[rows], masks[rows], rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                answer = network(batch.to(memory_format=torch.channels_last))
            optimizer.zero_grad()
            (dice(answer.float(), wanted) + cross_entropy(answer.float(), wanted)).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _optimizer(
    network: LungNetwork, settings: Settings, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    rate = settings.learning_rate
    rates = {network.encoder: rate / 2, network.decoder: rate, network.head: rate}
    groups = [{"params": [*part.parameters()]} for part in rates]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=settings.weight_decay)
    highest = list(rates.values())
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=steps)


def _fold(
    marked: Marked,
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    done: Path,
    settings: Settings,
    description: str,
) -> pd.DataFrame:
    """Return the Dice of the images left out, as the exported network gives it at full size."""
    if done.exists():
        return pd.read_csv(done)
    train, left_out = parts
    network = fit(marked.images[train], marked.masks[train], settings, description)
    with TemporaryDirectory() as folder:
        segmenter = LungSegmenter(export(network, Path(folder), {}, ""))
        predicted = segmenter.segment([marked.read[i] for i in left_out])
    rows = [
        report.row(marked.rows.iloc[i], lungs, marked.annotated_masks[i])
        for i, lungs in zip(left_out, predicted, strict=True)
    ]
    scores = pd.DataFrame(rows)
    log.info("%s: Dice %.3f", done.stem, scores["dice"].mean())
    atomic_write(done, scores.to_csv(index=False, lineterminator="\n"))
    return scores
