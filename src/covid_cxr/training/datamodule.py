"""Batches for Lightning, from preprocessed films."""

from __future__ import annotations

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, Sampler, WeightedRandomSampler

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
        """Return this epoch's batches; called anew each epoch so that every epoch has its seed."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        seed = (self.config.seed, epoch)
        transform = augmentation(self.config.augment, self.config.preprocess.size)
        films = Films(self.films, self.labels, self.train, transform, seed)
        size = min(self.config.training.batch_size, len(films))
        return DataLoader(films, size, sampler=self._sampler(epoch), drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation rows, in order, unchanged."""
        films = Films(self.films, self.labels, self.val)
        return DataLoader(films, 2 * self.config.training.batch_size)

    def _sampler(self, epoch: int) -> Sampler[int]:
        labels = self.labels[self.train]
        generator = torch.Generator().manual_seed(self.config.seed * 10_007 + epoch)
        if self.config.training.imbalance == "oversample":
            weights = 1.0 / np.bincount(labels)[labels]
            return WeightedRandomSampler(weights.tolist(), len(labels), generator=generator)
        return RandomSampler(range(len(labels)), generator=generator)
