"""Steps of layers without parameters, with their hand-written forward and backward passes.

Each layer type has a step, which keeps what its backward pass needs, and a `record` function.
Importing this module registers them with `tape.record`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from models.backprop.activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    softmax_backward,
    softmax_forward,
    tanh_backward,
    tanh_forward,
)
from models.backprop.convolution import Pair, size_pair
from models.backprop.local_contrast import local_contrast_backward, local_contrast_forward
from models.backprop.normalisation import standardise_backward, standardise_forward
from models.backprop.pooling import (
    average_pool_backward,
    average_pool_forward,
    global_average_pool_backward,
    global_average_pool_forward,
    max_pool_backward,
    max_pool_forward,
    patch_average_backward,
    patch_average_forward,
)
from models.layers import GlobalAveragePool, LocalContrast, Normalisation, PatchAverage
from models.tape.tape import Gradients, record, require


@dataclass(frozen=True)
class IdentityStep:
    """Step of an identity layer: the error passes unchanged."""

    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the error unchanged."""
        return Gradients(grad_out if needs_grad_x else None, {})


@record.register
def record_identity(layer: nn.Identity, x: Tensor) -> tuple[Tensor, IdentityStep]:
    """Return `x`, and its step."""
    return x, IdentityStep()


@dataclass(frozen=True)
class ReLUStep:
    """Step of a ReLU; keeps its output."""

    out: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the ReLU."""
        return Gradients(relu_backward(grad_out, self.out) if needs_grad_x else None, {})


@record.register
def record_relu(layer: nn.ReLU, x: Tensor) -> tuple[Tensor, ReLUStep]:
    """Return the ReLU's output, and its step; `x` is not changed, even for `inplace=True`."""
    out = relu_forward(x)
    return out, ReLUStep(out)


@dataclass(frozen=True)
class GELUStep:
    """Step of a GELU; keeps its input."""

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
class ActivationStep:
    """Step of another activation; keeps its backward function, and the input or output it needs."""

    gradient: Callable[[Tensor, Tensor], Tensor]
    kept: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the activation."""
        return Gradients(self.gradient(grad_out, self.kept) if needs_grad_x else None, {})


@record.register
def record_leaky_relu(layer: nn.LeakyReLU, x: Tensor) -> tuple[Tensor, ActivationStep]:
    """Return the leaky ReLU's output, and its step."""
    slope = layer.negative_slope
    gradient = partial(leaky_relu_backward, negative_slope=slope)
    return leaky_relu_forward(x, negative_slope=slope), ActivationStep(gradient, x)


@record.register
def record_elu(layer: nn.ELU, x: Tensor) -> tuple[Tensor, ActivationStep]:
    """Return the ELU's output, and its step."""
    gradient = partial(elu_backward, alpha=layer.alpha)
    return elu_forward(x, alpha=layer.alpha), ActivationStep(gradient, x)


@record.register
def record_sigmoid(layer: nn.Sigmoid, x: Tensor) -> tuple[Tensor, ActivationStep]:
    """Return the sigmoid's output, and its step."""
    out = sigmoid_forward(x)
    return out, ActivationStep(sigmoid_backward, out)


@record.register
def record_tanh(layer: nn.Tanh, x: Tensor) -> tuple[Tensor, ActivationStep]:
    """Return the hyperbolic tangent, and its step."""
    out = tanh_forward(x)
    return out, ActivationStep(tanh_backward, out)


@record.register
def record_softmax(layer: nn.Softmax, x: Tensor) -> tuple[Tensor, ActivationStep]:
    """Return the softmax along the last axis, and its step."""
    require(layer, dim=-1)
    out = softmax_forward(x)
    return out, ActivationStep(softmax_backward, out)


@dataclass(frozen=True)
class MaxPoolStep:
    """Step of a max-pooling; keeps the positions of the maxima, and the size of its input."""

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
    """Step of an average-pooling; keeps its windows, and the size of its input."""

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


@dataclass(frozen=True)
class StandardiseStep:
    """Step of the normalisation of pixels; keeps the standard deviation."""

    std: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the subtraction and division."""
        return Gradients(standardise_backward(grad_out, self.std) if needs_grad_x else None, {})


@record.register
def record_standardise(layer: Normalisation, x: Tensor) -> tuple[Tensor, StandardiseStep]:
    """Return the standardised pixels, and their step."""
    return standardise_forward(x, layer.mean, layer.std), StandardiseStep(layer.std)


@dataclass(frozen=True)
class LocalContrastStep:
    """Step of a local contrast normalisation; keeps deviation and standard deviation."""

    layer: LocalContrast
    deviation: Tensor
    std: Tensor
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the normalisation."""
        if not needs_grad_x:
            return Gradients(None, {})
        windows = self.layer.row_window, self.layer.column_window
        return Gradients(
            local_contrast_backward(grad_out, *windows, deviation=self.deviation, std=self.std), {}
        )


@record.register
def record_local_contrast(layer: LocalContrast, x: Tensor) -> tuple[Tensor, LocalContrastStep]:
    """Return each pixel relative to its window, and the step."""
    contrast = local_contrast_forward(x, layer.row_window, layer.column_window)
    return contrast.out, LocalContrastStep(layer, contrast.deviation, contrast.std)


@dataclass(frozen=True)
class GlobalAveragePoolStep:
    """Step of a global average pooling; keeps the size of its input."""

    grid: Pair
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the average."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(global_average_pool_backward(grad_out, grid=self.grid), {})


@record.register
def record_global_average_pool(
    layer: GlobalAveragePool, x: Tensor
) -> tuple[Tensor, GlobalAveragePoolStep]:
    """Return the average over positions, and its step."""
    return global_average_pool_forward(x), GlobalAveragePoolStep(size_pair(x.shape[2:]))


@dataclass(frozen=True)
class PatchAverageStep:
    """Step of an average over patch tokens; keeps the number of tokens."""

    tokens: int
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the average."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(patch_average_backward(grad_out, tokens=self.tokens), {})


@record.register
def record_patch_average(layer: PatchAverage, x: Tensor) -> tuple[Tensor, PatchAverageStep]:
    """Return the average over patch tokens, and its step."""
    return patch_average_forward(x), PatchAverageStep(x.shape[1])


@dataclass(frozen=True)
class FlattenStep:
    """Step of a flattening; keeps the shape of its input."""

    shape: tuple[int, ...]
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the error in the input's shape."""
        return Gradients(grad_out.view(self.shape) if needs_grad_x else None, {})


@record.register
def record_flatten(layer: nn.Flatten, x: Tensor) -> tuple[Tensor, FlattenStep]:
    """Return one vector per film, and its step."""
    require(layer, start_dim=1, end_dim=-1)
    return x.flatten(1), FlattenStep(tuple(x.shape))
