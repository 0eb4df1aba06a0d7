"""The training step: loss, imbalance, activity penalty, schedule and validation scores."""

from __future__ import annotations

import math
from typing import Any

import lightning
import numpy as np
import torch
from monai.losses import FocalLoss
from numpy.typing import NDArray
from torch import Tensor, nn

from covid_cxr.config import TrainingConfig
from covid_cxr.errors import TrainingError
from covid_cxr.metrics.scores import auroc
from covid_cxr.models.zoo.classifier import Classifier


class TrainingModule(lightning.LightningModule):
    """One network in training.

    Logs `train_loss`, `val_loss` (class-weighted cross-entropy, the early-stopping score) and
    `val_auroc` of the COVID-19 class. `val_logits` and `val_labels` hold the last validation.

    Args:
        network: what to train.
        config: optimisation settings.
        class_weights: weight of each class in the loss, (C,).

    Raises:
        TrainingError: a loss is not finite.
    """

    def __init__(
        self, network: Classifier, config: TrainingConfig, class_weights: NDArray[np.float64]
    ) -> None:
        super().__init__()
        self.network, self.config = network, config
        weights = torch.tensor(class_weights, dtype=torch.float32)
        self.loss = _loss(config, weights)
        self.val_criterion = nn.CrossEntropyLoss(weights)
        self.val_logits, self.val_labels = torch.empty(0), torch.empty(0)
        self._steps: list[tuple[Tensor, Tensor]] = []
        self._activity: list[Tensor] = []
        if network.recipe.activity_l2:
            for layer in network.regularised_layers():
                layer.register_forward_hook(self._collect_activity)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, S, S) -> logits (N, C) in float32."""
        return self.network(images).logits.float()  # type: ignore[no-any-return]

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        # MONAI's losses take labels as (N, 1)
        truth = labels[:, None] if self.config.imbalance == "focal" else labels
        loss: Tensor = self.loss(self(_channels_last(images)), truth)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        loss = loss + self._take_penalty(len(labels))
        self._require_finite("training", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        self._steps.append((self(_channels_last(images)).cpu(), labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        self.val_logits = torch.cat([logits for logits, _ in self._steps])
        self.val_labels = torch.cat([labels for _, labels in self._steps])
        self._steps.clear()
        loss = self.val_criterion(self.val_logits.to(self.device), self.val_labels.to(self.device))
        self._require_finite("validation", loss)
        positive = self.val_labels.numpy() == self.val_logits.shape[1] - 1
        covid = torch.softmax(self.val_logits, dim=1)[:, -1].numpy().astype(np.float64)
        self.log("val_loss", loss, prog_bar=True)
        self.log("val_auroc", float(auroc(positive, covid)))

    def _require_finite(self, split: str, loss: Tensor) -> None:
        """Raise an error for a loss that is not finite: no later step can mend the weights.

        Raises:
            TrainingError: it is NaN or infinite.
        """
        if not bool(torch.isfinite(loss)):
            raise TrainingError(
                f"training diverged: the {split} loss is {loss.item()} in epoch "
                f"{self.current_epoch + 1}; lower training.learning_rate"
            )

    def configure_optimizers(self) -> Any:
        rate = self.config.learning_rate or self.network.recipe.learning_rate
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=rate, weight_decay=self.config.weight_decay
        )
        if self.config.schedule == "constant":
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _WarmCosine(total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _collect_activity(self, _: nn.Module, __: Any, output: Tensor) -> None:
        if self.training:
            self._activity.append(output.float().square().sum())

    def _take_penalty(self, batch_size: int) -> Tensor:
        """Keras' activity regulariser: l2 x sum of squares / batch size, over all layers."""
        if not self._activity:
            return torch.zeros((), device=self.device)
        total = torch.stack(self._activity).sum()
        self._activity.clear()
        return self.network.recipe.activity_l2 * total / batch_size


def class_weights(
    labels: NDArray[np.int64], classes: tuple[str, ...], config: TrainingConfig
) -> NDArray[np.float64]:
    """Return the loss weight of each class: N / (C x n_c) x its multiplier.

    All 1 unless `config.imbalance` is "class-weights" or "focal".

    >>> labels = np.array([0, 0, 0, 1])
    >>> class_weights(labels, ("non-covid-19", "covid-19"), TrainingConfig()).round(3).tolist()
    [0.667, 2.0]
    """
    if config.imbalance in ("oversample", "none"):
        return np.ones(len(classes))
    counts = np.bincount(labels, minlength=len(classes))
    multipliers = np.array([config.class_multipliers.get(name, 1.0) for name in classes])
    weights: NDArray[np.float64] = multipliers * len(labels) / (len(classes) * counts)
    return weights


def _loss(config: TrainingConfig, weights: Tensor) -> nn.Module:
    if config.imbalance == "focal":
        return FocalLoss(to_onehot_y=True, use_softmax=True, weight=weights)
    return nn.CrossEntropyLoss(weights, label_smoothing=config.label_smoothing)


class _WarmCosine:
    """Factor on the learning rate: linear over the first 5 % of steps, then half a cosine to 0."""

    def __init__(self, total: int) -> None:
        self.total, self.warmup = total, max(1, total // 20)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.total - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)
