"""Steps of layers with parameters, with their hand-written forward and backward passes.

Each layer type has a step, which keeps what its backward pass needs, and a `record` function.
Importing this module registers them with `tape.record`.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from models.backprop.activation import prelu_backward, prelu_forward, prelu_weight_gradient
from models.backprop.convolution import (
    conv2d_backward,
    conv2d_bias_gradient,
    conv2d_forward,
    conv2d_weight_gradient,
    size_pair,
)
from models.backprop.linear import (
    linear_backward,
    linear_bias_gradient,
    linear_forward,
    linear_weight_gradient,
)
from models.backprop.normalisation import (
    BatchNorm,
    batch_norm_backward,
    batch_norm_forward,
    layer_norm_backward,
    layer_norm_bias_gradient,
    layer_norm_forward,
    layer_norm_weight_gradient,
    moved_average,
    norm_bias_gradient,
    norm_weight_gradient,
    running_norm_backward,
    running_norm_forward,
)
from models.tape.tape import Gradients, record, require, trainable_gradients


@dataclass(frozen=True)
class TrainedStep:
    """Step of a layer with parameters."""

    layer: nn.Module

    @property
    def is_trainable(self) -> bool:
        """True if any parameter is trainable."""
        return any(parameter.requires_grad for parameter in self.layer.parameters())


@dataclass(frozen=True)
class LinearStep(TrainedStep):
    """Step of a linear layer; keeps its input."""

    layer: nn.Linear
    x: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2, BP3 and BP4 of the linear layer."""
        grad_x = linear_backward(grad_out, self.layer.weight) if needs_grad_x else None
        parameters = trainable_gradients(
            self.layer,
            weight=lambda: linear_weight_gradient(grad_out, self.x),
            bias=lambda: linear_bias_gradient(grad_out),
        )
        return Gradients(grad_x, parameters)


@record.register
def record_linear(layer: nn.Linear, x: Tensor) -> tuple[Tensor, LinearStep]:
    """Return the linear layer's output, and its step."""
    return linear_forward(x, layer.weight, layer.bias), LinearStep(layer, x)


@dataclass(frozen=True)
class ConvolutionStep(TrainedStep):
    """Step of a convolution; keeps its input."""

    layer: nn.Conv2d
    x: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2, BP3 and BP4 of the convolution."""
        geometry = _geometry(self.layer)
        grid = size_pair(self.x.shape[2:])
        kernel = size_pair(self.layer.kernel_size)
        grad_x = None
        if needs_grad_x:
            grad_x = conv2d_backward(grad_out, self.layer.weight, grid=grid, **geometry)
        parameters = trainable_gradients(
            self.layer,
            weight=lambda: conv2d_weight_gradient(grad_out, self.x, kernel=kernel, **geometry),
            bias=lambda: conv2d_bias_gradient(grad_out),
        )
        return Gradients(grad_x, parameters)


@record.register
def record_convolution(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, ConvolutionStep]:
    """Return the convolution's output, and its step."""
    out = conv2d_forward(x, layer.weight, layer.bias, **_geometry(layer))
    return out, ConvolutionStep(layer, x)


@dataclass(frozen=True)
class PReLUStep(TrainedStep):
    """Step of a PReLU, whose slope below 0 is learnt; keeps its input."""

    layer: nn.PReLU
    x: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 and BP3 of the PReLU."""
        grad_x = prelu_backward(grad_out, self.x, self.layer.weight) if needs_grad_x else None
        parameters = trainable_gradients(
            self.layer,
            weight=lambda: prelu_weight_gradient(
                grad_out, self.x, weights=self.layer.num_parameters
            ),
        )
        return Gradients(grad_x, parameters)


@record.register
def record_prelu(layer: nn.PReLU, x: Tensor) -> tuple[Tensor, PReLUStep]:
    """Return the PReLU's output, and its step."""
    return prelu_forward(x, layer.weight), PReLUStep(layer, x)


