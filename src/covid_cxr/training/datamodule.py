"""Training data, and its batches for Lightning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from covid_cxr.config import RunConfig
from covid_cxr.training.inputs import augmentation
from covid_cxr.training.sanity_checks import ImageCheck
from covid_cxr.types import FloatArray

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrainingData:
    """All inputs of a training, and which rows train and which validate."""

    inputs: NDArray[np.float16]  # (N, 1, S, S)
    labels: NDArray[np.int64]  # (N,)
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    sources: NDArray[np.str_] | None = None  # (N,); None: all from one
    label_weights: NDArray[np.float64] | None = None  # (N,) factors within a class; None: 1
    features: FloatArray | None = None  # (V, N, F), see `extract_features`; None: not computed yet
    checks: tuple[ImageCheck, ...] = ()  # (N,) what the input check says; empty: not checked


class InputDataset(Dataset[tuple[Tensor, Tensor]]):
    """Some rows of the inputs with their class numbers; augmented when `transform` is given.

    Every augmentation is seeded by (seed, epoch, row), so that a resumed training sees the same
    images as an uninterrupted one.
    """

    def __init__(
        self,
        data: TrainingData,
        rows: NDArray[np.int64],
        transform: Compose | None = None,
        seed: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        self.data, self.rows = data, rows
        self.transform, self.seed = transform, seed

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        """Return one input float32 (1, S, S) in [0, 1] and its class number."""
        row = int(self.rows[i])
        image = torch.from_numpy(self.data.inputs[row].astype(np.float32))
        if self.transform is not None:
            seed = np.random.SeedSequence([*self.seed(), row]).generate_state(1)[0]
            self.transform.set_random_state(seed=int(seed))
            image = torch.as_tensor(self.transform(image)).clamp(0, 1)
        return image, torch.tensor(self.data.labels[row])


class DataModule(lightning.LightningDataModule):
    """Training and validation batches of one split.

    Args:
        config: batch size, augmentation, imbalance rule and seed are taken from it.
        data: inputs and split.
    """

    def __init__(self, config: RunConfig, data: TrainingData) -> None:
        super().__init__()
        self.config, self.data = config, data
        self.train = data.train

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, shuffled and augmented anew in every epoch."""
        transform = augmentation(self.config.augment, self.config.preprocess.size)
        dataset = InputDataset(self.data, self.train, transform, self._seed)
        size = min(self.config.training.batch_size, len(dataset))
        return DataLoader(dataset, size, sampler=_EpochSampler(self), drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation rows, in order, unchanged."""
        dataset = InputDataset(self.data, self.data.val)
        return DataLoader(dataset, 2 * self.config.training.batch_size)

    def order(self) -> Iterator[int]:
        """Yield this epoch's positions in `train`, shuffled or oversampled."""
        labels, rng = self.data.labels[self.train], np.random.default_rng(self._seed())
        if self.config.training.imbalance != "oversample":
            yield from rng.permutation(len(labels)).tolist()
            return
        weights = 1.0 / np.bincount(labels)[labels]
        yield from rng.choice(len(labels), len(labels), p=weights / weights.sum()).tolist()

    def _seed(self) -> tuple[int, int]:
        return self.config.seed, self.trainer.current_epoch if self.trainer else 0


class _EpochSampler(Sampler[int]):
    """Takes the order when an epoch begins; a resumed trainer does not know its epoch earlier."""

    def __init__(self, data: DataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[int]:
        yield from self.data.order()

    def __len__(self) -> int:
        return len(self.data.train)
