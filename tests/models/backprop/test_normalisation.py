from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop.normalisation import (
    batch_norm_backward,
    batch_norm_forward,
    film_norm_backward,
    film_norm_forward,
    moved_average,
    norm_bias_gradient,
    norm_weight_gradient,
    running_norm_backward,
    running_norm_forward,
    standardise_backward,
    standardise_forward,
)
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw

EPS = 1e-3


def batch_gradients(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    norm = batch_norm_forward(x, weight, bias, eps=EPS)
    grad_weight = norm_weight_gradient(grad_out, norm.normalised)
    grad_bias = norm_bias_gradient(grad_out)
    grad_x = batch_norm_backward(
        grad_out,
        weight,
        normalised=norm.normalised,
        inverse_std=norm.inverse_std,
        grad_weight=grad_weight,
        grad_bias=grad_bias,
    )
    return {"x": grad_x, "weight": grad_weight, "bias": grad_bias}


def batch_twin(grad_out: Tensor, *, x: Tensor, weight: Tensor, bias: Tensor) -> Tensors:
    """The six derivatives of Ioffe and Szegedy 2015, section 3, one channel at a time."""
    grad_x, grad_weight, grad_bias = map(torch.zeros_like, (x, weight, bias))
    for c in range(len(weight)):
        y, error = x[:, c], grad_out[:, c]
        m, mean = y.numel(), y.mean()
        variance = ((y - mean) ** 2).sum() / m
        grad_normalised = error * weight[c]
        grad_variance = (grad_normalised * (y - mean) * -0.5 * (variance + EPS) ** -1.5).sum()
        grad_mean = (-grad_normalised / (variance + EPS).sqrt()).sum()
        grad_mean += grad_variance * (-2 * (y - mean)).sum() / m
        grad_x[:, c] = grad_normalised / (variance + EPS).sqrt()
        grad_x[:, c] += grad_variance * 2 * (y - mean) / m + grad_mean / m
        grad_weight[c] = (error * (y - mean) / (variance + EPS).sqrt()).sum()
        grad_bias[c] = error.sum()
    return {"x": grad_x, "weight": grad_weight, "bias": grad_bias}


def batch_norm(
    *, batch: int = 3, channels: int = 2, rows: int = 2, columns: int = 3, seed: int = 0
) -> Layer:
    return Layer(
        inputs=inputs(batch, channels, rows, columns, seed=seed),
        forward=lambda **given: batch_norm_forward(**given, eps=EPS).out,
        backward=batch_gradients,
        reference=lambda x, weight, bias: functional.batch_norm(
            x, None, None, weight, bias, training=True, eps=EPS
        ),
        twin=batch_twin,
    )


def running_gradients(
    grad_out: Tensor, *, mean: Tensor, variance: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> Tensors:
    norm = running_norm_forward(x, weight, bias, mean=mean, variance=variance, eps=EPS)
    return {
        "x": running_norm_backward(grad_out, weight, inverse_std=norm.inverse_std),
        "weight": norm_weight_gradient(grad_out, norm.normalised),
        "bias": norm_bias_gradient(grad_out),
    }


def running_twin(
    grad_out: Tensor, *, mean: Tensor, variance: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> Tensors:
    """One channel at a time: out = weight * (x - mean) / std + bias, a straight line."""
    gradients = {"x": torch.zeros_like(x)}
    std = (variance + EPS).sqrt()
    channels = range(len(weight))
    for c in channels:
        gradients["x"][:, c] = grad_out[:, c] * weight[c] / std[c]
    slopes = [(grad_out[:, c] * (x[:, c] - mean[c]) / std[c]).sum() for c in channels]
    offsets = [grad_out[:, c].sum() for c in channels]
    return gradients | {"weight": torch.stack(slopes), "bias": torch.stack(offsets)}


def running_norm(
    *, batch: int = 3, channels: int = 2, rows: int = 2, columns: int = 3, seed: int = 0
) -> Layer:
    statistics = {
        "mean": draw(channels, seed=seed + 3),
        "variance": draw(channels, seed=seed + 4) ** 2,
    }
    return Layer(
        inputs=inputs(batch, channels, rows, columns, seed=seed),
        forward=lambda **given: running_norm_forward(**given, **statistics, eps=EPS).out,
        backward=partial(running_gradients, **statistics),
        reference=lambda x, weight, bias: functional.batch_norm(
            x, statistics["mean"], statistics["variance"], weight, bias, eps=EPS
        ),
        twin=partial(running_twin, **statistics),
    )


def inputs(batch: int, channels: int, rows: int, columns: int, *, seed: int) -> Tensors:
    return {
        "x": 1 + 2 * draw(batch, channels, rows, columns, seed=seed),
        "weight": draw(channels, seed=seed + 1),
        "bias": draw(channels, seed=seed + 2),
    }


MODES = pytest.mark.parametrize("layer", [batch_norm, running_norm])


@MODES
@given(
    batch=st.integers(2, 4),
    channels=st.integers(1, 4),
    rows=st.integers(2, 5),
    columns=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_both_modes_equal_pytorch_forward_and_backward(
    layer: Callable[..., Layer], **sizes: int
) -> None:
    drawn = layer(**sizes)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


@MODES
def test_both_modes_equal_finite_differences(layer: Callable[..., Layer]) -> None:
    error = proofs.error_against_finite_differences(layer())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@MODES
def test_both_modes_equal_their_slow_twin(layer: Callable[..., Layer]) -> None:
    assert proofs.error_against_twin(layer()) < proofs.TOLERANCE


@MODES
def test_a_batch_of_one_film_is_normalised_over_its_positions(layer: Callable[..., Layer]) -> None:
    assert proofs.error_against_autograd(layer(batch=1)) < proofs.TOLERANCE


def test_a_channel_of_zero_variance_gives_finite_gradients_like_pytorch() -> None:
    layer = batch_norm()
    layer.inputs["x"][:, 0] = 3.0
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def test_a_shift_of_the_whole_batch_carries_no_error() -> None:
    layer = batch_norm()
    grad_out = proofs.cotangent(layer.forward(**layer.inputs))
    grad_x = layer.backward(grad_out, **layer.inputs)["x"]
    torch.testing.assert_close(grad_x.sum(dim=(0, 2, 3)), torch.zeros(2, dtype=torch.float64))


def test_the_running_average_takes_momentum_of_the_new_value() -> None:
    assert moved_average(torch.tensor([1.0]), torch.tensor([2.0]), 0.25).tolist() == [1.25]


def film_gradient(grad_out: Tensor, *, x: Tensor) -> Tensors:
    norm = film_norm_forward(x, eps=EPS)
    return {"x": film_norm_backward(grad_out, out=norm.out, inverse_std=norm.inverse_std)}


def film_twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """The whole Jacobian of one film: d out_i / d x_j, from mean and variance by the chain rule."""
    grad_x = torch.zeros_like(x)
    for film in range(len(x)):
        y, error = x[film].flatten(), grad_out[film].flatten()
        m, deviation = len(y), y - y.mean()
        std = ((deviation**2).sum() / m + EPS).sqrt()
        for j in range(m):
            centred = torch.full_like(y, -1 / m)
            centred[j] += 1
            slope = centred / std - deviation * deviation[j] / (m * std**3)
            grad_x[film].view(-1)[j] = (error * slope).sum()
    return {"x": grad_x}


def film_norm(*, batch: int = 2, rows: int = 3, columns: int = 4, seed: int = 0) -> Layer:
    return Layer(
        inputs={"x": 1 + 2 * draw(batch, 1, rows, columns, seed=seed)},
        forward=lambda x: film_norm_forward(x, eps=EPS).out,
        backward=film_gradient,
        reference=lambda x: functional.layer_norm(x, x.shape[1:], eps=EPS),
        twin=film_twin,
    )


@given(
    batch=st.integers(1, 4),
    rows=st.integers(2, 5),
    columns=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_normalisation_by_film_equals_pytorch_forward_and_backward(**sizes: int) -> None:
    drawn = film_norm(**sizes)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


def test_normalisation_by_film_equals_finite_differences_and_its_slow_twin() -> None:
    error = proofs.error_against_finite_differences(film_norm())
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE
    assert proofs.error_against_twin(film_norm()) < proofs.TOLERANCE


def test_a_film_of_one_grey_becomes_zero_with_finite_gradients() -> None:
    flat = torch.full((1, 1, 2, 3), 0.7, dtype=torch.float64)
    assert film_norm_forward(flat, eps=EPS).out.abs().max() < 1e-12
    layer = film_norm(batch=1, rows=2, columns=3)
    layer.inputs["x"][:] = flat
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE


def film_mean_held_constant(grad_out: Tensor, *, x: Tensor) -> Tensors:
    norm = film_norm_forward(x, eps=EPS)
    shift = grad_out.mean(dim=(1, 2, 3), keepdim=True) * norm.inverse_std
    return {"x": film_gradient(grad_out, x=x)["x"] + shift}


def film_deviation_held_constant(grad_out: Tensor, *, x: Tensor) -> Tensors:
    norm = film_norm_forward(x, eps=EPS)
    return {"x": (grad_out - grad_out.mean(dim=(1, 2, 3), keepdim=True)) * norm.inverse_std}


def batch_for_film(grad_out: Tensor, *, x: Tensor) -> Tensors:
    ones = torch.ones(1, dtype=x.dtype)
    return {"x": batch_gradients(grad_out, x=x, weight=ones, bias=0 * ones)["x"]}


def test_standardised_pixels_go_back_divided_by_the_standard_deviation() -> None:
    x, mean, std = draw(2, 1, 3, 3, seed=0), torch.tensor(0.5), torch.tensor(0.25)
    torch.testing.assert_close(standardise_forward(x, mean, std), (x - 0.5) * 4)
    torch.testing.assert_close(standardise_backward(x, std), x * 4)


def mean_held_constant(grad_out: Tensor, **given: Tensor) -> Tensors:
    without_shift = grad_out - grad_out.mean(dim=(0, 2, 3), keepdim=True)
    right = batch_gradients(grad_out, **given)
    std = (given["x"].var(dim=(0, 2, 3), correction=0) + EPS).sqrt()
    shift = (grad_out - without_shift) * (given["weight"] / std)[:, None, None]
    return right | {"x": right["x"] + shift}


def variance_held_constant(grad_out: Tensor, **given: Tensor) -> Tensors:
    norm = batch_norm_forward(**given, eps=EPS)
    grad_x = batch_norm_backward(
        grad_out,
        given["weight"],
        normalised=norm.normalised,
        inverse_std=norm.inverse_std,
        grad_weight=torch.zeros_like(given["weight"]),
        grad_bias=norm_bias_gradient(grad_out),
    )
    return batch_gradients(grad_out, **given) | {"x": grad_x}


def scale_forgotten(grad_out: Tensor, **given: Tensor) -> Tensors:
    ones = given | {"weight": torch.ones_like(given["weight"])}
    layer = running_norm()
    return layer.backward(grad_out, **ones)


PLANTED = [
    (batch_norm, mean_held_constant),
    (batch_norm, variance_held_constant),
    (running_norm, scale_forgotten),
    (film_norm, film_mean_held_constant),
    (film_norm, film_deviation_held_constant),
    (film_norm, batch_for_film),
]


@pytest.mark.parametrize(("layer", "wrong"), PLANTED)
def test_every_proof_catches_a_planted_error(
    layer: Callable[..., Layer], wrong: Callable[..., Tensors]
) -> None:
    assert proofs.least_error_seen(layer(), wrong) > proofs.CAUGHT
