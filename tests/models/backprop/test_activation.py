import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.activation import gelu_backward, gelu_forward, relu_backward, relu_forward
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def relu_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": relu_backward(grad_out, relu_forward(x))}


def gelu_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": gelu_backward(grad_out, x)}


def entry_by_entry(slope: Callable[[float], float]) -> Callable[..., Tensors]:
    """Return the twin of an activation: the chain rule on one number at a time."""

    def twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
        slopes = [slope(value) for value in x.flatten().tolist()]
        return {"x": grad_out * torch.tensor(slopes, dtype=x.dtype).view_as(x)}

    return twin


def relu_slope(x: float) -> float:
    return 1.0 if x > 0 else 0.0


def gelu_slope(x: float) -> float:
    distribution = 0.5 * math.erfc(-x / math.sqrt(2))
    return distribution + x * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def relu(*, shape: tuple[int, ...] = (2, 3, 4), seed: int = 0) -> Layer:
    x = {"x": draw(*shape, seed=seed)}
    return Layer(x, relu_forward, relu_gradient, _of(functional.relu), entry_by_entry(relu_slope))


def gelu(*, shape: tuple[int, ...] = (2, 3, 4), seed: int = 0) -> Layer:
    x = {"x": 3 * draw(*shape, seed=seed)}
    return Layer(x, gelu_forward, gelu_gradient, _of(functional.gelu), entry_by_entry(gelu_slope))


def _of(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a PyTorch function with its `input` called `x`."""
    return lambda x: function(x)


SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@pytest.mark.parametrize("layer", [relu, gelu])
@given(shape=SHAPES, seed=st.integers(0, 999))
def test_activations_equal_pytorch_forward_and_backward(
    layer: Callable[..., Layer], shape: tuple[int, ...], seed: int
) -> None:
    drawn = layer(shape=shape, seed=seed)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


@pytest.mark.parametrize("layer", [relu, gelu])
def test_activations_equal_finite_differences(layer: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(layer())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@pytest.mark.parametrize("layer", [relu, gelu])
def test_activations_equal_their_slow_twin(layer: Callable[..., Layer]) -> None:
    assert proofs.error_against_twin(layer()) < proofs.TOLERANCE


def test_relu_passes_nothing_at_exactly_zero() -> None:
    x = torch.tensor([-0.0, 0.0, 1.0])
    assert relu_backward(torch.ones(3), relu_forward(x)).tolist() == [0, 0, 1]


def test_relu_leaves_what_a_hook_saw_untouched() -> None:
    x = torch.tensor([-1.0, 2.0])
    relu_forward(x)
    assert x.tolist() == [-1, 2]


PLANTED = {
    "relu passes everything": (relu, lambda grad_out, x: {"x": grad_out}),
    "relu turned over": (relu, lambda grad_out, x: {"x": relu_backward(grad_out, -x)}),
    "gelu without the product rule's second term": (
        gelu,
        lambda grad_out, x: {"x": grad_out * (1 + torch.erf(x / math.sqrt(2))) / 2},
    ),
}


@pytest.mark.parametrize(("layer", "wrong"), PLANTED.values(), ids=PLANTED)
def test_every_proof_catches_a_planted_error(
    layer: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    assert proofs.least_error_seen(layer(), wrong) > proofs.CAUGHT
