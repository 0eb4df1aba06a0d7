"""A linear probe: the last layer alone, fitted in closed form on features of ImageNet weights.

Regularised least squares on the classes as 0 and 1 (Rifkin, Yeo and Poggio, "Regularized
least-squares classification", 2003). With a thousand images there is little to train a network
from, and whatever can adapt adapts to the source of an image first; features that were never
trained on radiographs cannot (research/lab_book.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax

from covid_cxr.config import RunConfig
from covid_cxr.errors import CohortError, ConfigError
from covid_cxr.metrics.ridge import fit_ridge
from covid_cxr.models import zoo
from covid_cxr.models.zoo.classifier import Classifier
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.experiment import Trained, require_all_classes
from covid_cxr.training.feature_extractor import extract_features
from covid_cxr.training.module import class_weights
from covid_cxr.training.sample_weights import normalise_within_class
from covid_cxr.types import CLASSES, FloatArray, Task

_EPSILON = 1e-6
Array = NDArray[np.float64]


def fit_linear_probe(config: RunConfig, data: TrainingData) -> Trained:
    """Return `config.model` with its last layer fitted to the training rows.

    Of the changes in `augment` only `flip` and `jpeg` apply: the mirror image and the compressed
    image are training rows like the image itself, because the side of the heart and the
    compression of an archive say nothing about who is ill.

    Raises:
        CohortError: the training or validation rows lack a class.
        ConfigError: the network starts with random weights.
    """
    require_all_classes(config.task, data.labels, data.train, data.val)
    features = data.features
    if features is None:
        features = extract_features(config, data.inputs)
    weights, bias = _solve(config, data, features)
    classes, size = len(CLASSES[config.task]), config.preprocess.size
    network = zoo.build(config.model, classes, config.model_settings, size).eval()
    _require_same_features(network, config.model, data, features)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weights.T))
        network.head.bias.copy_(torch.from_numpy(bias))
    logits = features[0, data.val] @ weights + bias
    return Trained(network, _cross_entropy(logits, data.labels[data.val]), 0, config.seed)


def out_of_fold_logits(config: RunConfig, data: TrainingData, folds: NDArray[np.int64]) -> Array:
    """Return logits (n, C) of the n training rows, each from a fit to the other folds.

    Args:
        config: the recipe.
        data: with features.
        folds: (n,) of the training rows; no patient or near-duplicate is in two.
    """
    features = data.features
    assert features is not None
    logits = np.empty((len(data.train), len(CLASSES[config.task])))
    for fold in np.unique(folds):
        out = folds == fold
        weights, bias = _solve(config, replace(data, train=data.train[~out]), features)
        logits[out] = features[0, data.train[out]] @ weights + bias
    return logits


def require_classes_out_of_fold(
    task: Task, labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> None:
    """Raise an error for training rows that `out_of_fold_logits` cannot be computed of.

    Args:
        task: says which classes there must be.
        labels: (n,) class numbers of the training rows.
        folds: (n,) of the same.

    Raises:
        CohortError: all images of a class are in one fold.
    """
    for number, name in enumerate(CLASSES[task]):
        if np.unique(folds[labels == number]).size < 2:
            raise CohortError(
                f"the training images of class {name} come from too few patients to calibrate on "
                "them out of fold, expected two or more; add images of other patients"
            )


def _require_same_features(
    network: Classifier, name: str, data: TrainingData, features: FloatArray
) -> None:
    """Raise an error if a network built anew computes other features: its weights are random."""
    row = data.train[0]
    image = torch.from_numpy(data.inputs[row : row + 1].astype(np.float32))
    with torch.inference_mode():
        own = network(image).embedding[0].numpy()
    if not np.allclose(own, features[0, row], rtol=0.01, atol=0.01 * float(np.abs(own).max())):
        raise ConfigError(
            f"model '{name}' starts with random weights, of which training.method=linear-probe "
            f"trains the last layer only; take the recipe from-scratch -s model={name}, which "
            "trains them all"
        )


def _solve(config: RunConfig, data: TrainingData, features: FloatArray) -> tuple[Array, Array]:
    views = features[:, data.train].astype(np.float64)
    count = len(views)
    targets = np.tile(np.eye(len(CLASSES[config.task]))[data.labels[data.train]], (count, 1))
    weights = np.tile(_sample_weights(config, data), count) / count
    inputs, alpha = views.reshape(len(targets), -1), config.training.ridge_alpha
    return fit_ridge(inputs, targets, alpha, weights, epsilon=_EPSILON)


def _sample_weights(config: RunConfig, data: TrainingData) -> Array:
    labels = data.labels[data.train]
    weights: Array = class_weights(labels, CLASSES[config.task], config.training)[labels]
    if data.label_weights is None:
        return weights
    return weights * normalise_within_class(labels, data.label_weights[data.train])


def _cross_entropy(logits: Array, labels: NDArray[np.int64]) -> float:
    return -float(np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels]))
