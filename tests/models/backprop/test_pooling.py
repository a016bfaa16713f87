from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.convolution import Pair, size_pair
from models.backprop.pooling import (
    average_pool_backward,
    average_pool_forward,
    global_average_pool_backward,
    global_average_pool_forward,
    masked_mean_terms_backward,
    masked_mean_terms_forward,
    masked_token_terms_backward,
    masked_token_terms_forward,
    max_pool_backward,
    max_pool_forward,
    nearest_upsample_backward,
    nearest_upsample_forward,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw

Windows = dict[str, Pair]


def max_pool_gradient(grad_out: Tensor, *, x: Tensor, **windows: Pair) -> Tensors:
    pool = max_pool_forward(x, **windows)
    return {"x": max_pool_backward(grad_out, pool.positions, grid=size_pair(x.shape[2:]))}


def average_pool_gradient(grad_out: Tensor, *, x: Tensor, **windows: Pair) -> Tensors:
    return {"x": average_pool_backward(grad_out, grid=size_pair(x.shape[2:]), **windows)}


def global_pool_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": global_average_pool_backward(grad_out, grid=size_pair(x.shape[2:]))}


def masked_terms_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": masked_mean_terms_backward(grad_out, mask_for(x))}


def mask_for(x: Tensor) -> Tensor:
    """Return a mask of each film of `x`, exactly 0 in about half of the positions."""
    return draw(len(x), 1, *x.shape[2:], seed=5).clamp(min=0)


def pixels_of_window(
    grid: Pair, at: Pair, *, kernel: Pair, stride: Pair, padding: Pair
) -> list[Pair]:
    """Return the pixels that a window covers, in reading order; padding is none."""
    top, left = (at[axis] * stride[axis] - padding[axis] for axis in (0, 1))
    return [
        (top + u, left + v)
        for u, v in np.ndindex(kernel)
        if 0 <= top + u < grid[0] and 0 <= left + v < grid[1]
    ]


def max_pool_twin(grad_out: Tensor, *, x: Tensor, **windows: Pair) -> Tensors:
    """One window at a time: its first largest pixel gets its error."""
    grad_x = torch.zeros_like(x)
    for n, c, r, s in np.ndindex(*grad_out.shape):
        pixels = pixels_of_window(size_pair(x.shape[2:]), (r, s), **windows)
        winner = max(pixels, key=lambda pixel: float(x[n, c, pixel[0], pixel[1]]))
        grad_x[n, c, winner[0], winner[1]] += grad_out[n, c, r, s]
    return {"x": grad_x}


def average_pool_twin(
    grad_out: Tensor, *, x: Tensor, kernel: Pair, stride: Pair, padding: Pair
) -> Tensors:
    """One window at a time: each of its pixels gets an even share of its error."""
    grad_x = torch.zeros_like(x)
    windows = {"kernel": kernel, "stride": stride, "padding": padding}
    for n, c, r, s in np.ndindex(*grad_out.shape):
        for row, column in pixels_of_window(size_pair(x.shape[2:]), (r, s), **windows):
            grad_x[n, c, row, column] += grad_out[n, c, r, s] / (kernel[0] * kernel[1])
    return {"x": grad_x}


def global_pool_twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """One pixel at a time: it is one of Z summands, divided by Z."""
    grad_x = torch.zeros_like(x)
    for n, c, r, s in np.ndindex(*x.shape):
        grad_x[n, c, r, s] = grad_out[n, c] / (x.shape[2] * x.shape[3])
    return {"x": grad_x}


def masked_terms_twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """One position at a time: its share of the sum of the mask, times the positions there are."""
    mask, grad_x = mask_for(x), torch.zeros_like(x)
    for n, c, r, s in np.ndindex(*x.shape):
        share = float(mask[n, 0, r, s]) / sum(mask[n].flatten().tolist())
        grad_x[n, c, r, s] = grad_out[n, c, r, s] * share * x.shape[2] * x.shape[3]
    return {"x": grad_x}


DEFAULT: Windows = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1)}


def max_pool(x: Tensor | None = None, **windows: Pair) -> Layer:
    settings = windows or DEFAULT
    return Layer(
        inputs={"x": draw(2, 2, 5, 6, seed=0) if x is None else x},
        forward=lambda x: max_pool_forward(x, **settings).out,
        backward=partial(max_pool_gradient, **settings),
        reference=lambda x: functional.max_pool2d(x, *settings.values()),
        twin=partial(max_pool_twin, **settings),
    )


def average_pool(x: Tensor | None = None, **windows: Pair) -> Layer:
    settings = windows or DEFAULT
    return Layer(
        inputs={"x": draw(2, 2, 5, 6, seed=0) if x is None else x},
        forward=partial(average_pool_forward, **settings),
        backward=partial(average_pool_gradient, **settings),
        reference=lambda x: functional.avg_pool2d(x, *settings.values()),
        twin=partial(average_pool_twin, **settings),
    )


