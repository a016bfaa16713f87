from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models.backprop.residual import (
    addition_backward,
    addition_forward,
    concatenation_backward,
    concatenation_forward,
    fork_backward,
    fork_forward,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def addition_gradients(grad_out: Tensor, *, residual: Tensor, shortcut: Tensor) -> Tensors:
    grad_residual, grad_shortcut = addition_backward(grad_out)
    return {"residual": grad_residual, "shortcut": grad_shortcut}


def addition_twin(grad_out: Tensor, *, residual: Tensor, shortcut: Tensor) -> Tensors:
    """The Jacobian of a sum by each summand is the identity matrix."""
    identity = torch.eye(grad_out.numel(), dtype=grad_out.dtype)
    grad = (grad_out.flatten() @ identity).view_as(grad_out)
    return {"residual": grad, "shortcut": grad}


def square_plus_cube(x: Tensor) -> Tensor:
    first, second = fork_forward(x)
    return addition_forward(first**2, second**3)


def fork_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    grad_square, grad_cube = addition_backward(grad_out)
    return {"x": fork_backward(grad_square * 2 * x, grad_cube * 3 * x**2)}


def fork_twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """One number at a time."""
    slopes = [2 * value + 3 * value * value for value in x.flatten().tolist()]
    return {"x": grad_out * torch.tensor(slopes, dtype=x.dtype).view_as(x)}


def concatenation_gradients(grad_out: Tensor, *, first: Tensor, second: Tensor) -> Tensors:
    parts = concatenation_backward(grad_out, first_channels=first.shape[1])
    return {"first": parts.grad_first, "second": parts.grad_second}


def concatenation_twin(grad_out: Tensor, *, first: Tensor, second: Tensor) -> Tensors:
    """One channel at a time."""
    grads = {"first": torch.zeros_like(first), "second": torch.zeros_like(second)}
    places = [("first", c) for c in range(first.shape[1])]
    places += [("second", c) for c in range(second.shape[1])]
    for channel, (part, own) in enumerate(places):
        grads[part][:, own] = grad_out[:, channel]
    return grads


def concatenation(*, channels: tuple[int, int] = (2, 3), seed: int = 0) -> Layer:
    first, second = (draw(2, c, 3, 2, seed=seed + c) for c in channels)
    return Layer(
        inputs={"first": first, "second": second},
        forward=concatenation_forward,
        backward=concatenation_gradients,
        reference=lambda first, second: torch.hstack([first, second]),
        twin=concatenation_twin,
    )


def addition(*, shape: tuple[int, ...] = (2, 3), seed: int = 0) -> Layer:
    return Layer(
        inputs={"residual": draw(*shape, seed=seed), "shortcut": draw(*shape, seed=seed + 1)},
        forward=addition_forward,
        backward=addition_gradients,
        reference=lambda residual, shortcut: torch.add(residual, shortcut),
        twin=addition_twin,
    )


def fork(*, shape: tuple[int, ...] = (2, 3), seed: int = 0) -> Layer:
    return Layer(
        inputs={"x": draw(*shape, seed=seed)},
        forward=square_plus_cube,
        backward=fork_gradient,
        reference=lambda x: x**2 + x**3,
        twin=fork_twin,
    )


@given(channels=st.tuples(st.integers(1, 4), st.integers(1, 4)), seed=st.integers(0, 999))
def test_concatenation_equals_pytorch_forward_and_backward(
    channels: tuple[int, int], seed: int
) -> None:
    drawn = concatenation(channels=channels, seed=seed)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


def test_concatenation_equals_finite_differences_and_its_slow_twin() -> None:
    error = proofs.error_against_finite_differences(concatenation())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE
    assert proofs.error_against_twin(concatenation()) < proofs.TOLERANCE


LAYERS = pytest.mark.parametrize("layer", [addition, fork])


@LAYERS
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_both_ways_equal_pytorch_forward_and_backward(
    layer: Callable[..., Layer], shape: list[int], seed: int
) -> None:
    drawn = layer(shape=tuple(shape), seed=seed)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


@LAYERS
def test_both_ways_equal_finite_differences(layer: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(layer())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@LAYERS
def test_both_ways_equal_their_slow_twin(layer: Callable[..., Layer]) -> None:
    assert proofs.error_against_twin(layer()) < proofs.TOLERANCE


def shortcut_unheard(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": addition_backward(grad_out).grad_residual * 2 * x}


def error_split_in_half(grad_out: Tensor, **summands: Tensor) -> Tensors:
    return addition_gradients(grad_out / 2, **summands)


def parts_exchanged(grad_out: Tensor, *, first: Tensor, second: Tensor) -> Tensors:
    parts = concatenation_backward(grad_out, first_channels=second.shape[1])
    return {"first": parts.grad_second, "second": parts.grad_first}


PLANTED = [
    (fork, shortcut_unheard),
    (addition, error_split_in_half),
    (concatenation, parts_exchanged),
]


@pytest.mark.parametrize(("layer", "wrong"), PLANTED)
def test_every_proof_catches_a_planted_error(
    layer: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    assert proofs.least_error_seen(layer(), wrong) > proofs.CAUGHT
