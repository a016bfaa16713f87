"""Each method gives one map on the network's grid, and those that must agree do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.network import Network
from tests.support.small_networks import SMALL, noise, small_network
from training.maps.methods import (
    METHODS,
    OF_TRANSFORMERS,
    _attended,
    map_by,
    methods_at,
    methods_for,
)
from training.onnx_files.network_from_onnx import logits_and_evidence

POOLED = ("chest_cnn", "vgg16")
VITS = ("vit_b16 token", "vit_b16 average")
EVERY = [(name, method) for name in SMALL for method in methods_for(small_network(name))]


def seen(name: str) -> tuple[Network, Tensor]:
    pixels, _ = noise(1)
    return small_network(name).float().requires_grad_(False), pixels.float()


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize(("name", "method"), EVERY)
def test_a_map_lies_on_the_networks_grid_and_is_not_even(name: str, method: str) -> None:
    network, pixels = seen(name)
    grid = logits_and_evidence(network, pixels)[1].shape[2:]
    found = METHODS[method](network, pixels, 1)
    assert (found.shape, np.isfinite(found).all()) == (tuple(grid), True)
    assert np.ptp(found) > 0


@pytest.mark.parametrize("name", POOLED)
def test_under_a_pooled_head_hirescam_is_grad_cam(name: str) -> None:
    network, pixels = seen(name)
    ours, theirs = (METHODS[m](network, pixels, 2) for m in ("grad_cam", "hirescam"))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", POOLED)
def test_under_a_pooled_head_recipro_cam_of_single_cells_is_grad_cam(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.maps.methods.SPOT", 0.01)
    network, pixels = seen(name)
    ours, theirs = (METHODS[m](network, pixels, 2) for m in ("grad_cam", "recipro_cam"))
    bias = network.head.bias[2].item()
    np.testing.assert_allclose(theirs - bias, ours, rtol=0, atol=1e-5 * np.abs(ours).max())


@pytest.mark.parametrize("name", SMALL)
def test_grad_cam_by_the_library_at_the_target_layer_is_ours(name: str) -> None:
    network, pixels = seen(name)
    theirs = methods_at(network.target_layer)[f"grad_cam at {network.target_layer}"]
    ours = METHODS["grad_cam"](network, pixels, 1)
    np.testing.assert_allclose(
        theirs(network, pixels, 1), ours, rtol=0, atol=1e-5 * np.abs(ours).max()
    )


def test_layer_cam_is_positive_where_relu_activations_are() -> None:
    network, pixels = seen("vgg16")
    assert METHODS["layer_cam"](network, pixels, 0).min() >= 0


@pytest.mark.parametrize("name", SMALL)
def test_integrated_gradients_sum_to_the_rise_of_the_logit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.maps.methods.STEPS", 300)
    network, pixels = seen(name)
    rise = network(pixels)[0, 1] - network(torch.zeros_like(pixels))[0, 1]
    found = METHODS["integrated_gradients"](network, pixels, 1)
    assert found.sum() == pytest.approx(rise.item(), rel=0.05)


@pytest.mark.parametrize("name", VITS)
def test_attention_rollout_is_a_share_and_knows_no_class(name: str) -> None:
    network, pixels = seen(name)
    first, second = (METHODS["attention_rollout"](network, pixels, n) for n in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert first.min() >= 0
    assert 0 < first.sum() <= 1 + 1e-5


@pytest.mark.parametrize("name", VITS)
def test_the_attention_gradient_knows_the_class(name: str) -> None:
    network, pixels = seen(name)
    first, second = (METHODS["attention_gradient"](network, pixels, n) for n in (0, 1))
    assert correlation(first, second) < 0.999


@pytest.mark.parametrize("name", VITS)
def test_looking_at_the_attention_changes_neither_answer_nor_network(name: str) -> None:
    network, pixels = seen(name)
    before = network(pixels)
    logits, attentions = _attended(network, pixels)
    assert torch.allclose(logits, before, atol=1e-5)
    assert all(torch.allclose(one.sum(dim=-1), torch.ones(())) for one in attentions)
    assert torch.equal(network(pixels), before)


def test_legrad_is_for_a_class_token_alone() -> None:
    assert [name for name in SMALL if "legrad" in methods_for(small_network(name))] == [VITS[0]]
    network, pixels = seen(VITS[0])
    assert METHODS["legrad"](network, pixels, 1).min() >= 0


def test_attention_methods_are_not_for_convolutions() -> None:
    network, pixels = seen("vgg16")
    assert not set(OF_TRANSFORMERS) & set(methods_for(network))
    with pytest.raises(ValueError, match="this network has no attention"):
        METHODS["attention_rollout"](network, pixels, 0)


def test_a_method_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--method must be one of grad_cam, hirescam"):
        map_by("tea_leaves", tmp_path / "model.onnx", np.zeros((8, 8), np.float32), 0)
