"""The head of a linear probe is the minimum of the penalised loss, on features as they are."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import cross_entropy

from tests.support.small_networks import small_network
from training.data.dataset import FilmDataset
from training.fitting.feature_cache import feature_cache
from training.fitting.loop import TrainingRun
from training.step.linear_probe import fit_head
from training.training_config import TrainingConfig

PROBE: dict[str, Any] = {
    "epochs": 1,
    "linear_probe": {"penalty": 0.5},
    "unfreeze": {"layers": [[0, "head"]], "feature_cache": {"copies": 2, "dtype": "float32"}},
}


def drawn(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of very different scales, and unequally many films of each class."""
    random = np.random.default_rng(0)
    targets = np.repeat(np.arange(classes), 10 * (1 + np.arange(classes)))
    features = random.normal(size=(len(targets), 6)) + targets[:, None] * [1, 0, 0.5, 0, 0, -1]
    return features * [1, 10, 0.1, 1, 3, 1] + [0, 5, 1, -2, 0, 0], targets


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("is_balanced", [True, False])
def test_the_head_is_where_the_gradient_of_the_penalised_loss_vanishes(
    classes: int, *, is_balanced: bool
) -> None:
    features, targets = drawn(classes)
    head = nn.Linear(6, classes).double()
    loss = fit_head(head, features, targets, penalty=0.3, is_balanced=is_balanced)
    counts = torch.bincount(torch.from_numpy(targets)).double()
    weights = counts.sum() / (classes * counts) if is_balanced else None
    logits = head(torch.from_numpy(features))
    own = cross_entropy(logits, torch.from_numpy(targets), weights)
    # Of two classes scikit-learn penalises the weights of the difference of the logits.
    difference = 2 if classes == 2 else 1
    scaled = head.weight * torch.from_numpy(features.std(axis=0))
    (own + difference * 0.3 / 2 * (scaled**2).sum()).backward()  # type: ignore[no-untyped-call]
    assert loss == pytest.approx(own.item(), rel=1e-6)
    assert head.bias.grad is not None
    assert head.weight.grad is not None
    assert head.bias.grad.abs().max() < 1e-4
    assert (head.weight.grad / torch.from_numpy(features.std(axis=0))).abs().max() < 1e-4


def test_a_stronger_penalty_makes_smaller_weights() -> None:
    features, targets = drawn(3)
    weak, strong = nn.Linear(6, 3), nn.Linear(6, 3)
    fit_head(weak, features, targets, penalty=0.01, is_balanced=True)
    fit_head(strong, features, targets, penalty=10.0, is_balanced=True)
    assert strong.weight.norm() < weak.weight.norm() / 3


def test_a_run_fits_the_head_to_all_copies_and_nothing_else(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(12, 32, 32), dtype=np.uint8)
    config = TrainingConfig.model_validate(PROBE)
    network = small_network("vgg16", size=(32, 32)).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    films = FilmDataset(pixels, [0, 1, 2, 3] * 3, augmentation=lambda film, _: 255 - film)
    val = FilmDataset(pixels, films.targets)
    cache = feature_cache(network, config, tmp_path)
    shown = cache.features(films, copies=2)
    run = TrainingRun(network, config, shown, cache.features(val, copies=1))
    records = list(run.epochs())
    expected = nn.Linear(network.head.in_features, 4)
    features = np.concatenate(shown.copies)
    loss = fit_head(expected, features, np.array(films.targets * 2), penalty=0.5, is_balanced=True)
    after = run.state.averaged_network.state_dict()
    assert torch.equal(after["head.weight"], expected.weight)
    assert records[0]["train_loss"] == loss
    assert all(
        torch.equal(after[name], value) for name, value in before.items() if "head" not in name
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unfreeze": None}, "it needs .training.unfreeze. layers"),
        ({"unfreeze": {"layers": [[0, "head"]]}}, "to cached features"),
        ({"epochs": 2}, "epochs must be 1 with .training.linear_probe., not 2"),
        ({"label_smoothing": 0.1}, "knows no label_smoothing"),
        ({"sampling": {"by": "class"}}, "knows no by of .training.sampling."),
        ({"evidence": {}}, "knows no .training.evidence."),
        ({"distillation": {"probabilities": "a.csv"}}, "knows no .training.distillation."),
        ({"gradients": {"mixup": 0.2}}, "knows no mixup"),
    ],
)
def test_what_a_probe_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainingConfig.model_validate(PROBE | changes)


def test_findings_are_refused(tmp_path: Path) -> None:
    config = TrainingConfig.model_validate(PROBE)
    network = small_network("vgg16", size=(32, 32)).float()
    findings = np.eye(4, dtype=np.float32)
    films = FilmDataset(np.zeros((4, 32, 32), dtype=np.uint8), findings)
    shown = feature_cache(network, config, tmp_path).features(films, copies=2)
    with pytest.raises(ValueError, match="films of one class each, not findings"):
        list(TrainingRun(network, config, shown, shown).epochs())
