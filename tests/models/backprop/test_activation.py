import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.backprop import activation
from tests.models.backprop import proofs
from tests.models.backprop.errors import Tensors
from tests.models.backprop.proofs import Layer, draw

SLOPE = 0.3
"""Of the leaky ReLU, and alpha of the ELU."""


@dataclass(frozen=True)
class Activation:
    """An activation without parameters; the names are those of `Layer`."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    reference: Callable[[Tensor], Tensor]
    twin: Callable[..., Tensors]
    reads_out: bool = False

    def on(self, x: Tensor) -> Layer:
        return Layer({"x": x}, self.forward, self.gradient, lambda x: self.reference(x), self.twin)

    def gradient(self, grad_out: Tensor, *, x: Tensor) -> Tensors:
        return {"x": self.backward(grad_out, self.forward(x) if self.reads_out else x)}


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


def sigmoid_slope(x: float) -> float:
    return 1 / (2 + math.exp(x) + math.exp(-x))


def tanh_slope(x: float) -> float:
    return 1 / math.cosh(x) ** 2


def softmax_twin(grad_out: Tensor, *, x: Tensor) -> Tensors:
    """The Jacobian p_j * (1[j = k] - p_k) in full, row by row."""
    grad_x = torch.zeros_like(x)
    rows = zip(grad_x.view(-1, x.shape[-1]), grad_out.reshape(-1, x.shape[-1]), strict=True)
    for (grad_row, error), row in zip(rows, x.reshape(-1, x.shape[-1]).tolist(), strict=True):
        p = [math.exp(value) / sum(map(math.exp, row)) for value in row]
        for k in range(len(row)):
            grad_row[k] = sum(float(error[j]) * p[j] * ((j == k) - p[k]) for j in range(len(row)))
    return {"x": grad_x}


def leaky_relu(slope: float) -> Activation:
    return Activation(
        forward=partial(activation.leaky_relu_forward, negative_slope=slope),
        backward=partial(activation.leaky_relu_backward, negative_slope=slope),
        reference=partial(functional.leaky_relu, negative_slope=slope),
        twin=entry_by_entry(lambda x: 1.0 if x > 0 else slope),
    )


def elu(alpha: float) -> Activation:
    return Activation(
        forward=partial(activation.elu_forward, alpha=alpha),
        backward=partial(activation.elu_backward, alpha=alpha),
        reference=partial(functional.elu, alpha=alpha),
        twin=entry_by_entry(lambda x: 1.0 if x > 0 else alpha * math.exp(x)),
    )


ACTIVATIONS = {
    "relu": Activation(
        activation.relu_forward,
        activation.relu_backward,
        functional.relu,
        entry_by_entry(relu_slope),
        reads_out=True,
    ),
    "leaky_relu": leaky_relu(SLOPE),
    "elu": elu(SLOPE),
    "gelu": Activation(
        activation.gelu_forward,
        activation.gelu_backward,
        functional.gelu,
        entry_by_entry(gelu_slope),
    ),
    "sigmoid": Activation(
        activation.sigmoid_forward,
        activation.sigmoid_backward,
        functional.sigmoid,
        entry_by_entry(sigmoid_slope),
        reads_out=True,
    ),
    "tanh": Activation(
        activation.tanh_forward,
        activation.tanh_backward,
        functional.tanh,
        entry_by_entry(tanh_slope),
        reads_out=True,
    ),
    "softmax": Activation(
        activation.softmax_forward,
        activation.softmax_backward,
        partial(functional.softmax, dim=-1),
        softmax_twin,
        reads_out=True,
    ),
}


def layer(name: str, *, shape: tuple[int, ...] = (2, 3, 4), seed: int = 0) -> Layer:
    return ACTIVATIONS[name].on(2 * draw(*shape, seed=seed))


SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


@each_activation
@given(shape=SHAPES, seed=st.integers(0, 999))
def test_activations_equal_pytorch_forward_and_backward(
    name: str, shape: tuple[int, ...], seed: int
) -> None:
    drawn = layer(name, shape=shape, seed=seed)
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


@each_activation
def test_activations_equal_finite_differences(name: str) -> None:
    error = proofs.error_against_finite_differences(layer(name))
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE


@each_activation
def test_activations_equal_their_slow_twin(name: str) -> None:
    assert proofs.error_against_twin(layer(name)) < proofs.TOLERANCE


@each_activation
def test_activations_do_at_exactly_zero_what_pytorch_does(name: str) -> None:
    at_zero = ACTIVATIONS[name].on(torch.tensor([-0.0, 0.0, 1.0, -1.0]).double())
    assert proofs.error_against_autograd(at_zero) < proofs.TOLERANCE


@each_activation
def test_activations_are_finite_on_huge_inputs(name: str) -> None:
    huge = ACTIVATIONS[name].on(torch.tensor([[1e4, -1e4], [0.0, 1e4]]).double())
    assert proofs.error_of_forward(huge) < proofs.TOLERANCE
    assert proofs.error_against_autograd(huge) < proofs.TOLERANCE


@each_activation
def test_activations_leave_what_they_are_given_untouched(name: str) -> None:
    given_layer, error = layer(name), draw(2, 3, 4, seed=1)
    x, before = given_layer.inputs["x"], given_layer.inputs["x"].clone()
    given_layer.forward(x)
    given_layer.backward(error, x=x)
    assert torch.equal(x, before)
    assert torch.equal(error, draw(2, 3, 4, seed=1))


@pytest.mark.parametrize("slope", [-0.5, 0.0, 1.5])
@pytest.mark.parametrize("kind", [leaky_relu, elu])
def test_slopes_of_any_sign_equal_pytorch(
    kind: Callable[[float], Activation], slope: float
) -> None:
    layer = kind(slope).on(draw(3, 4, seed=0))
    assert proofs.error_of_forward(layer) < proofs.TOLERANCE
    assert proofs.error_against_autograd(layer) < proofs.TOLERANCE
    assert proofs.error_against_twin(layer) < proofs.TOLERANCE


def test_relu_passes_nothing_at_exactly_zero() -> None:
    x = torch.tensor([-0.0, 0.0, 1.0])
    out = activation.relu_forward(x)
    assert activation.relu_backward(torch.ones(3), out).tolist() == [0, 0, 1]


def test_gelu_is_x_times_the_normal_distribution() -> None:
    x = 2 * draw(20, seed=0)
    expected = [value * 0.5 * math.erfc(-value / math.sqrt(2)) for value in x.tolist()]
    torch.testing.assert_close(activation.gelu_forward(x), torch.tensor(expected).double())


def test_softmax_of_one_entry_is_sure_and_has_nothing_to_learn() -> None:
    out = activation.softmax_forward(draw(3, 1, seed=0))
    assert out.tolist() == [[1], [1], [1]]
    assert activation.softmax_backward(draw(3, 1, seed=1), out).tolist() == [[0], [0], [0]]


def prelu_gradient(grad_out: Tensor, *, x: Tensor, weight: Tensor) -> Tensors:
    return {
        "x": activation.prelu_backward(grad_out, x, weight),
        "weight": activation.prelu_weight_gradient(grad_out, x, weights=len(weight)),
    }


def prelu_twin(grad_out: Tensor, *, x: Tensor, weight: Tensor) -> Tensors:
    """Each product of weight and negative entry, differentiated by its two factors."""
    gradients = {"x": grad_out.clone(), "weight": torch.zeros_like(weight)}
    for entry in torch.cartesian_prod(*map(torch.arange, x.shape)).view(-1, x.dim()).tolist():
        place = tuple(entry)
        channel = place[1] if len(weight) > 1 else 0
        if x[place] <= 0:
            gradients["x"][place] = grad_out[place] * weight[channel]
            gradients["weight"][channel] += grad_out[place] * x[place]
    return gradients


def prelu(*, shape: tuple[int, ...] = (2, 3, 4), shared: bool = False, seed: int = 0) -> Layer:
    channels = 1 if shared or len(shape) == 1 else shape[1]
    inputs = {"x": draw(*shape, seed=seed), "weight": draw(channels, seed=seed + 1)}
    forward = activation.prelu_forward
    return Layer(inputs, forward, prelu_gradient, torch_prelu, prelu_twin)


def torch_prelu(x: Tensor, weight: Tensor) -> Tensor:
    return functional.prelu(x, weight)


@given(st.builds(prelu, shape=SHAPES, shared=st.booleans(), seed=st.integers(0, 999)))
def test_prelu_equals_pytorch_forward_and_backward(drawn: Layer) -> None:
    assert proofs.error_of_forward(drawn) < proofs.TOLERANCE
    assert proofs.error_against_autograd(drawn) < proofs.TOLERANCE


@pytest.mark.parametrize("shared", [False, True])
def test_prelu_equals_finite_differences_and_its_slow_twin(shared: bool) -> None:
    error = proofs.error_against_finite_differences(prelu(shared=shared))
    assert error < proofs.FINITE_DIFFERENCE_TOLERANCE
    assert proofs.error_against_twin(prelu(shared=shared)) < proofs.TOLERANCE


def test_prelu_does_at_exactly_zero_what_pytorch_does() -> None:
    inputs = {"x": torch.tensor([[-0.0, 0.0], [-1.0, 1.0]]).double(), "weight": draw(2, seed=0)}
    at_zero = Layer(inputs, activation.prelu_forward, prelu_gradient, torch_prelu, prelu_twin)
    assert proofs.error_against_autograd(at_zero) < proofs.TOLERANCE
    assert proofs.error_against_twin(at_zero) < proofs.TOLERANCE


def test_a_prelu_weight_that_fits_no_channel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight must have 1 entry or one per channel \(1\)"):
        activation.prelu_forward(draw(2, 1, 3, seed=0), draw(3, seed=1))


PLANTED = {
    "relu passes everything": (layer("relu"), lambda grad_out, x: {"x": grad_out}),
    "relu turned over": (
        layer("relu"),
        lambda grad_out, x: {"x": activation.relu_backward(grad_out, -x)},
    ),
    "leaky relu without its slope": (
        layer("leaky_relu"),
        lambda grad_out, x: {"x": activation.relu_backward(grad_out, x)},
    ),
    "elu's slope read off its output without alpha": (
        layer("elu"),
        lambda grad_out, x: {"x": grad_out * (1 + SLOPE * x.clamp(max=0).expm1())},
    ),
    "gelu without the product rule's second term": (
        layer("gelu"),
        lambda grad_out, x: {"x": grad_out * (1 + torch.erf(x / math.sqrt(2))) / 2},
    ),
    "sigmoid's slope from its input": (
        layer("sigmoid"),
        lambda grad_out, x: {"x": activation.sigmoid_backward(grad_out, x)},
    ),
    "tanh's square forgotten": (
        layer("tanh"),
        lambda grad_out, x: {"x": grad_out * (1 - torch.tanh(x))},
    ),
    "softmax's diagonal alone": (
        layer("softmax"),
        lambda grad_out, x: {"x": activation.sigmoid_backward(grad_out, x.softmax(dim=-1))},
    ),
    "softmax along the wrong axis": (
        layer("softmax"),
        lambda grad_out, x: {"x": activation.softmax_backward(grad_out, x.softmax(dim=1))},
    ),
    "prelu's weights of other channels": (
        prelu(),
        lambda grad_out, x, weight: prelu_gradient(grad_out, x=x, weight=weight.roll(1)),
    ),
    "prelu's weight hears positive entries": (
        prelu(),
        lambda grad_out, x, weight: (
            prelu_gradient(grad_out, x=x, weight=weight)
            | {"weight": (grad_out * x).sum(dim=(0, 2))}
        ),
    ),
    "prelu's weight averaged, not summed": (
        prelu(shared=True),
        lambda grad_out, x, weight: (
            prelu_gradient(grad_out, x=x, weight=weight)
            | {"weight": (grad_out * x.clamp(max=0)).mean().view(1)}
        ),
    ),
}


@pytest.mark.parametrize(("right", "wrong"), PLANTED.values(), ids=PLANTED)
def test_every_proof_catches_a_planted_error(right: Layer, wrong: Callable[..., Tensors]) -> None:
    assert proofs.least_error_seen(right, wrong) > proofs.CAUGHT
