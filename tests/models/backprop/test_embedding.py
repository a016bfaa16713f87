from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.embedding import (
    class_token_backward,
    class_token_forward,
    cut_into_patches,
    join_patches,
    position_forward,
    position_gradient,
)
from models.backprop.linear import (
    linear_backward,
    linear_bias_gradient,
    linear_forward,
    linear_weight_gradient,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw

PATCH = (2, 3)


def embedded(
    x: Tensor, weight: Tensor, bias: Tensor, cls_token: Tensor, pos_embed: Tensor
) -> Tensor:
    patches = linear_forward(cut_into_patches(x, patch=PATCH), weight.flatten(1), bias)
    return position_forward(class_token_forward(patches, cls_token), pos_embed)


def gradients(
    grad_out: Tensor,
    *,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    cls_token: Tensor,
    pos_embed: Tensor,
) -> Tensors:
    grads = class_token_backward(grad_out)
    grad_patches = linear_backward(grads.grad_patches, weight.flatten(1))
    grid = (x.shape[2] // PATCH[0], x.shape[3] // PATCH[1])
    pixels = cut_into_patches(x, patch=PATCH)
    return {
        "x": join_patches(grad_patches, patch=PATCH, grid=grid),
        "weight": linear_weight_gradient(grads.grad_patches, pixels).view_as(weight),
        "bias": linear_bias_gradient(grads.grad_patches),
        "cls_token": grads.grad_cls_token,
        "pos_embed": position_gradient(grad_out),
    }


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, cls_token: Tensor, pos_embed: Tensor
) -> Tensor:
    """timm's way: a convolution whose stride is its kernel."""
    patches = functional.conv2d(x, weight, bias, stride=PATCH).flatten(2).transpose(1, 2)
    return torch.cat([cls_token.expand(len(x), -1, -1), patches], dim=1) + pos_embed


def twin(
    grad_out: Tensor,
    *,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    cls_token: Tensor,
    pos_embed: Tensor,
) -> Tensors:
    """Patch by patch and film by film."""
    grads = {"x": torch.zeros_like(x), "weight": torch.zeros_like(weight)}
    columns = x.shape[3] // PATCH[1]
    for film in range(len(x)):
        for patch in range(grad_out.shape[1] - 1):
            row, column = patch // columns * PATCH[0], patch % columns * PATCH[1]
            window = (
                film,
                slice(None),
                slice(row, row + PATCH[0]),
                slice(column, column + PATCH[1]),
            )
            for entry, error in enumerate(grad_out[film, patch + 1]):
                grads["x"][window] += error * weight[entry]
                grads["weight"][entry] += error * x[window]
    by_film = list(grad_out)
    return grads | {
        "bias": sum(film[1:].sum(dim=0) for film in by_film),
        "cls_token": sum(film[:1] for film in by_film)[None],
        "pos_embed": sum(by_film)[None],
    }


def embedding(
    *,
    batch: int = 2,
    channels: int = 2,
    down: int = 2,
    across: int = 2,
    width: int = 3,
    seed: int = 0,
) -> Layer:
    return Layer(
        inputs={
            "x": draw(batch, channels, down * PATCH[0], across * PATCH[1], seed=seed),
            "weight": draw(width, channels, *PATCH, seed=seed + 1),
            "bias": draw(width, seed=seed + 2),
            "cls_token": draw(1, 1, width, seed=seed + 3),
            "pos_embed": draw(1, 1 + down * across, width, seed=seed + 4),
        },
        forward=embedded,
        backward=gradients,
        reference=reference,
        twin=twin,
    )


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    down=st.integers(1, 3),
    across=st.integers(1, 3),
    width=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_the_embedding_equals_pytorch_forward_and_backward(**sizes: int) -> None:
    layer = embedding(**sizes)
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_the_embedding_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(embedding())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_the_embedding_equals_its_slow_twin() -> None:
    assert proofs.error_against_twin(embedding()) < proofs.TOLERANCE


def test_patches_are_joined_as_they_were_cut() -> None:
    x = draw(2, 3, 4, 9, seed=0)
    assert torch.equal(join_patches(cut_into_patches(x, patch=PATCH), patch=PATCH, grid=(2, 3)), x)


def class_token_of_one_film(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradients(grad_out, **given) | {"cls_token": grad_out[:1, :1]}


def class_token_taken_for_a_patch(grad_out: Tensor, **given: Tensor) -> Tensors:
    return gradients(grad_out, **given) | {"bias": grad_out.sum(dim=(0, 1))}


def patches_transposed(grad_out: Tensor, **given: Tensor) -> Tensors:
    right = gradients(grad_out, **given)
    return right | {"x": right["x"].flip(3)}


@pytest.mark.parametrize(
    "wrong", [class_token_of_one_film, class_token_taken_for_a_patch, patches_transposed]
)
def test_every_proof_catches_a_planted_error(wrong: Callable[..., Tensors]) -> None:
    assert proofs.least_error_seen(embedding(), wrong) > proofs.CAUGHT