def global_pool(x: Tensor | None = None, **windows: Pair) -> Layer:
    return Layer(
        inputs={"x": draw(2, 2, 3, 4, seed=0) if x is None else x},
        forward=global_average_pool_forward,
        backward=global_pool_gradient,
        reference=lambda x: functional.adaptive_avg_pool2d(x, 1).flatten(1),
        twin=global_pool_twin,
    )


def weighted_by(mask: Tensor, x: Tensor) -> Tensor:
    return x * mask * mask[0].numel() / mask.sum(dim=(2, 3), keepdim=True)


def masked_terms(x: Tensor | None = None, **windows: Pair) -> Layer:
    return Layer(
        inputs={"x": draw(2, 2, 3, 4, seed=0) if x is None else x},
        forward=lambda x: masked_mean_terms_forward(x, mask_for(x)),
        backward=masked_terms_gradient,
        reference=lambda x: weighted_by(mask_for(x), x),
        twin=masked_terms_twin,
    )


def upsample_gradient(grad_out: Tensor, *, x: Tensor, factor: int = 2) -> Tensors:
    return {"x": nearest_upsample_backward(grad_out, factor=factor)}


def upsample_twin(grad_out: Tensor, *, x: Tensor, factor: int = 2) -> Tensors:
    """One pixel of the output at a time: it is a copy of the pixel below it."""
    grad_x = torch.zeros_like(x)
    for n, c, r, s in np.ndindex(*grad_out.shape):
        grad_x[n, c, r // factor, s // factor] += grad_out[n, c, r, s]
    return {"x": grad_x}


def upsample(x: Tensor | None = None, *, factor: int = 2) -> Layer:
    return Layer(
        inputs={"x": draw(2, 2, 3, 4, seed=0) if x is None else x},
        forward=partial(nearest_upsample_forward, factor=factor),
        backward=partial(upsample_gradient, factor=factor),
        reference=lambda x: x.repeat_interleave(factor, 2).repeat_interleave(factor, 3),
        twin=partial(upsample_twin, factor=factor),
    )


@st.composite
def windows(draw_from: st.DrawFn) -> Windows:
    kernel = draw_from(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw_from(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    # PyTorch allows a window to stand over the edge by half of itself.
    padding = tuple(draw_from(st.integers(0, side // 2)) for side in kernel)
    return {"kernel": kernel, "stride": stride, "padding": (padding[0], padding[1])}


@st.composite
def films(draw_from: st.DrawFn) -> Tensor:
    sizes = [draw_from(st.integers(low, high)) for low, high in ((1, 3), (1, 3), (4, 8), (4, 8))]
    return draw(*sizes, seed=draw_from(st.integers(0, 999)))


@given(x=films(), factor=st.integers(1, 4))
def test_up_sampling_equals_repetition_forward_and_backward(x: Tensor, factor: int) -> None:
    layer = upsample(x, factor=factor)
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_up_sampling_equals_finite_differences_and_its_slow_twin() -> None:
    error = proofs.error_against_finite_differences(upsample())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE
    assert proofs.error_against_twin(upsample(factor=3)) < proofs.TOLERANCE


POOLS = pytest.mark.parametrize("pool", [max_pool, average_pool, global_pool, masked_terms])


@POOLS
@given(x=films(), windows=windows())
def test_pools_equal_pytorch_forward_and_backward(
    pool: Callable[..., Layer], x: Tensor, windows: Windows
) -> None:
    layer = pool(x, **windows)
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


@POOLS
def test_pools_equal_finite_differences(pool: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(pool())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@POOLS
def test_pools_equal_their_slow_twin(pool: Callable[..., Layer]) -> None:
    assert proofs.error_against_twin(pool()) < proofs.TOLERANCE


@given(x=films(), windows=windows())
def test_ties_go_to_the_first_maximum_as_in_autograd(x: Tensor, windows: Windows) -> None:
    layer = max_pool(x.round().clamp(-1, 1), **windows)
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE


def test_the_first_of_equal_pixels_gets_all_of_the_error() -> None:
    pool = max_pool_forward(torch.zeros(1, 1, 2, 2), kernel=(2, 2), stride=(2, 2))
    grad_x = max_pool_backward(torch.ones(1, 1, 1, 1), pool.positions, grid=(2, 2))
    assert grad_x.flatten().tolist() == [1, 0, 0, 0]


def test_padding_never_wins_even_where_everything_is_negative() -> None:
    layer = max_pool(-draw(1, 1, 4, 4, seed=0).abs() - 1)
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE


def every_tie_wins(grad_out: Tensor, *, x: Tensor) -> Tensors:
    out = functional.max_pool2d(x, 2)
    is_winner = x == out.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return {"x": grad_out.repeat_interleave(2, 2).repeat_interleave(2, 3) * is_winner}


def test_the_famous_shortcut_x_equals_max_is_caught_on_ties() -> None:
    layer = max_pool(draw(1, 2, 4, 4, seed=0).sign(), kernel=(2, 2), stride=(2, 2), padding=(0, 0))
    wrong = Layer(layer.inputs, layer.forward, every_tie_wins, layer.reference, layer.twin)
    assert proofs.error_against_autograd(wrong) > proofs.CAUGHT
    assert proofs.error_against_twin(wrong) > proofs.CAUGHT


def last_window_wins(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """Write where the right one adds: a pixel that wins two windows hears one."""
    positions = max_pool_forward(x, **DEFAULT).positions.flatten(2)
    grad_x = torch.zeros_like(x).flatten(2).scatter(2, positions, grad_out.flatten(2))
    return {"x": grad_x.view_as(x)}


def not_divided(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": 6 * average_pool_gradient(grad_out, x=x, **DEFAULT)["x"]}


def only_one_position(grad_out: Tensor, *, x: Tensor) -> Tensors:
    grad_x = torch.zeros_like(x)
    grad_x[:, :, 0, 0] = grad_out
    return {"x": grad_x}


def not_divided_by_the_mask(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": grad_out * mask_for(x)}


def mean_for_sum(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": functional.avg_pool2d(grad_out, 2)}


def one_of_the_square(grad_out: Tensor, *, x: Tensor) -> Tensors:
    return {"x": 4 * grad_out[:, :, ::2, ::2]}


PLANTED = [
    (upsample, mean_for_sum),
    (upsample, one_of_the_square),
    (max_pool, last_window_wins),
    (average_pool, not_divided),
    (global_pool, only_one_position),
    (masked_terms, not_divided_by_the_mask),
]


@pytest.mark.parametrize(("pool", "wrong"), PLANTED)
def test_every_proof_catches_a_planted_error(
    pool: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    assert proofs.least_error_seen(pool(), wrong) > proofs.CAUGHT


def test_a_mean_inside_a_mask_has_the_gradient_of_its_formula() -> None:
    """Both steps on the way back, the plain mean and its terms, against sum(x m) / sum(m)."""
    x = draw(2, 3, 4, 5, seed=1).requires_grad_()
    mask, grad_out = mask_for(x), draw(2, 3, seed=2)
    mean = (x * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
    [expected] = torch.autograd.grad(mean, x, grad_out)
    grad_terms = global_average_pool_backward(grad_out, grid=(4, 5))
    torch.testing.assert_close(masked_mean_terms_backward(grad_terms, mask), expected)


def test_an_empty_mask_has_no_gradient_and_it_is_finite() -> None:
    grad_out = draw(1, 2, 3, 4, seed=0)
    assert masked_mean_terms_backward(grad_out, torch.zeros(1, 1, 3, 4).double()).abs().max() == 0


PATCHES = draw(2, 1, 3, 4, seed=5).clamp(min=0)


def masked_tokens() -> Layer:
    """Tokens of two films, masked as their patches on a grid are; the class token is not."""

    def reference(tokens: Tensor) -> Tensor:
        on_grid = torch.unflatten(tokens[:, 1:].transpose(1, 2), 2, (3, 4))
        terms = weighted_by(PATCHES, on_grid)
        return torch.cat([tokens[:, :1], terms.flatten(2).transpose(1, 2)], dim=1)

    def twin(grad_out: Tensor, *, tokens: Tensor) -> Tensors:
        grad_tokens = grad_out.clone()
        for n, t, k in np.ndindex(2, 12, 2):
            mask = PATCHES[n].flatten().tolist()
            grad_tokens[n, t + 1, k] = grad_out[n, t + 1, k] * mask[t] / sum(mask) * 12
        return {"tokens": grad_tokens}

    return Layer(
        inputs={"tokens": draw(2, 13, 2, seed=0)},
        forward=partial(masked_token_terms_forward, mask=PATCHES),
        backward=lambda grad_out, *, tokens: {
            "tokens": masked_token_terms_backward(grad_out, PATCHES)
        },
        reference=reference,
        twin=twin,
    )


def test_masked_tokens_are_right_forward_and_by_all_proofs() -> None:
    layer = masked_tokens()
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE
    error = proofs.error_against_finite_differences(layer)
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


def test_every_proof_catches_a_class_token_that_is_masked_too() -> None:
    def wrong(grad_out: Tensor, *, tokens: Tensor) -> Tensors:
        grad_tokens = masked_token_terms_backward(grad_out, PATCHES)
        grad_tokens[:, 0] = 0
        return {"tokens": grad_tokens}

    assert proofs.least_error_seen(masked_tokens(), wrong) > proofs.CAUGHT
