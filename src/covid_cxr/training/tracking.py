"""What a training reports while it runs: log lines, progress, TensorBoard figures."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix, roc_curve

from covid_cxr.metrics import softmax
from covid_cxr.progress import report
from covid_cxr.training.module import TrainingModule

log = logging.getLogger(__name__)


class Tracker(lightning.Callback):
    """Logs after each epoch the validation scores and how long the rest takes at most.

    Args:
        classes: class names for the confusion matrix.
        label: description under which every batch is reported.
    """

    def __init__(self, classes: tuple[str, ...], label: str = "training") -> None:
        self.classes, self.label = classes, label
        self._started, self._first_epoch = 0.0, 0

    def on_train_start(self, trainer: lightning.Trainer, _: lightning.LightningModule) -> None:
        self._started, self._first_epoch = time.monotonic(), trainer.current_epoch

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        report(self.label, trainer.global_step, int(trainer.estimated_stepping_batches))

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.sanity_checking:
            return
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        done = trainer.current_epoch + 1 - self._first_epoch
        per_epoch = (time.monotonic() - self._started) / done
        left = per_epoch * ((trainer.max_epochs or 0) - trainer.current_epoch - 1)
        log.info(
            "%s: epoch %d of at most %d, validation loss %.4f, AUROC %.3f; %.0f s an epoch, "
            "at most %.0f min left",
            *(self.label, trainer.current_epoch + 1, trainer.max_epochs),
            *(scores["val_loss"], scores["val_auroc"], per_epoch, left / 60),
        )
        self._draw(trainer, module)

    def _draw(self, trainer: lightning.Trainer, module: TrainingModule) -> None:
        if not isinstance(trainer.logger, TensorBoardLogger):
            return
        logits, labels = module.val_logits.numpy(), module.val_labels.numpy()
        board, epoch = trainer.logger.experiment, trainer.current_epoch
        board.add_figure("validation/roc", roc_figure(labels, logits), epoch)
        confusion = confusion_figure(labels, logits, self.classes)
        board.add_figure("validation/confusion", confusion, epoch)


def roc_figure(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> Figure:
    """Draw the ROC curve of the last class (COVID-19) for TensorBoard."""
    score = softmax(logits)[:, -1]
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    positive = labels == logits.shape[1] - 1
    if 0 < positive.sum() < len(positive):
        false_positive, sensitivity, _ = roc_curve(positive, score)
        axes.plot(false_positive, sensitivity)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title="COVID-19, validation")
    return figure


def confusion_figure(
    labels: NDArray[np.int64], logits: NDArray[np.float32], classes: tuple[str, ...]
) -> Figure:
    """Draw the confusion matrix of the most probable class for TensorBoard."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    counts = confusion_matrix(labels, logits.argmax(axis=1), labels=range(len(classes)))
    display = ConfusionMatrixDisplay(counts, display_labels=classes)
    display.plot(ax=axes, cmap="Blues", colorbar=False)
    return figure
