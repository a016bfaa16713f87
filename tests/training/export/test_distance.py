"""The distance is Mahalanobis' from the nearest class."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from training.export.distance import fitted_distance


@pytest.fixture
def features() -> np.ndarray:
    random = np.random.default_rng(0)
    scale = np.array([1.0, 3.0, 0.5])
    return (random.normal(size=(400, 3)) * scale + [[0, 0, 0], [8, 0, 0]] * 200).astype(np.float32)


TARGETS = np.array([0, 1] * 200)


def test_it_equals_the_definition(features: np.ndarray) -> None:
    means = np.stack([features[number == TARGETS].mean(axis=0) for number in (0, 1)])
    precision = LedoitWolf(assume_centered=True).fit(features - means[TARGETS]).precision_
    offset = np.array([3.0, -2.0, 1.0])
    by_class = [(offset - mean) @ precision @ (offset - mean) for mean in means]
    found = fitted_distance(features, TARGETS)(torch.tensor(offset, dtype=torch.float32)[None])
    assert found.item() == pytest.approx(min(by_class) ** 0.5, rel=1e-4)


def test_a_class_mean_is_at_distance_zero(features: np.ndarray) -> None:
    mean = torch.tensor(features[TARGETS == 1].mean(axis=0))
    assert fitted_distance(features, TARGETS)(mean[None]).item() == pytest.approx(0, abs=1e-3)


def test_films_with_findings_are_measured_from_the_mean_of_all(features: np.ndarray) -> None:
    findings = np.random.default_rng(0).choice([0, 1, np.nan], (400, 2))
    distance = fitted_distance(features, findings)
    assert distance(torch.tensor(features.mean(axis=0))[None]).item() == pytest.approx(0, abs=1e-3)
    assert len(distance.whitened_means) == 1


def test_larger_is_less_alike(features: np.ndarray) -> None:
    distance = fitted_distance(features, TARGETS)
    steps = torch.tensor([[0.0, 0.0, z] for z in (0.0, 1.0, 5.0, 50.0)])
    assert distance(steps).diff().gt(0).all()
