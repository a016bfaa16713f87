"""Step of chest_cnn's residual block, with its hand-written forward and backward passes."""

from dataclasses import dataclass

from torch import Tensor

from models.backprop.residual import (
    addition_backward,
    addition_forward,
    fork_backward,
    fork_forward,
)
from models.chest_cnn import ResidualBlock
from models.tape.tape import ChainStep, Gradients, Step, passed_on, record, record_chain, within


@dataclass(frozen=True)
class ResidualStep:
    """Step of a residual block: relu(shortcut(x) + residual(x)).

    Attributes:
        residual: Step of the convolutions.
        shortcut: Step of the shortcut.
        relu: Step of the ReLU after the sum.
    """

    residual: ChainStep
    shortcut: Step
    relu: Step

    @property
    def is_trainable(self) -> bool:
        """True if any layer of either branch has a trainable parameter."""
        return self.residual.is_trainable or self.shortcut.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients of both branches; the errors of both are summed at the input."""
        grad_sum = passed_on(self.relu.backward(grad_out, needs_grad_x=True))
        grad_residual, grad_shortcut = addition_backward(grad_sum)
        through = self.residual.backward(grad_residual, needs_grad_x=needs_grad_x)
        past = self.shortcut.backward(grad_shortcut, needs_grad_x=needs_grad_x)
        parameters = through.parameters | within("shortcut", past.parameters)
        if not needs_grad_x:
            return Gradients(None, parameters)
        return Gradients(fork_backward(passed_on(through), passed_on(past)), parameters)


@record.register
def record_residual_block(layer: ResidualBlock, x: Tensor) -> tuple[Tensor, ResidualStep]:
    """Return the block's output, and its step."""
    first, second = fork_forward(x)
    names = ("conv1", "norm1", "relu1", "conv2", "norm2")
    residual, residual_step = record_chain(((n, layer.get_submodule(n)) for n in names), first)
    shortcut, shortcut_step = record(layer.shortcut, second)
    out, relu_step = record(layer.relu2, addition_forward(residual, shortcut))
    return out, ResidualStep(residual_step, shortcut_step, relu_step)
