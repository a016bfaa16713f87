from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.convolution import (
    Pair,
    conv2d_backward,
    conv2d_bias_gradient,
    conv2d_forward,
    conv2d_weight_gradient,
    size_pair,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw


def backward(
    grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor, **settings: int | Pair
) -> Tensors:
    grid, kernel = size_pair(x.shape[2:]), size_pair(weight.shape[2:])
    return {
        "x": conv2d_backward(grad_out, weight, grid=grid, **settings),
        "weight": conv2d_weight_gradient(grad_out, x, kernel=kernel, **settings),
        "bias": conv2d_bias_gradient(grad_out),
    }


def twin(
    grad_out: Tensor,
    *,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensors:
    """Each product of the forward sum, differentiated by its two factors: seven nested loops."""
    pixels, taps, errors = x.numpy(), weight.numpy(), grad_out.numpy()
    grad_x, grad_weight = np.zeros_like(pixels), np.zeros_like(taps)
    filters_per_group = taps.shape[0] // groups
    for n, o, r, s in np.ndindex(errors.shape):
        for i, u, v in np.ndindex(taps.shape[1:]):
            channel = o // filters_per_group * taps.shape[1] + i
            row = r * stride[0] + u * dilation[0] - padding[0]
            column = s * stride[1] + v * dilation[1] - padding[1]
            if 0 <= row < pixels.shape[2] and 0 <= column < pixels.shape[3]:
                grad_x[n, channel, row, column] += errors[n, o, r, s] * taps[o, i, u, v]
                grad_weight[o, i, u, v] += errors[n, o, r, s] * pixels[n, channel, row, column]
    return {
        "x": torch.from_numpy(grad_x),
        "weight": torch.from_numpy(grad_weight),
        "bias": torch.stack([grad_out[:, o].sum() for o in range(len(bias))]),
    }


def convolution(
    *,
    batch: int = 2,
    group_channels: int = 2,
    group_filters: int = 1,
    grid: Pair = (6, 5),
    kernel: Pair = (3, 2),
    stride: Pair = (2, 1),
    padding: Pair = (1, 0),
    dilation: Pair = (1, 2),
    groups: int = 2,
    seed: int = 0,
) -> Layer:
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Layer(
        inputs={
            "x": draw(batch, groups * group_channels, *grid, seed=seed),
            "weight": draw(groups * group_filters, group_channels, *kernel, seed=seed + 1),
            "bias": draw(groups * group_filters, seed=seed + 2),
        },
        forward=partial(conv2d_forward, **settings),
        backward=partial(backward, **settings),
        # PyTorch's own name for `x` is `input`.
        reference=lambda x, weight, bias: functional.conv2d(x, weight, bias, **settings),
        twin=partial(twin, **settings),
    )


def pairs(least: int, most: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


LAYERS = st.builds(
    convolution,
    batch=st.integers(1, 3),
    group_channels=st.integers(1, 3),
    group_filters=st.integers(1, 2),
    grid=pairs(5, 9),
    kernel=pairs(1, 3),
    stride=pairs(1, 3),
    padding=pairs(0, 2),
    dilation=pairs(1, 2),
    groups=st.integers(1, 3),
    seed=st.integers(0, 999),
)


@given(LAYERS)
def test_convolution_equals_pytorch_forward_and_backward(layer: Layer) -> None:
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_convolution_equals_finite_differences() -> None:
    error = proofs.error_against_finite_differences(convolution())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
def test_convolution_equals_its_slow_twin(groups: int, stride: Pair, padding: Pair) -> None:
    layer = convolution(groups=groups, stride=stride, padding=padding)
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE


@pytest.mark.parametrize("rows", [5, 6, 7])
def test_rows_that_no_filter_reached_get_no_error(rows: int) -> None:
    layer = convolution(grid=(rows, 5), stride=(3, 1), padding=(0, 0), kernel=(2, 2))
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE


Backward = Callable[..., Tensors]


def filter_flipped_twice(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    flipped = backward(grad_out, **inputs | {"weight": inputs["weight"].flip(2, 3)})
    return backward(grad_out, **inputs) | {"x": flipped["x"]}


def one_tap_dropped(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    right = backward(grad_out, **inputs)
    right["weight"][:, :, -1, -1] = 0
    return right


def filters_of_one_film(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    first = backward(grad_out[:1], **inputs | {"x": inputs["x"][:1]})
    return backward(grad_out, **inputs) | {"weight": first["weight"]}


def group_channels_exchanged(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    right = backward(grad_out, **inputs)
    return right | {"weight": right["weight"].roll(1, dims=1)}


def bias_of_one_film(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    return backward(grad_out, **inputs) | {"bias": conv2d_bias_gradient(grad_out[:1])}


def padding_shifted(grad_out: Tensor, **inputs: Tensor) -> Tensors:
    right = backward(grad_out, **inputs)
    return right | {"x": right["x"].roll(1, dims=2)}


PLANTED = (
    filter_flipped_twice,
    one_tap_dropped,
    filters_of_one_film,
    group_channels_exchanged,
    bias_of_one_film,
    padding_shifted,
)


@pytest.mark.parametrize("wrong", PLANTED)
def test_every_proof_catches_a_planted_error(wrong: Backward) -> None:
    layer = convolution()
    settings = layer.backward.keywords
    assert proofs.least_error_seen(layer, partial(wrong, **settings)) > proofs.CAUGHT


def convolved_with_flipped_filter(grad_out: Tensor, weight: Tensor, padding: Pair) -> Tensor:
    """The error, padded all round, convolved with each filter turned by 180 degrees.

    x[r] reached out[r + p - u] through tap u. So grad_x[r] sums grad_out[r + p - u] * weight[u],
    in which the error's index falls as the tap's rises: a convolution, not a correlation.
    """
    taps = weight.flip(2, 3)
    rows, columns = (size - 1 - pad for size, pad in zip(weight.shape[2:], padding, strict=True))
    padded = functional.pad(grad_out, (columns, columns, rows, rows))
    grid = [padded.shape[axis] - weight.shape[axis] + 1 for axis in (2, 3)]
    grad_x = torch.zeros(len(grad_out), weight.shape[1], *grid, dtype=grad_out.dtype)
    for r, s in np.ndindex(*grid):
        window = padded[:, :, r : r + taps.shape[2], s : s + taps.shape[3]]
        for n, i in np.ndindex(*grad_x.shape[:2]):
            grad_x[n, i, r, s] = (window[n] * taps[:, i]).sum()
    return grad_x


@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (2, 1)])
def test_its_backward_is_the_convolution_with_the_flipped_filter(padding: Pair) -> None:
    layer = convolution(stride=(1, 1), dilation=(1, 1), groups=1, padding=padding)
    weight = layer.inputs["weight"]
    grad_out = proofs.cotangent(layer.forward(**layer.inputs))
    seen = conv2d_backward(grad_out, weight, grid=(6, 5), padding=padding)
    torch.testing.assert_close(seen, convolved_with_flipped_filter(grad_out, weight, padding))
