from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.linear import (
    linear_backward,
    linear_bias_gradient,
    linear_forward,
    linear_weight_gradient,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def backward(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    return {
        "x": linear_backward(grad_out, weight),
        "weight": linear_weight_gradient(grad_out, x),
        "bias": linear_bias_gradient(grad_out),
    }


def twin(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    """Each product of the forward sum, differentiated by its two factors."""
    gradients = {"x": torch.zeros_like(x), "weight": torch.zeros_like(weight)}
    gradients["bias"] = torch.zeros_like(bias)
    for film, output in torch.cartesian_prod(*map(torch.arange, grad_out.shape)).tolist():
        error = grad_out[film, output]
        gradients["bias"][output] += error
        for feature in range(x.shape[1]):
            gradients["x"][film, feature] += error * weight[output, feature]
            gradients["weight"][output, feature] += error * x[film, feature]
    return gradients


def linear(*, batch: int = 3, inputs: int = 4, outputs: int = 2, seed: int = 0) -> Layer:
    return Layer(
        inputs={
            "x": draw(batch, inputs, seed=seed),
            "weight": draw(outputs, inputs, seed=seed + 1),
            "bias": draw(outputs, seed=seed + 2),
        },
        forward=linear_forward,
        backward=backward,
        reference=functional.linear,
        twin=twin,
    )


SIZES = st.integers(1, 6)
LAYERS = st.builds(linear, batch=SIZES, inputs=SIZES, outputs=SIZES, seed=st.integers(0, 999))


@given(LAYERS)
def test_linear_equals_pytorch_forward_and_backward(layer: Layer) -> None:
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_linear_equals_finite_differences() -> None:
    assert proofs.error_against_finite_differences(linear()) < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_linear_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(linear()) < proofs.TOLERANCE


def test_linear_without_bias_adds_nothing() -> None:
    x, weight = draw(2, 3, seed=0), draw(4, 3, seed=1)
    torch.testing.assert_close(linear_forward(x, weight, None), x @ weight.T)


PLANTED: dict[str, Callable[[Tensors], Tensors]] = {
    "the sign of BP2": lambda right: right | {"x": -right["x"]},
    "BP3 shifted by one input": lambda right: right | {"weight": right["weight"].roll(1, 1)},
    "BP4 averaged, not summed": lambda right: right | {"bias": right["bias"] / 3},
}


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_every_proof_catches_a_planted_error(planted: Callable[[Tensors], Tensors]) -> None:
    def wrong(grad_out: Tensor, **inputs: Tensor) -> Tensors:
        return planted(backward(grad_out, **inputs))

    assert proofs.least_error_seen(linear(), wrong) > proofs.CAUGHT
