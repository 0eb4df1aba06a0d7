"""Batches for Lightning, from preprocessed films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import lightning
import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from covid_cxr.config import RunConfig
from covid_cxr.training.inputs import Films, augmentation
from covid_cxr.types import FloatArray

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Part:
    """The films of a training: all of them, and which rows train and which validate."""

    films: NDArray[np.float16]  # (N, 1, S, S)
    labels: NDArray[np.int64]  # (N,)
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    sources: NDArray[np.str_] | None = None  # (N,); None: all from one
    multipliers: NDArray[np.float64] | None = None  # (N,) on weights within their class; None: 1
    features: FloatArray | None = None  # (V, N, F), see `frozen_features`; None: not computed yet


class FilmData(lightning.LightningDataModule):
    """Training and validation batches of one split.

    Args:
        config: batch size, augmentation, imbalance rule and seed are taken from it.
        part: films and split.
    """

    def __init__(self, config: RunConfig, part: Part) -> None:
        super().__init__()
        self.config, self.part = config, part
        self.train = part.train

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, drawn and changed anew in every epoch."""
        transform = augmentation(self.config.augment, self.config.preprocess.size)
        films = Films(self.part.films, self.part.labels, self.train, transform, self._seed)
        size = min(self.config.training.batch_size, len(films))
        return DataLoader(films, size, sampler=_EpochSampler(self), drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the validation rows, in order, unchanged."""
        films = Films(self.part.films, self.part.labels, self.part.val)
        return DataLoader(films, 2 * self.config.training.batch_size)

    def order(self) -> Iterator[int]:
        """Yield this epoch's positions in `train`, shuffled or oversampled."""
        labels, rng = self.part.labels[self.train], np.random.default_rng(self._seed())
        if self.config.training.imbalance != "oversample":
            yield from rng.permutation(len(labels)).tolist()
            return
        weights = 1.0 / np.bincount(labels)[labels]
        yield from rng.choice(len(labels), len(labels), p=weights / weights.sum()).tolist()

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
