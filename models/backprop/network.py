"""A whole network forward and in reverse, every parameter's gradient by hand.

    logits, tape = forward_with_tape(network, pixels)
    loss = cross_entropy_forward(logits, targets)
    gradients = parameter_gradients(tape, cross_entropy_backward(loss.predicted, loss.true))

Another network adds a `record` for its own module types; layers that it shares are known already.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Imported for the layer types that they make known to `record`.
from models.backprop import fixed_layers, trained_layers  # noqa: F401
from models.backprop.convolution import Pair, size_pair
from models.backprop.normalisation import standardise_backward, standardise_forward
from models.backprop.pooling import global_average_pool_backward, global_average_pool_forward
from models.backprop.residual import (
    addition_backward,
    addition_forward,
    fork_backward,
    fork_forward,
)
from models.backprop.tape import ChainStep, Gradients, Step, record, record_chain, within
from models.chest_cnn import ChestCNN, Normalisation, ResidualBlock


def forward_with_tape(
    network: nn.Module, pixels: Float[Tensor, "batch 1 rows columns"]
) -> tuple[Float[Tensor, "batch classes"], Step]:
    """Return the logits, and the tape that `parameter_gradients` reads.

    The network's own mode counts: in training mode batch normalisation uses the batch's statistics
    and moves its running ones, exactly as PyTorch's forward pass does.

    Args:
        network: Built of layer types that have a `record`.
        pixels: In [0, 1].

    Raises:
        ValueError: A layer has no hand-written backward.
    """
    with torch.no_grad():
        return record(network, pixels)


def parameter_gradients(
    tape: Step, grad_logits: Float[Tensor, "batch classes"]
) -> dict[str, Tensor]:
    """Return the derivative of the loss by every trainable parameter.

    Call it before the weights change: the tape reads them where they are.

    Args:
        tape: As `forward_with_tape` returned it; may be used again for another output error.
        grad_logits: Output error (BP1), for instance from `cross_entropy_backward`.

    Returns:
        Gradients under the names of `named_parameters`. Frozen parameters (`requires_grad=False`)
        are left out, and nothing is computed below the first trainable layer.
    """
    with torch.no_grad():
        return tape.backward(grad_logits, needs_grad_x=False).parameters


@dataclass(frozen=True)
class StandardiseStep:
    """The network's first arithmetic on the film."""

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
class ResidualStep:
    """A residual block: two ways, added, then a ReLU.

    Attributes:
        residual: The way through the convolutions.
        shortcut: The other way.
        relu: What follows the sum.
    """

    residual: ChainStep
    shortcut: Step
    relu: Step

    @property
    def is_trainable(self) -> bool:
        """Whether anything on either way is."""
        return self.residual.is_trainable or self.shortcut.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients of both ways; their errors meet again at the fork."""
        grad_sum, _ = self.relu.backward(grad_out, needs_grad_x=True)
        if grad_sum is None:
            raise ValueError("relu must return grad_x when it is asked for, not None")
        grad_residual, grad_shortcut = addition_backward(grad_sum)
        through = self.residual.backward(grad_residual, needs_grad_x=needs_grad_x)
        past = self.shortcut.backward(grad_shortcut, needs_grad_x=needs_grad_x)
        parameters = through.parameters | within("shortcut", past.parameters)
        if through.grad_x is None or past.grad_x is None:
            return Gradients(None, parameters)
        return Gradients(fork_backward(through.grad_x, past.grad_x), parameters)


@record.register
def record_residual_block(layer: ResidualBlock, x: Tensor) -> tuple[Tensor, ResidualStep]:
    """Return the block's output, and its step."""
    first, second = fork_forward(x)
    names = ("conv1", "norm1", "relu1", "conv2", "norm2")
    residual, residual_step = record_chain(((n, layer.get_submodule(n)) for n in names), first)
    shortcut, shortcut_step = record(layer.shortcut, second)
    out, relu_step = record(layer.relu2, addition_forward(residual, shortcut))
    return out, ResidualStep(residual_step, shortcut_step, relu_step)


@dataclass(frozen=True)
class GlobalAveragePoolStep:
    """The average over positions, and the size of its input."""

    grid: Pair
    is_trainable = False

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return BP2 of the average."""
        if not needs_grad_x:
            return Gradients(None, {})
        return Gradients(global_average_pool_backward(grad_out, grid=self.grid), {})


@record.register
def record_chest_cnn(layer: ChestCNN, x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the logits of chest_cnn, and the steps from `normalise` to `head`."""
    trunk = ((name, layer.get_submodule(name)) for name in ("normalise", "stem", "stages"))
    activations, features = record_chain(trunk, x)
    pool = GlobalAveragePoolStep(size_pair(activations.shape[2:]))
    logits, head = record(layer.head, global_average_pool_forward(activations))
    return logits, ChainStep({**features.steps, "pool": pool, "head": head})
