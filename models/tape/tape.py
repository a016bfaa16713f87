"""The tape: what each layer's forward pass leaves for its backward pass.

`record(layer, x)` runs one layer forward and returns its output and a step. The step holds by name
what backward needs. Steps of layers that hold others (a chain, a residual block) hold steps, so
the tape of a network is one step. Walking back uses the tape up: what a layer kept is let go as
soon as the layer has been passed, which is how the memory of a training step stays autograd's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn


class Gradients(NamedTuple):
    """What a step's backward pass returns.

    Attributes:
        grad_x: Derivative by the layer's input, or None where nobody asked for it.
        parameters: Derivative by each trainable parameter, under its name within the layer.
    """

    grad_x: Tensor | None
    parameters: dict[str, Tensor]


@runtime_checkable
class Step(Protocol):
    """One layer's place on the tape."""

    @property
    def is_trainable(self) -> bool:
        """Whether the layer has a parameter whose gradient is wanted."""
        ...

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients, given the derivative by the layer's output."""
        ...


@singledispatch
def record(layer: nn.Module, x: Tensor) -> tuple[Tensor, Step]:
    """Return the layer's output for `x`, and the step that goes back through it.

    Batch normalisation in training mode moves its running statistics, as in PyTorch.

    Raises:
        ValueError: `layer` is of a type, or has a setting, without a hand-written backward.
    """
    raise ValueError(
        f"layer must be of a type with a hand-written backward, not {type(layer).__name__}"
    )


def trainable_gradients(layer: nn.Module, **gradients: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return the gradients of those parameters that exist and are not frozen; compute no others."""
    wanted = {
        name for name, parameter in layer.named_parameters(recurse=False) if parameter.requires_grad
    }
    return {name: gradient() for name, gradient in gradients.items() if name in wanted}


@dataclass(frozen=True)
class ChainStep:
    """Layers one after the other.

    Attributes:
        steps: Name and step in the order of the forward pass; used up by `backward`. An empty name
            is for a step that names its parameters in full.
    """

    steps: list[tuple[str, Step]]

    @property
    def is_trainable(self) -> bool:
        """Whether any of the steps that are left is."""
        return any(step.is_trainable for _, step in self.steps)

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients of all steps, from the last to the first (BP2 between them).

        The walk ends where no earlier layer wants anything.
        """
        parameters: dict[str, Tensor] = {}
        while self.steps:
            name, step = self.steps.pop()
            goes_on = needs_grad_x or self.is_trainable
            grad_x, own = step.backward(grad_out, needs_grad_x=goes_on)
            parameters |= within(name, own)
            if grad_x is None:
                self.steps.clear()
                return Gradients(None, parameters)
            grad_out = grad_x
        return Gradients(grad_out if needs_grad_x else None, parameters)


def record_chain(layers: Iterable[tuple[str, nn.Module]], x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the output of the layers one after the other, and their step.

    Args:
        layers: Name and layer, in order.
        x: Input of the first one.
    """
    steps: list[tuple[str, Step]] = []
    for name, layer in layers:
        x, step = record(layer, x)
        steps.append((name, step))
    return x, ChainStep(steps)


def passed_on(gradients: Gradients) -> Tensor:
    """Return the derivative by the input of a step that was asked for it.

    Raises:
        RuntimeError: There is none: the step broke its promise.
    """
    if gradients.grad_x is None:
        raise RuntimeError("a step must return grad_x when it is asked for")
    return gradients.grad_x


@record.register
def record_sequential(layer: nn.Sequential, x: Tensor) -> tuple[Tensor, ChainStep]:
    """Return the output of the layers in order, and their step."""
    return record_chain(layer.named_children(), x)


def require(layer: nn.Module, **settings: object) -> None:
    """Refuse a layer with a setting that has no hand-written backward.

    Raises:
        ValueError: A setting differs from the one given.
    """
    for name, allowed in settings.items():
        seen = getattr(layer, name)
        if seen != allowed:
            raise ValueError(f"{name} of {type(layer).__name__} must be {allowed!r}, not {seen!r}")


def within(name: str, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients under the names they have one level further out."""
    prefix = f"{name}." if name else ""
    return {prefix + inner: gradient for inner, gradient in gradients.items()}
