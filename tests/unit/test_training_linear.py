"""The last layer by least squares, the weights of films, and the mirrored network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from covid_cxr.config import PreprocessSpec, RunConfig, TrainingConfig
from covid_cxr.errors import CohortError
from covid_cxr.models import zoo
from covid_cxr.training.datamodule import FilmData, Part
from covid_cxr.training.linear import fit_linear, frozen_features, ridge
from covid_cxr.training.weighting import within_sources


def test_weights_by_hand() -> None:
    # Source a holds both (1 with, 3 without), b and c one kind each: four groups of weight 9 / 4.
    labels = np.array([1, 0, 0, 0, 0, 0, 1, 1, 1])
    sources = np.array(list("aaaabbccc"))
    expected = np.array([9 / 4, *[9 / 12] * 3, *[9 / 8] * 2, *[9 / 12] * 3])
    np.testing.assert_allclose(within_sources(labels, sources), expected)


def test_the_last_of_three_classes_is_set_against_the_rest() -> None:
    # Normal and pneumonia alone do not make a source one that holds both.
    weights = within_sources(np.array([0, 1, 2, 0]), np.array(["a", "a", "b", "b"]))
    np.testing.assert_allclose(weights, [4 / 6, 4 / 6, 4 / 3, 4 / 3])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), min_size=2, max_size=40))
def test_groups_weigh_the_same_and_the_mean_is_one(rows: list[tuple[bool, str]]) -> None:
    labels = np.array([int(covid) for covid, _ in rows])
    weights = within_sources(labels, np.array([source for _, source in rows]))
    assert weights.mean() == pytest.approx(1)
    assert (weights > 0).all()


def test_ridge_is_scikit_learns_on_standardised_features() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (40, 5)) * [1, 10, 0.1, 1, 1]
    targets, weights = np.eye(3)[rng.integers(0, 3, 40)], rng.uniform(0.5, 2, 40)
    slopes, bias = ridge(features, targets, weights, 0.7)
    mean = np.average(features, axis=0, weights=weights)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights)) * np.sqrt(5)
    peer = Ridge(0.7).fit((features - mean) / spread, targets, sample_weight=weights)
    expected = peer.predict((features - mean) / spread)
    np.testing.assert_allclose(features @ slopes + bias, expected, atol=1e-5)


def test_oversampling_follows_the_weights() -> None:
    labels = np.array([1] * 5 + [0] * 95)
    films = np.zeros((100, 1, 32, 32), np.float16)
    part = Part(films, labels, np.arange(100), np.arange(100))
    config = RunConfig(training=TrainingConfig(imbalance="within-sources"))
    drawn = list(FilmData(config, part).order())
    assert len(drawn) == 100
    assert 35 <= sum(row < 5 for row in drawn) <= 65


def config_of(**training: object) -> RunConfig:
    return RunConfig(
        model="efficientnet-lite0-stride16",
        preprocess=PreprocessSpec(size=64),
        training=TrainingConfig.model_validate({"method": "linear", **training}),
    )


def bright_or_dark(films: int = 24) -> Part:
    rng = np.random.default_rng(0)
    labels = np.arange(films) % 2
    pixels = rng.random((films, 1, 64, 64)) * 0.5 + 0.4 * labels[:, None, None, None]
    rows = np.arange(films)
    return Part(pixels.astype(np.float16), labels, rows[: films // 2], rows[films // 2 :])


def test_what_differs_is_learned_and_only_the_last_layer_moves() -> None:
    part, config = bright_or_dark(), config_of(penalty=0.1, imbalance="within-sources")
    before = zoo.build(config.model, 2).state_dict()
    trained = fit_linear(config, part)
    films = torch.from_numpy(part.films[part.val].astype(np.float32))
    with torch.inference_mode():
        called = trained.network(films).logits.argmax(1).numpy()
    np.testing.assert_array_equal(called, part.labels[part.val])
    after = trained.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"head.weight", "head.bias"}
    features = frozen_features(config, part.films)
    again = fit_linear(config, replace(part, features=features)).network.state_dict()
    assert all(torch.equal(after[name], again[name]) for name in after)


def test_a_missing_class_is_told() -> None:
    part = bright_or_dark()
    alone = Part(part.films, part.labels * 0, part.train, part.val)
    with pytest.raises(CohortError, match="no film of class covid-19"):
        fit_linear(config_of(), alone)


def test_a_mirrored_network_does_not_know_left_from_right() -> None:
    network = zoo.build("efficientnet-lite0-mirrored", 2).eval()
    films = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        seen, other = network(films), network(films.flip(-1))
    torch.testing.assert_close(seen.logits, other.logits, atol=1e-4, rtol=1e-4)
    cams = network.cam(seen.features), network.cam(other.features).flip(-1)
    torch.testing.assert_close(*cams, atol=1e-4, rtol=1e-4)
