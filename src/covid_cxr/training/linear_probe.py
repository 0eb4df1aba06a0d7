"""The last layer alone, trained in closed form on features that stay as ImageNet left them.

Regularised least squares on the classes as 0 and 1 (Rifkin, Yeo and Poggio, "Regularized
least-squares classification", 2003). With a thousand films there is little to learn a network
from, and whatever it can adapt to, it adapts to the source of a film first; features that have
never seen a radiograph cannot (research/lab_book.md). It takes one pass over the films.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from covid_cxr.config import RunConfig
from covid_cxr.errors import ConfigError
from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.progress import track
from covid_cxr.training.datamodule import Part
from covid_cxr.training.experiment import Trained, need_all_classes
from covid_cxr.training.feature_extractor import Films, FrozenNetwork
from covid_cxr.training.inputs import QUALITY, compressed
from covid_cxr.training.module import class_weights
from covid_cxr.training.sample_weights import within_class
from covid_cxr.types import CLASSES, FloatArray

_TINY = 1e-6
_BATCH = 32
Array = NDArray[np.float64]


def frozen_features(
    config: RunConfig,
    films: NDArray[np.float16],
) -> FloatArray:
    """Return what `config.model` makes of films (N, 1, S, S) before it is trained.

    Returns:
        float32 (V, N, F): of the films as they are and, with `augment.flip`, of their mirror
        images and, with `augment.jpeg`, of the films compressed.
    """
    frozen = _frozen(config.model, config.preprocess.size)
    views: list[Films] = [films]
    if config.augment.flip:
        views.append(films[..., ::-1])
    if config.augment.jpeg:
        views.append(_Compressed(films, config.seed))
    batches = [(view, start) for view in views for start in range(0, len(films), _BATCH)]
    features = [
        frozen.features(view[start : start + _BATCH])
        for view, start in track(batches, "extracting features")
    ]
    return np.concatenate(features).reshape(len(views), len(films), -1)


@lru_cache(maxsize=1)  # folds, protocols and audits ask for the same one again and again
def _frozen(model: str, size: int) -> FrozenNetwork:
    return FrozenNetwork(size, network=zoo.build(model, 2).eval())


class _Compressed:
    """Films compressed as they are asked for, each by a quality of its own."""

    def __init__(self, films: NDArray[np.float16], seed: int) -> None:
        self._films = films
        self._qualities = np.random.default_rng(seed).integers(*QUALITY, len(films))

    def __len__(self) -> int:
        return len(self._films)

    def __getitem__(self, rows: slice) -> FloatArray:
        pairs = zip(self._films[rows], self._qualities[rows], strict=True)
        return np.stack([compressed(film, int(quality)) for film, quality in pairs])


def fit_linear(config: RunConfig, part: Part) -> Trained:
    """Return `config.model` with its last layer trained on the training rows.

    Of the changes in `augment` only `flip` and `jpeg` are made: with them, a film's mirror image,
    and the film compressed, are training rows like the film itself, for the heart says which side
    is which and the archive how it compresses, and neither says who is ill.

    Raises:
        CohortError: the training or validation rows lack a class.
        ConfigError: the network begins with random weights.
    """
    need_all_classes(config, part)
    features = part.features
    if features is None:
        features = frozen_features(config, part.films)
    slopes, bias = _solve(config, part, features)
    network = zoo.build(config.model, len(CLASSES[config.task])).eval()
    _need_the_same(network, config.model, part, features)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(slopes.T))
        network.head.bias.copy_(torch.from_numpy(bias))
    logits = features[0, part.val] @ slopes + bias
    return Trained(network, _loss(logits, part.labels[part.val]), 0, config.seed)


def crossed(config: RunConfig, part: Part, folds: NDArray[np.int64]) -> Array:
    """Return logits (n, C) of the n training rows, each from a fit to the other folds.

    They serve to calibrate on: a thousand films in place of the hundred that validate.

    Args:
        config: the recipe.
        part: with features.
        folds: (n,) of the training rows; no patient or copy is in two.
    """
    features = part.features
    assert features is not None
    logits = np.empty((len(part.train), len(CLASSES[config.task])))
    for fold in np.unique(folds):
        out = folds == fold
        slopes, bias = _solve(config, replace(part, train=part.train[~out]), features)
        logits[out] = features[0, part.train[out]] @ slopes + bias
    return logits


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


def _need_the_same(network: Classifier, name: str, part: Part, features: FloatArray) -> None:
    """Refuse a network that is another each time it is built: features are of one of them."""
    row = part.train[0]
    film = torch.from_numpy(part.films[row : row + 1].astype(np.float32))
    with torch.inference_mode():
        seen = network(film).embedding[0].numpy()
    if not np.allclose(seen, features[0, row], rtol=0.01, atol=0.01 * float(np.abs(seen).max())):
        raise ConfigError(
            f"model '{name}' begins with random weights, expected those of ImageNet for "
            "training.method=linear: take efficientnet-lite0, or training.method=gradient"
        )


def _solve(config: RunConfig, part: Part, features: FloatArray) -> tuple[Array, Array]:
    known = features[:, part.train].astype(np.float64)
    views = len(known)
    targets = np.tile(np.eye(len(CLASSES[config.task]))[part.labels[part.train]], (views, 1))
    weights = np.tile(_weights(config, part), views) / views
    return ridge(known.reshape(len(targets), -1), targets, weights, config.training.penalty)


def _weights(config: RunConfig, part: Part) -> Array:
    labels = part.labels[part.train]
    weights: Array = class_weights(labels, CLASSES[config.task], config.training)[labels]
    if part.multipliers is None:
        return weights
    return weights * within_class(labels, part.multipliers[part.train])


def _loss(logits: Array, labels: NDArray[np.int64]) -> float:
    logs = log_softmax(logits, axis=1)
    return -float(np.mean(logs[np.arange(len(labels)), labels]))
