"""PyTorch's layers without parameters, bound to their hand-written forward and backward.

Each type has a step (what backward needs, by name) and a `record`. Importing this module makes
them known to `tape.record`.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from models.backprop.activation import gelu_backward, gelu_forward, relu_backward, relu_forward
from models.backprop.convolution import Pair, size_pair
from models.backprop.pooling import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from models.backprop.tape import Gradients, record, require


@dataclass(frozen=True)
class IdentityStep:
    """Nothing happens, either way."""

    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the error as it came."""
        return Gradients(grad_out if needs_grad_x else None, {})


@record.register
def record_identity(layer: nn.Identity, x: Tensor) -> tuple[Tensor, IdentityStep]:
    """Return `x`, and its step."""
    return x, IdentityStep()


@dataclass(frozen=True)
class ReLUStep:
    """A ReLU's output."""

    out: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the ReLU."""
        return Gradients(relu_backward(grad_out, self.out) if needs_grad_x else None, {})


@record.register
def record_relu(layer: nn.ReLU, x: Tensor) -> tuple[Tensor, ReLUStep]:
    """Return the ReLU's output, and its step; `x` stays as it was, even for `inplace=True`."""
    out = relu_forward(x)
    return out, ReLUStep(out)


@dataclass(frozen=True)
class GELUStep:
    """A GELU's input."""

    x: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the GELU."""
        return Gradients(gelu_backward(grad_out, self.x) if needs_grad_x else None, {})


@record.register
def record_gelu(layer: nn.GELU, x: Tensor) -> tuple[Tensor, GELUStep]:
    """Return the GELU's output, and its step."""
    require(layer, approximate="none")
    return gelu_forward(x), GELUStep(x)


@dataclass(frozen=True)
class MaxPoolStep:
    """The winners of a max-pooling, and the size of its input."""

    positions: Tensor
    grid: Pair
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the max-pooling."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(max_pool_backward(grad_out, self.positions, grid=self.grid), {})


@record.register
def record_max_pool(layer: nn.MaxPool2d, x: Tensor) -> tuple[Tensor, MaxPoolStep]:
    """Return the max-pooling's output, and its step."""
    require(layer, return_indices=False)
    out, positions = max_pool_forward(
        x,
        kernel=size_pair(layer.kernel_size),
        stride=size_pair(layer.stride),
        padding=size_pair(layer.padding),
        dilation=size_pair(layer.dilation),
        ceil_mode=layer.ceil_mode,
    )
    return out, MaxPoolStep(positions, size_pair(x.shape[2:]))


@dataclass(frozen=True)
class AveragePoolStep:
    """An average-pooling's windows, and the size of its input."""

    windows: dict[str, Pair]
    grid: Pair
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the average-pooling."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(average_pool_backward(grad_out, grid=self.grid, **self.windows), {})


@record.register
def record_average_pool(layer: nn.AvgPool2d, x: Tensor) -> tuple[Tensor, AveragePoolStep]:
    """Return the average-pooling's output, and its step."""
    require(layer, ceil_mode=False, count_include_pad=True, divisor_override=None)
    windows = {
        "kernel": size_pair(layer.kernel_size),
        "stride": size_pair(layer.stride),
        "padding": size_pair(layer.padding),
    }
    return average_pool_forward(x, **windows), AveragePoolStep(windows, size_pair(x.shape[2:]))
