"""The last layer by least squares, the weights of films."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from covid_cxr.config import AugmentConfig, PreprocessSpec, RunConfig, TrainingConfig
from covid_cxr.errors import CohortError, ConfigError
from covid_cxr.metrics.ridge import fit_ridge
from covid_cxr.models import zoo
from covid_cxr.training.datamodule import TrainingData
from covid_cxr.training.feature_extractor import extract_features
from covid_cxr.training.inputs import augmentation, jpeg_compressed
from covid_cxr.training.linear_probe import (
    fit_linear_probe,
    out_of_fold_logits,
)
from covid_cxr.training.run import _out_of_fold_calibration, training_data
from covid_cxr.training.sample_weights import mixed_source_weights, normalise_within_class

pytestmark = pytest.mark.usefixtures("graph_templates")


def test_multipliers_move_weight_within_a_class_only_by_hand() -> None:
    # Class 0 holds factors 0.1, 1, 1: 3 / 2.1 of each; class 1 holds 5, 5: 1 each.
    labels, factors = np.array([0, 1, 0, 1, 0]), np.array([0.1, 5, 1, 5, 1])
    expected = [0.3 / 2.1, 1, 3 / 2.1, 1, 3 / 2.1]
    np.testing.assert_allclose(normalise_within_class(labels, factors), expected)
    alone = normalise_within_class(
        np.array([0, 0, 1, 2]), np.array([0.1, 0.1, 1, 1])
    )  # classes of their own
    np.testing.assert_allclose(alone, 1)


def test_label_weights_that_no_method_uses_are_an_error() -> None:
    with pytest.raises(ValueError, match="label_weights with method 'gradient'"):
        TrainingConfig(label_weights={"normal": 0.1})


def test_multipliers_reach_the_fit() -> None:
    rows = pd.DataFrame({"finding": ["normal", "pneumonia", "covid-19"] * 4, "source": ["a"] * 12})
    radiographs = np.random.default_rng(0).random((12, 1, 64, 64)).astype(np.float16)
    config = config_of(label_weights={"normal": 0.1})
    data = replace(training_data(config, rows, radiographs), train=np.arange(12), val=np.arange(12))
    np.testing.assert_allclose(data.label_weights, [0.1, 1, 1] * 4)
    # Classes weigh the same (12 / (2 x 8) and 12 / (2 x 4)); within the first normal a tenth.
    first = 0.75 * 2 / 1.1
    weights = np.array([0.1 * first, first, 1.5] * 4)
    network = fit_linear_probe(config, data).network
    features = data.features
    assert features is not None
    targets = np.eye(2)[data.labels]
    inputs, alpha = features[0].astype(np.float64), config.training.ridge_alpha
    slopes, bias = fit_ridge(inputs, targets, alpha, weights, epsilon=1e-6)
    np.testing.assert_allclose(network.head.weight.detach().numpy(), slopes.T, atol=1e-6)
    np.testing.assert_allclose(network.head.bias.detach().numpy(), bias, atol=1e-6)


def test_how_sure_to_be_is_learned_where_the_source_is_no_help() -> None:
    # Source a holds both kinds, b and c one each: theirs say nothing of the temperature.
    findings = ["covid-19", "pneumonia"] * 10 + ["pneumonia"] * 10 + ["covid-19"] * 10
    names = ["a"] * 20 + ["b"] * 10 + ["c"] * 10
    patients = [f"{i}" for i in range(40)]
    rows = pd.DataFrame({"finding": findings, "source": names, "patient_id": patients})
    rows = rows.assign(duplicate_group="", image_id=patients, sha256=patients, split="train")
    radiographs = np.random.default_rng(0).random((40, 1, 64, 64)).astype(np.float16)
    data = replace(
        training_data(config_of(), rows, radiographs), train=np.arange(40), val=np.arange(40)
    )
    reference_values = _out_of_fold_calibration(config_of(), rows, data)
    np.testing.assert_array_equal(reference_values.labels, data.labels)
    np.testing.assert_allclose(reference_values.weights, [2] * 20 + [0] * 20)


def test_only_sources_with_both_kinds_say_how_sure_to_be() -> None:
    labels = np.array([1, 0, 0, 0, 0, 0, 1, 1, 1])
    sources = np.array(list("aaaabbccc"))
    expected = np.array([9 / 2, *[9 / 6] * 3, *[0] * 5])
    np.testing.assert_allclose(mixed_source_weights(labels, sources), expected)
    alone = np.where(labels == 1, "c", "n")  # no source holds both: every film counts
    np.testing.assert_allclose(mixed_source_weights(labels, alone)[labels == 1], 9 / 8)


def test_the_last_of_three_classes_is_set_against_the_rest() -> None:
    # Normal and pneumonia alone do not make a source one that holds both.
    weights = mixed_source_weights(np.array([0, 1, 2, 0]), np.array(["a", "a", "b", "b"]))
    np.testing.assert_allclose(weights, [0, 0, 2, 2])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), min_size=2, max_size=40))
def test_the_mean_weight_is_one_and_kinds_weigh_the_same(rows: list[tuple[bool, str]]) -> None:
    labels = np.array([int(covid) for covid, _ in rows])
    weights = mixed_source_weights(labels, np.array([source for _, source in rows]))
    assert weights.mean() == pytest.approx(1)
    if 0 < labels.sum() < len(labels):
        assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())


def config_of(**training: object) -> RunConfig:
    return RunConfig(
        model="efficientnet-lite0-stride16",
        preprocess=PreprocessSpec(size=64),
        training=TrainingConfig.model_validate({"method": "linear-probe", **training}),
    )


def bright_or_dark(radiographs: int = 24) -> TrainingData:
    rng = np.random.default_rng(0)
    labels = np.arange(radiographs) % 2
    pixels = rng.random((radiographs, 1, 64, 64)) * 0.5 + 0.4 * labels[:, None, None, None]
    rows = np.arange(radiographs)
    return TrainingData(
        pixels.astype(np.float16), labels, rows[: radiographs // 2], rows[radiographs // 2 :]
    )


def test_what_differs_is_learned_and_only_the_last_layer_moves() -> None:
    data, config = bright_or_dark(), config_of(ridge_alpha=0.1)
    before = zoo.build(config.model, 2).state_dict()
    trained = fit_linear_probe(config, data)
    radiographs = torch.from_numpy(data.inputs[data.val].astype(np.float32))
    with torch.inference_mode():
        called = trained.network(radiographs).logits.argmax(1).numpy()
    np.testing.assert_array_equal(called, data.labels[data.val])
    after = trained.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.weight", "head.bias"}
    features = extract_features(config, data.inputs)
    again = fit_linear_probe(config, replace(data, features=features)).network.state_dict()
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_out_of_fold_logits_are_those_of_fits_without_the_fold() -> None:
    data, config = bright_or_dark(), config_of(ridge_alpha=0.5)
    data = replace(data, features=extract_features(config, data.inputs))
    folds = np.arange(len(data.train)) // 2 % 3
    found = out_of_fold_logits(config, data, folds)
    for fold in range(3):
        alone = replace(data, train=data.train[folds != fold])
        head = fit_linear_probe(config, alone).network.head
        with torch.inference_mode():
            expected = head(torch.from_numpy(data.features[0, data.train[folds == fold]]))
        np.testing.assert_allclose(found[folds == fold], expected.numpy(), atol=1e-4)


def test_a_missing_class_is_told() -> None:
    data = bright_or_dark()
    alone = TrainingData(data.inputs, data.labels * 0, data.train, data.val)
    with pytest.raises(CohortError, match="no image of class covid-19"):
        fit_linear_probe(config_of(), alone)


def test_a_mirror_image_trains_like_its_image() -> None:
    # A film and its mirror image together leave nothing to tell left from right by.
    data, config = bright_or_dark(), config_of(ridge_alpha=0.1)
    half = data.inputs.copy()
    half[..., :32] = np.where(data.labels[:, None, None, None] == 1, 0.9, 0.1)
    half[..., 32:] = 0.5
    both = config.model_copy(update={"augment": config.augment.model_copy(update={"flip": 0.5})})
    features = extract_features(both, half)
    assert features.shape[:2] == (2, len(half))
    np.testing.assert_allclose(features[0], extract_features(config, half)[0])
    np.testing.assert_allclose(
        features[1], extract_features(config, half[..., ::-1])[0], rtol=1e-4, atol=1e-5
    )
    one = fit_linear_probe(both, replace(data, inputs=half)).network.state_dict()
    other = fit_linear_probe(both, replace(data, inputs=half[..., ::-1])).network.state_dict()
    torch.testing.assert_close(one["head.weight"], other["head.weight"], atol=1e-3, rtol=1e-3)
    alone = fit_linear_probe(config, replace(data, inputs=half)).network.state_dict()
    assert not torch.allclose(one["head.weight"], alone["head.weight"], atol=1e-3)


def test_weights_are_those_of_images_not_of_views() -> None:
    # The penalty means the same with mirror images: of symmetric films they change nothing.
    data, config = bright_or_dark(), config_of()
    even = np.maximum(data.inputs, data.inputs[..., ::-1])
    data = replace(data, inputs=even)
    features = extract_features(config, even)
    one = fit_linear_probe(config, replace(data, features=features)).network.state_dict()
    twice = replace(data, features=np.concatenate([features, features]))
    two = fit_linear_probe(config, twice).network.state_dict()
    torch.testing.assert_close(one["head.weight"], two["head.weight"], atol=1e-6, rtol=1e-4)


def test_traces_of_compression_tell_nothing_where_both_are_shown() -> None:
    rng = np.random.default_rng(0)
    sharp = rng.random((24, 1, 64, 64)).astype(np.float16) * 0.6 + 0.2
    labels = np.arange(24) % 2
    text = np.stack(
        [
            jpeg_compressed(f, 20) if positives else f
            for f, positives in zip(sharp, labels, strict=True)
        ]
    )
    rows = np.arange(24)
    data = TrainingData(text.astype(np.float16), labels, rows, rows)
    moved = {}
    for probability in (0.0, 0.5):
        config = config_of(ridge_alpha=0.01)
        augment = config.augment.model_copy(update={"jpeg": probability})
        both = config.model_copy(update={"augment": augment})
        head = fit_linear_probe(both, data).network.head
        with torch.inference_mode():
            before, after = (
                head(torch.from_numpy(extract_features(config, radiographs)[0]))
                for radiographs in (sharp, np.stack([jpeg_compressed(f, 30) for f in sharp]))
            )
        moved[probability] = float((after - before).diff(dim=1).mean())
    # Without copies compression itself is the disease, certainly; with them two films in three that
    # are compressed are ill.
    assert moved[0.0] > 0.5
    assert moved[0.5] < 0.85 * moved[0.0], moved


def test_compression_keeps_the_image_and_its_shape() -> None:
    radiograph = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    fine = jpeg_compressed(radiograph, 95)
    assert fine.shape == radiograph.shape and fine.dtype == np.float32
    np.testing.assert_allclose(fine, radiograph, atol=0.02)
    changed = augmentation(AugmentConfig(rotation=0, jpeg=1.0), 64)
    changed.set_random_state(seed=0)
    assert not np.allclose(np.asarray(changed(radiograph)), radiograph, atol=1e-3)
    never = augmentation(AugmentConfig(rotation=0), 64)
    np.testing.assert_array_equal(np.asarray(never(radiograph)), radiograph)


def test_a_linear_probe_on_random_weights_is_an_error() -> None:
    config = config_of().model_copy(update={"model": "resnet18"})
    with pytest.raises(ConfigError, match="'resnet18' starts with random weights"):
        fit_linear_probe(config, bright_or_dark())
