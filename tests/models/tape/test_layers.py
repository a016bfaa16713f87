import copy

import pytest
import torch
from torch import Tensor, nn

# Imported for the layer types that it registers.
import models.tape.network  # noqa: F401
from models.layers import GlobalAveragePool
from models.tape.tape import Step, record
from tests.models.backprop.errors import relative_error
from tests.models.backprop.proofs import cotangent, draw

FILMS = (3, 4, 9, 8)

LAYERS = {
    "convolution with everything": lambda: nn.Conv2d(
        4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2
    ),
    "convolution without bias": lambda: nn.Conv2d(4, 2, 3, bias=False),
    "batch norm": lambda: nn.BatchNorm2d(4, eps=0.1, momentum=0.3),
    "batch norm that averages all batches": lambda: nn.BatchNorm2d(4, momentum=None),
    "batch norm without running statistics": lambda: nn.BatchNorm2d(
        4, track_running_stats=False
    ).eval(),
    "batch norm in use": lambda: nn.BatchNorm2d(4).eval(),
    "frozen batch norm": lambda: nn.BatchNorm2d(4).requires_grad_(False),
    "in-place relu": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
    "leaky relu": lambda: nn.LeakyReLU(0.2),
    "prelu": lambda: nn.PReLU(4, init=0.1),
    "elu": lambda: nn.ELU(0.7),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": lambda: nn.Softmax(dim=-1),
    "layer norm": lambda: nn.LayerNorm(8),
    "dropout in use": lambda: nn.Dropout(0.5).eval(),
    "flattening": nn.Flatten,
    "global average": GlobalAveragePool,
    "max-pooling": lambda: nn.MaxPool2d((3, 2), stride=2, padding=1, dilation=(1, 2)),
    "max-pooling with a last partial window": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "average pooling": lambda: nn.AvgPool2d((3, 2), stride=(2, 3), padding=1),
    "up-sampling": lambda: nn.Upsample(scale_factor=2),
    "identity": nn.Identity,
    "nested chain": lambda: nn.Sequential(
        # No bias here: before a batch norm its gradient is zero by mathematics.
        nn.Conv2d(4, 4, 1, bias=False),
        nn.Sequential(nn.BatchNorm2d(4), nn.GELU()),
        nn.AvgPool2d(2),
    ),
}


def run_with_tape(layer: nn.Module, x: Tensor) -> tuple[Tensor, Step]:
    with torch.no_grad():
        return record(layer, x)


def error_of_layer(layer: nn.Module, x: Tensor) -> float:
    """Return the relative error of output, all gradients and buffers after two batches."""
    twin = copy.deepcopy(layer)
    error = 0.0
    for batch in (x, x + 1):
        # A clone, because an in-place layer may not write to a leaf; and hide what it overwrites.
        leaf = batch.clone().requires_grad_()
        expected_out = twin(leaf.clone())
        grad_out = cotangent(expected_out)
        wanted = {"x": leaf} | {n: p for n, p in twin.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(expected_out, tuple(wanted.values()), grad_out)
        expected = dict(zip(wanted, gradients, strict=True)) | {"out": expected_out}
        out, step = run_with_tape(layer, batch)
        grad_x, parameters = step.backward(grad_out, needs_grad_x=True)
        assert grad_x is not None
        seen = parameters | {"x": grad_x, "out": out}
        error = max(error, relative_error(seen, expected))
    buffers = [{n: b.double() for n, b in one.named_buffers()} for one in (layer, twin)]
    return max(error, relative_error(*buffers)) if buffers[0] else error


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_layers_own_settings_are_honoured(layer) -> None:
    torch.manual_seed(0)
    assert error_of_layer(layer().double(), draw(*FILMS, seed=0)) < 1e-10


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_honoured(bias: bool) -> None:
    torch.manual_seed(0)
    assert error_of_layer(nn.Linear(5, 3, bias=bias).double(), draw(2, 5, seed=0)) < 1e-10


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_no_layer_writes_to_its_input_or_its_error(layer) -> None:
    x = draw(*FILMS, seed=0)
    out, step = run_with_tape(layer().double(), x)
    grad_out = cotangent(out)
    step.backward(grad_out, needs_grad_x=True)
    assert torch.equal(x, draw(*FILMS, seed=0))
    assert torch.equal(grad_out, cotangent(out))


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_an_error_that_nobody_asked_for_is_not_computed(layer) -> None:
    out, step = run_with_tape(layer().double(), draw(*FILMS, seed=0))
    assert step.backward(cotangent(out), needs_grad_x=False).grad_x is None


REFUSED = {
    "type": (nn.Softplus(), "layer must be of a type .* not Softplus"),
    "reflected padding": (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "padding_mode of Conv2d"),
    "padding in words": (nn.Conv2d(4, 4, 3, padding="same"), "padding of Conv2d .* 'same'"),
    "scale-free batch norm": (nn.BatchNorm2d(4, affine=False), "affine of BatchNorm2d"),
    "gelu's tanh formula": (nn.GELU(approximate="tanh"), "approximate of GELU"),
    "indices": (nn.MaxPool2d(2, return_indices=True), "return_indices of MaxPool2d"),
    "softmax over channels": (nn.Softmax(dim=1), "dim of Softmax"),
    "layer norm of several axes": (nn.LayerNorm((9, 8)), "normalized_shape of LayerNorm"),
    "flattening of some axes": (nn.Flatten(2), "start_dim of Flatten"),
    "up-sampling between pixels": (
        nn.Upsample(scale_factor=2, mode="bilinear"),
        "mode of Upsample must be 'nearest'",
    ),
    "up-sampling to a size": (nn.Upsample(size=(18, 16)), "size of Upsample"),
    "up-sampling by a fraction": (nn.Upsample(scale_factor=1.5), "scale_factor of Upsample"),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), "divisor_override of AvgPool2d"),
}


@pytest.mark.parametrize(("layer", "message"), REFUSED.values(), ids=REFUSED)
def test_a_setting_without_a_backward_is_refused(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_with_tape(layer.double(), draw(*FILMS, seed=0))


def test_batch_statistics_of_a_single_value_are_refused() -> None:
    with pytest.raises(ValueError, match="x must have more than one value per channel"):
        run_with_tape(nn.BatchNorm2d(2).double(), draw(1, 2, 1, 1, seed=0))
