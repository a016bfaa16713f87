from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.normalisation import (
    layer_norm_backward,
    layer_norm_bias_gradient,
    layer_norm_forward,
    layer_norm_weight_gradient,
    standardise_backward,
    standardise_forward,
)
from models.backprop.pooling import patch_average_backward, patch_average_forward
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw

EPS = 1e-3


def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return layer_norm_forward(x, weight, bias, eps=EPS).out


def gradients(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    norm = layer_norm_forward(x, weight, bias, eps=EPS)
    return {
        "x": layer_norm_backward(
            grad_out, weight, normalised=norm.normalised, inverse_std=norm.inverse_std
        ),
        "weight": layer_norm_weight_gradient(grad_out, norm.normalised),
        "bias": layer_norm_bias_gradient(grad_out),
    }


def twin(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    """The quotient rule, vector by vector: the Jacobian of (x - mean) / std, entry by entry."""
    grads = {"x": torch.zeros_like(x), "weight": torch.zeros_like(weight)}
    width = x.shape[-1]
    vectors = zip(
        x.view(-1, width), grad_out.view(-1, width), grads["x"].view(-1, width), strict=True
    )
    for vector, error, grad_x in vectors:
        mean = sum(vector.tolist()) / width
        std = (sum((value - mean) ** 2 for value in vector.tolist()) / width + EPS) ** 0.5
        for j in range(width):
            deviation = float(vector[j]) - mean
            grads["weight"][j] += error[j] * deviation / std
            for i in range(width):
                slope = ((i == j) - 1 / width) / std
                slope -= deviation * (float(vector[i]) - mean) / (width * std**3)
                grad_x[i] += error[j] * weight[j] * slope
    return grads | {"bias": sum(grad_out.view(-1, width))}


def layer_norm(*, batch: tuple[int, ...] = (2, 3), width: int = 4, seed: int = 0) -> Layer:
    return Layer(
        inputs={
            "x": draw(*batch, width, seed=seed),
            "weight": draw(width, seed=seed + 1),
            "bias": draw(width, seed=seed + 2),
        },
        forward=normalised,
        backward=gradients,
        reference=lambda x, weight, bias: functional.layer_norm(
            x, weight.shape, weight, bias, eps=EPS
        ),
        twin=twin,
    )


@given(
    batch=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    width=st.integers(2, 6),
    seed=st.integers(0, 999),
)
def test_layer_norm_equals_pytorch_forward_and_backward(
    batch: tuple[int, ...], width: int, seed: int
) -> None:
    layer = layer_norm(batch=batch, width=width, seed=seed)
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < 1e-9


def test_layer_norm_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(layer_norm())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_layer_norm_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(layer_norm()) < proofs.TOLERANCE


def test_a_vector_of_equal_entries_gives_finite_gradients() -> None:
    layer = layer_norm()
    layer.inputs["x"][0] = 3.0
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_the_forward_pass_leaves_its_input_alone() -> None:
    layer = layer_norm()
    before = layer.inputs["x"].clone()
    layer.forward(**layer.inputs)
    assert torch.equal(layer.inputs["x"], before)


def test_the_backward_pass_leaves_its_error_alone() -> None:
    layer = layer_norm()
    grad_out = draw(2, 3, 4, seed=9)
    layer.backward(grad_out, **layer.inputs)
    assert torch.equal(grad_out, draw(2, 3, 4, seed=9))


def mean_held_constant(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    right = gradients(grad_out, x=x, weight=weight, bias=bias)
    std = (x.var(dim=-1, correction=0, keepdim=True) + EPS).sqrt()
    return right | {"x": right["x"] + (grad_out * weight).mean(dim=-1, keepdim=True) / std}


def scale_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradients(grad_out, **given | {"weight": torch.ones_like(given["weight"])})


def weight_of_one_vector(grad_out: Tensor, **given: Tensor) -> Tensors:
    one = {**given, "x": given["x"][:1, :1]}
    return gradients(grad_out, **given) | {"weight": gradients(grad_out[:1, :1], **one)["weight"]}


@pytest.mark.parametrize("wrong", [mean_held_constant, scale_forgotten, weight_of_one_vector])
def test_every_proof_catches_a_planted_error(wrong: Callable[..., Tensors]) -> None:
    assert proofs.least_error_seen(layer_norm(), wrong) > proofs.CAUGHT


def colours(*, batch: int = 2, seed: int = 0) -> Layer:
    mean = torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64)[:, None, None]
    std = torch.tensor([0.2, 0.25, 0.3], dtype=torch.float64)[:, None, None]

    def one_by_one(grad_out: Tensor, *, x: Tensor) -> Tensors:
        return {"x": sum(grad_out[:, c : c + 1] / std[c] for c in range(3))}

    return Layer(
        inputs={"x": draw(batch, 1, 3, 2, seed=seed)},
        forward=lambda x: standardise_forward(x, mean, std),
        backward=lambda grad_out, x: {"x": standardise_backward(grad_out, std)},
        reference=lambda x: (x.expand(-1, 3, -1, -1) - mean) / std,
        twin=one_by_one,
    )


def patch_average(*, batch: int = 2, seed: int = 0) -> Layer:
    def one_by_one(grad_out: Tensor, *, x: Tensor) -> Tensors:
        grad_x = torch.zeros_like(x)
        for token in range(1, x.shape[1]):
            grad_x[:, token] = grad_out / (x.shape[1] - 1)
        return {"x": grad_x}

    return Layer(
        inputs={"x": draw(batch, 5, 3, seed=seed)},
        forward=lambda x: patch_average_forward(x),
        backward=lambda grad_out, x: {"x": patch_average_backward(grad_out, tokens=x.shape[1])},
        reference=lambda x: x[:, 1:].mean(dim=1),
        twin=one_by_one,
    )


@pytest.mark.parametrize("layer", [colours, patch_average])
@given(batch=st.integers(1, 4), seed=st.integers(0, 999))
def test_colours_and_patch_average_equal_pytorch_and_their_twins(
    layer: Callable[..., Layer], batch: int, seed: int
) -> None:
    drawn = layer(batch=batch, seed=seed)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE
    assert proofs.error_against_twin(drawn) < proofs.TOLERANCE


@pytest.mark.parametrize("layer", [colours, patch_average])
def test_colours_and_patch_average_equal_finite_differences(layer: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(layer())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def first_colour_only(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": grad_out[:, :1] / 0.2}


def class_token_averaged_in(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": (grad_out / x.shape[1])[:, None].expand_as(x)}


@pytest.mark.parametrize(
    ("layer", "wrong"), [(colours, first_colour_only), (patch_average, class_token_averaged_in)]
)
def test_planted_errors_in_them_are_caught(
    layer: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    assert proofs.least_error_seen(layer(), wrong) > proofs.CAUGHT