@dataclass(frozen=True)
class BatchNormStep(TrainedStep):
    """Step of a batch normalisation by the batch's own statistics."""

    layer: nn.BatchNorm2d
    normalised: Tensor
    inverse_std: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 through mean and variance, BP3 and BP4."""
        # Both are computed for a frozen layer too, because BP2 needs them.
        grad_weight = norm_weight_gradient(grad_out, self.normalised)
        grad_bias = norm_bias_gradient(grad_out)
        parameters = trainable_gradients(
            self.layer, weight=lambda: grad_weight, bias=lambda: grad_bias
        )
        if not needs_grad_x:
            return Gradients(None, parameters)
        grad_x = batch_norm_backward(
            grad_out,
            self.layer.weight,
            normalised=self.normalised,
            inverse_std=self.inverse_std,
            grad_weight=grad_weight,
            grad_bias=grad_bias,
        )
        return Gradients(grad_x, parameters)


@dataclass(frozen=True)
class RunningNormStep(TrainedStep):
    """Step of a batch normalisation by running statistics, which are constants."""

    layer: nn.BatchNorm2d
    normalised: Tensor
    inverse_std: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2, BP3 and BP4."""
        parameters = trainable_gradients(
            self.layer,
            weight=lambda: norm_weight_gradient(grad_out, self.normalised),
            bias=lambda: norm_bias_gradient(grad_out),
        )
        if not needs_grad_x:
            return Gradients(None, parameters)
        grad_x = running_norm_backward(grad_out, self.layer.weight, inverse_std=self.inverse_std)
        return Gradients(grad_x, parameters)


@record.register
def record_batch_norm(
    layer: nn.BatchNorm2d, x: Tensor
) -> tuple[Tensor, BatchNormStep | RunningNormStep]:
    """Return the normalised batch, and its step; in training, update the running statistics.

    Raises:
        ValueError: In training, the batch has one value per channel, and so no variance.
    """
    require(layer, affine=True)
    mean, variance = layer.running_mean, layer.running_var
    if not layer.training and mean is not None and variance is not None:
        norm = running_norm_forward(
            x, layer.weight, layer.bias, mean=mean, variance=variance, eps=layer.eps
        )
        return norm.out, RunningNormStep(layer, norm.normalised, norm.inverse_std)
    if layer.training and x.numel() == x.shape[1]:
        raise ValueError(f"x must have more than one value per channel, not {tuple(x.shape)}")
    norm = batch_norm_forward(x, layer.weight, layer.bias, eps=layer.eps)
    if layer.training:
        _move_running_statistics(layer, norm, count=x.numel() // x.shape[1])
    return norm.out, BatchNormStep(layer, norm.normalised, norm.inverse_std)


@dataclass(frozen=True)
class LayerNormStep(TrainedStep):
    """Step of a layer normalisation."""

    layer: nn.LayerNorm
    normalised: Tensor
    inverse_std: Tensor

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 through mean and variance, BP3 and BP4."""
        parameters = trainable_gradients(
            self.layer,
            weight=lambda: layer_norm_weight_gradient(grad_out, self.normalised),
            bias=lambda: layer_norm_bias_gradient(grad_out),
        )
        if not needs_grad_x:
            return Gradients(None, parameters)
        grad_x = layer_norm_backward(
            grad_out, self.layer.weight, normalised=self.normalised, inverse_std=self.inverse_std
        )
        return Gradients(grad_x, parameters)


@record.register
def record_layer_norm(layer: nn.LayerNorm, x: Tensor) -> tuple[Tensor, LayerNormStep]:
    """Return the normalised vectors, and their step."""
    require(layer, normalized_shape=tuple(x.shape[-1:]), elementwise_affine=True)
    norm = layer_norm_forward(x, layer.weight, layer.bias, eps=layer.eps)
    return norm.out, LayerNormStep(layer, norm.normalised, norm.inverse_std)


def _move_running_statistics(layer: nn.BatchNorm2d, norm: BatchNorm, *, count: int) -> None:
    """Update the layer's running statistics by the batch's, with the unbiased variance."""
    if layer.running_mean is None or layer.running_var is None:
        return
    if layer.num_batches_tracked is None:
        raise ValueError("num_batches_tracked of BatchNorm2d must be a tensor, not None")
    layer.num_batches_tracked += 1
    # Without a momentum, PyTorch gives all batches the same weight.
    momentum = layer.momentum
    if momentum is None:
        momentum = 1 / int(layer.num_batches_tracked)
    unbiased = norm.variance * (count / (count - 1))
    layer.running_mean.copy_(moved_average(layer.running_mean, norm.mean, momentum))
    layer.running_var.copy_(moved_average(layer.running_var, unbiased, momentum))


def _geometry(layer: nn.Conv2d) -> dict[str, Any]:
    """Return the settings that a convolution's forward and backward share."""
    require(layer, padding_mode="zeros")
    if isinstance(layer.padding, str):
        raise ValueError(f"padding of Conv2d must be given in pixels, not as {layer.padding!r}")
    return {
        "stride": size_pair(layer.stride),
        "padding": size_pair(layer.padding),
        "dilation": size_pair(layer.dilation),
        "groups": layer.groups,
    }
