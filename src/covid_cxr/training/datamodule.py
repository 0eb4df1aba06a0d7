"""Batches for Lightning, from preprocessed films."""

from __future__ import annotations

from collections.abc import Iterator

import lightning
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from covid_cxr.config import RunConfig
from covid_cxr.training.films import Films, augmentation

Batch = tuple[Tensor, Tensor]


class FilmData(lightning.LightningDataModule):
    """Training and validation batches of one split.

    Args:
        config: batch size, augmentation, imbalance rule and seed are taken from it.
        films: float16 (N, 1, S, S), all rows.
        labels: class numbers (N,).
        train, val: row numbers of either part.
    """

    def __init__(
        self,
        config: RunConfig,
        films: NDArray[np.float16],
        labels: NDArray[np.int64],
        train: NDArray[np.int64],
        val: NDArray[np.int64],
    ) -> None:
        super().__init__()
        self.config, self.films, self.labels = config, films, labels
        self.train, self.val = train, val

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, drawn and changed anew in every epoch."""
        transform = augmentation(self.config.augment, self.config.preprocess.size)
        films = Films(self.films, self.labels, self.train, transform, self._seed)
        size = min(self.config.training.batch_size, len(films))
        return DataLoader(films, size, sampler=_EpochSampler(self), drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation rows, in order, unchanged."""
        films = Films(self.films, self.labels, self.val)
        return DataLoader(films, 2 * self.config.training.batch_size)

    def order(self) -> Iterator[int]:
        """Yield this epoch's positions in `train`, shuffled or oversampled."""
        labels, rng = self.labels[self.train], np.random.default_rng(self._seed())
        if self.config.training.imbalance == "oversample":
            weights = 1.0 / np.bincount(labels)[labels]
            chance = weights / weights.sum()
            yield from rng.choice(len(labels), len(labels), p=chance).tolist()
        else:
            yield from rng.permutation(len(labels)).tolist()

    def _seed(self) -> tuple[int, int]:
        return self.config.seed, self.trainer.current_epoch if self.trainer else 0


class _EpochSampler(Sampler[int]):
    """Asks for the order when an epoch begins; a resumed trainer knows its epoch no earlier."""

    def __init__(self, data: FilmData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[int]:
        yield from self.data.order()

    def __len__(self) -> int:
        return len(self.data.train)
