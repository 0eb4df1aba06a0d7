"""One training, the best of several seeds, and trainings over grouped folds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError
from covid_cxr.files import atomic_write
from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.training.datamodule import DataModule, TrainingData
from covid_cxr.training.export import quiet
from covid_cxr.training.module import TrainingModule, class_weights
from covid_cxr.training.tracking import Tracker
from covid_cxr.types import CLASSES, Task

log = logging.getLogger(__name__)
_LIGHTNING_WARNINGS = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*dirpath has changed.*",
    ".*isinstance.treespec, LeafSpec.*",
)


@dataclass(frozen=True)
class Trained:
    """The best weights of a training, by validation loss."""

    network: Classifier
    val_loss: float
    epoch: int
    seed: int


@contextmanager
def without_denormals() -> Iterator[None]:
    """Round numbers below 1e-38 to 0; small weights under decay would slow the CPU down manyfold.

    Undone afterwards: it applies to everything the thread computes. Also serves as a decorator.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@without_denormals()
def fit(
    config: RunConfig,
    data: TrainingData,
    out: Path,
    label: str = "training",
    callbacks: Sequence[lightning.Callback] = (),
) -> Trained:
    """Train `config.model` and return it with its best validation weights.

    A killed training continues from `out/last.ckpt`; a finished one is not repeated. TensorBoard
    logs go to `out/tensorboard`.

    Args:
        config: the recipe.
        data: inputs and split.
        out: folder of checkpoints and logs.
        label: under which progress is reported.
        callbacks: Lightning's, called beside those of every training.

    Raises:
        CohortError: the training or validation rows lack a class.
        TrainingError: the loss is not finite.
    """
    require_all_classes(config.task, data.labels, data.train, data.val)
    lightning.seed_everything(config.seed, verbose=False)
    classes = CLASSES[config.task]
    size = config.preprocess.size
    network = zoo.build(config.model, len(classes), config.model_settings, size)
    prior = np.bincount(data.labels[data.train]) / len(data.train)
    if network.recipe.prior_bias:
        network.set_prior(prior.tolist())
    weights = class_weights(data.labels[data.train], classes, config.training)
    module = TrainingModule(network, config.training, weights)
    module.to(memory_format=torch.channels_last)
    best = ModelCheckpoint(out, "best", monitor="val_loss", enable_version_counter=False)
    last = out / "last.ckpt"
    done = out / "done.json"
    if not done.exists():
        with quiet("lightning.pytorch", logging.WARNING, *_LIGHTNING_WARNINGS):
            trainer = _trainer(config, network, out, best, Tracker(classes, label), *callbacks)
            trainer.fit(
                module,
                datamodule=DataModule(config, data),
                ckpt_path=last if _fits(last, module) else None,
                weights_only=False,  # our own file, with the callbacks' state
            )
        assert best.best_model_score is not None  # there is an epoch, and its loss is finite
        atomic_write(done, json.dumps({"val_loss": float(best.best_model_score)}))
    state = torch.load(out / "best.ckpt", weights_only=False, map_location="cpu")
    module.load_state_dict(state["state_dict"])
    loss = json.loads(done.read_text("utf-8"))["val_loss"]
    return Trained(network.eval(), loss, state["epoch"] + 1, config.seed)


def fit_best_of(
    config: RunConfig,
    data: TrainingData,
    out: Path,
    *,
    label: str = "training",
    callbacks: Sequence[lightning.Callback] = (),
) -> Trained:
    """Train `config.training.runs` seeds, counted up, and keep the lowest validation loss."""
    runs = config.training.runs
    if runs == 1:
        return fit(config, data, out, label, callbacks)

    def fit_seed(run: int) -> Trained:
        seeded = config.model_copy(update={"seed": config.seed + run})
        which = f"{label} {run + 1} of {runs}"
        trained = fit(seeded, data, out / f"seed-{seeded.seed}", which, callbacks)
        log.info("seed %d: validation loss %.4f", seeded.seed, trained.val_loss)
        return trained

    return min(map(fit_seed, range(runs)), key=attrgetter("val_loss"))


def _fits(checkpoint: Path, module: TrainingModule) -> bool:
    """Return whether a killed training can continue from `checkpoint`."""
    if not checkpoint.exists():
        return False
    state = torch.load(checkpoint, weights_only=False, map_location="cpu")["state_dict"]
    if state.keys() == module.state_dict().keys():
        return True
    log.warning("'%s' is of another version of the network; training starts again", checkpoint)
    return False


def _trainer(
    config: RunConfig,
    network: Classifier,
    out: Path,
    best: ModelCheckpoint,
    *others: lightning.Callback,
) -> lightning.Trainer:
    stop = EarlyStopping("val_loss", patience=config.training.patience)
    # "best" alone would send a resumed training back to the best epoch, not the last one
    last = ModelCheckpoint(out, "last", monitor=None, enable_version_counter=False)
    callbacks: list[lightning.Callback] = [best, last, stop, _StepSeed(config.seed), *others]
    return lightning.Trainer(
        max_epochs=config.training.max_epochs,
        precision="bf16-mixed" if _use_bf16(config, network) else "32-true",
        callbacks=callbacks,
        logger=TensorBoardLogger(out, name="tensorboard", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


class _StepSeed(lightning.Callback):
    """Seeds dropout by step, so that a resumed training is the uninterrupted one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step)


def _use_bf16(config: RunConfig, network: Classifier) -> bool:
    if config.training.bf16 is not None:
        return config.training.bf16
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return network.recipe.bf16 and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def require_all_classes(
    task: Task,
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    val: NDArray[np.int64],
    label: str = "",
) -> None:
    """Raise an error for rows that a classifier cannot be trained or stopped on.

    Args:
        task: says which classes there must be.
        labels: (N,) class numbers.
        train: rows to train on.
        val: rows to stop on.
        label: of the training, for the message; "" for the only one.

    Raises:
        CohortError: the training or validation rows lack a class.
    """
    where = f" of {label}" if label else ""
    for name, rows in (("training", train), ("validation", val)):
        counts = np.bincount(labels[rows], minlength=len(CLASSES[task]))
        missing = [CLASSES[task][i] for i in np.flatnonzero(counts == 0)]
        if missing:
            raise CohortError(
                f"the {name} rows{where} have no image of class {', '.join(missing)}; add a "
                "source that has some, change the split, or take fewer folds"
            )
