import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.chest_cnn import ChestCNN
from xai.grad_cam import (
    centred_head,
    class_evidence,
    pooled_channel_weights,
)

GRID = (3, 5)


@pytest.fixture
def network() -> ChestCNN:
    torch.manual_seed(0)
    network = ChestCNN(classes=4, mean=0.5, std=0.25).double().eval()
    nn.init.normal_(network.head.weight)
    nn.init.normal_(network.head.bias)
    return network


@pytest.fixture
def activations(network: ChestCNN) -> Tensor:
    return torch.randn(2, network.widths[-1], *GRID, dtype=torch.float64)


def autograd_channel_weights(network: ChestCNN, activations: Tensor) -> Tensor:
    """Return the mean over positions of each logit's derivative, [batch, classes, channels]."""
    leaf = activations.clone().requires_grad_()
    logits = network.classify(leaf)
    rows = [
        torch.autograd.grad(logits[:, k].sum(), leaf, retain_graph=True)[0]
        for k in range(logits.shape[1])
    ]
    return torch.stack(rows, dim=1).mean(dim=(3, 4))


def test_channel_weights_equal_autograd(network: ChestCNN, activations: Tensor) -> None:
    expected = autograd_channel_weights(network, activations)
    seen = pooled_channel_weights(network.head.weight.detach(), grid=GRID)
    torch.testing.assert_close(seen.expand_as(expected), expected, rtol=1e-12, atol=0)


@given(
    classes=st.integers(1, 5),
    channels=st.integers(1, 6),
    grid=st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_the_closed_form_equals_the_backward_pass(
    classes: int, channels: int, grid: tuple[int, int]
) -> None:
    weight = torch.randn(classes, channels, dtype=torch.float64)
    closed = weight[None] / (grid[0] * grid[1])
    torch.testing.assert_close(
        closed, pooled_channel_weights(weight, grid=grid), rtol=1e-12, atol=0
    )


def test_evidence_and_bias_add_up_to_the_logit(network: ChestCNN, activations: Tensor) -> None:
    weights = pooled_channel_weights(network.head.weight, grid=GRID)
    logits = class_evidence(activations, weights).sum(dim=(2, 3)) + network.head.bias
    torch.testing.assert_close(logits, network.classify(activations))


def test_evidence_is_the_weighted_sum_of_channels_film_by_film() -> None:
    activations = torch.randn(2, 3, *GRID, dtype=torch.float64)
    weights = torch.randn(2, 4, 3, dtype=torch.float64)
    expected = sum(weights[1, 2, c] * activations[1, c] for c in range(3))
    torch.testing.assert_close(class_evidence(activations, weights)[1, 2], expected)


def test_a_map_of_the_probability_would_be_another_one(
    network: ChestCNN, activations: Tensor
) -> None:
    leaf = activations.clone().requires_grad_()
    network.classify(leaf).softmax(dim=1)[:, 0].sum().backward()
    assert leaf.grad is not None
    logit_weights = pooled_channel_weights(network.head.weight.detach(), grid=GRID)[0, 0]
    assert not torch.allclose(leaf.grad.mean(dim=(2, 3))[0], logit_weights, rtol=1e-2)


def test_a_centred_head_leaves_the_probabilities_as_they_are(
    network: ChestCNN, activations: Tensor
) -> None:
    before = network.classify(activations).softmax(dim=1)
    network.head = centred_head(network.head)
    torch.testing.assert_close(network.classify(activations).softmax(dim=1), before)


def test_evidence_under_a_centred_head_has_mean_zero_over_classes(
    network: ChestCNN, activations: Tensor
) -> None:
    head = centred_head(network.head)
    evidence = class_evidence(activations, pooled_channel_weights(head.weight, grid=GRID))
    torch.testing.assert_close(evidence.mean(dim=1), torch.zeros(2, *GRID, dtype=torch.float64))


@pytest.mark.parametrize("bias", [True, False])
def test_centring_leaves_the_given_head_alone(bias: bool) -> None:
    head = nn.Linear(3, 2, bias=bias)
    before = [parameter.clone() for parameter in head.parameters()]
    centred = centred_head(head)
    assert all(map(torch.equal, head.parameters(), before))
    assert len(list(centred.parameters())) == len(before)
