"""The last layer alone, trained in closed form on features that stay as ImageNet left them.

Regularised least squares on the classes as 0 and 1 (Rifkin, Yeo and Poggio, "Regularized
least-squares classification", 2003). With a thousand films there is little to learn a network
from, and whatever it can adapt to, it adapts to the source of a film first; features that have
never seen a radiograph cannot (docs/research/generalisation.md). It takes one pass over the films.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from covid_cxr.config import RunConfig
from covid_cxr.models import zoo
from covid_cxr.training.datamodule import Part
from covid_cxr.training.experiment import Trained, need_all_classes
from covid_cxr.training.frozen import FrozenNetwork
from covid_cxr.training.module import class_weights
from covid_cxr.types import CLASSES, FloatArray

_TINY = 1e-6
Array = NDArray[np.float64]


def frozen_features(
    config: RunConfig,
    films: NDArray[np.float16],
    progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """Return what `config.model` makes of films (N, 1, S, S) before it is trained: (N, F)."""
    network = zoo.build(config.model, len(CLASSES[config.task])).eval()
    return FrozenNetwork(config.preprocess.size, network=network).features(films, progress)


def fit_linear(config: RunConfig, part: Part) -> Trained:
    """Return `config.model` with its last layer trained on the training rows, as they are.

    Raises:
        CohortError: the training or validation rows lack a class.
    """
    need_all_classes(config, part)
    features = part.features
    if features is None:
        features = frozen_features(config, part.films)
    classes = CLASSES[config.task]
    known = features[part.train].astype(np.float64)
    targets = np.eye(len(classes))[part.labels[part.train]]
    solved = ridge(known, targets, _weights(config, part), config.training.penalty)
    network = zoo.build(config.model, len(classes)).eval()
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(solved[0].T))
        network.head.bias.copy_(torch.from_numpy(solved[1]))
    logits = features[part.val] @ solved[0] + solved[1]
    return Trained(network, _loss(logits, part.labels[part.val]), 0, config.seed)


def ridge(features: Array, targets: Array, weights: Array, penalty: float) -> tuple[Array, Array]:
    """Return weights (F, C) and bias (C,) of the regularised least squares fit.

    Features are standardised and their squares brought to a sum of 1, so that `penalty` means the
    same for any number of them; the bias is not penalised.

    Args:
        features: (N, F).
        targets: (N, C).
        weights: (N,) of each row.
        penalty: of the squared weights of standardised features, against the weighted sum of
            squared errors.
    """
    share = weights / weights.sum()
    mean, height = share @ features, share @ targets
    centred = features - mean
    scale = np.sqrt(share @ centred**2) + _TINY
    known = centred / (scale * np.sqrt(features.shape[1]))
    system = (known * weights[:, None]).T @ known
    system[np.diag_indices_from(system)] += penalty
    solved = np.linalg.solve(system, (known * weights[:, None]).T @ (targets - height))
    slopes = solved / (scale * np.sqrt(features.shape[1]))[:, None]
    return slopes, height - mean @ slopes


def _weights(config: RunConfig, part: Part) -> Array:
    labels = part.labels[part.train]
    if config.training.imbalance == "within-sources":
        return part.within_sources
    return class_weights(labels, CLASSES[config.task], config.training)[labels]


def _loss(logits: Array, labels: NDArray[np.int64]) -> float:
    logs = log_softmax(logits, axis=1)
    return -float(np.mean(logs[np.arange(len(labels)), labels]))
