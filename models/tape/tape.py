"""The tape: steps that record what each layer's backward pass needs.

`record(layer, x)` runs one layer forward and returns its output and a step. The step keeps by name
what the backward pass needs. A layer that contains others (a chain, a residual block) has a step
that contains theirs, so the tape of a network is one step. The backward pass frees what a layer
kept as soon as it has passed the layer, so a training step needs no more memory than with autograd.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from models.network import Masked, TakesLungs


class Gradients(NamedTuple):
    """Derivatives by a layer's input and by its parameters.

    Attributes:
        grad_x: Derivative by the layer's input, or None where it was not asked for.
        parameters: Derivative by each trainable parameter, under its name within the layer.
    """

    grad_x: Tensor | None
    parameters: dict[str, Tensor]


@runtime_checkable
class Step(Protocol):
    """One layer on the tape: keeps what the layer's backward pass needs."""

    @property
    def is_trainable(self) -> bool:
        """True if the layer has a trainable parameter."""
        ...

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients, given the derivative by the layer's output."""
        ...


@singledispatch
def record(layer: nn.Module, x: Any) -> tuple[Any, Step]:
    """Run a layer forward; return its output for `x`, and the step for its backward pass.

    Batch normalisation in training mode updates its running statistics, as in PyTorch.

    Raises:
        ValueError: `layer` is of a type, or has a setting, without a hand-written backward.
    """
    raise ValueError(
        f"layer must be of a type with a hand-written backward, not {type(layer).__name__}"
    )


def trainable_gradients(layer: nn.Module, **gradients: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Compute and return the gradients of those parameters that exist and are not frozen."""
    wanted = {
        name for name, parameter in layer.named_parameters(recurse=False) if parameter.requires_grad
    }
    return {name: gradient() for name, gradient in gradients.items() if name in wanted}


@dataclass(frozen=True)
class ChainStep:
    """Step of layers that run one after the other.

    Attributes:
        steps: Name and step in the order of the forward pass; `backward` empties the list. An empty
            name is for a step that names its parameters in full.
    """

    steps: list[tuple[str, Step]]

    @property
    def is_trainable(self) -> bool:
        """True if any step that is left has a trainable parameter."""
        return any(step.is_trainable for _, step in self.steps)

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the gradients of all steps, from the last to the first (BP2 between them).

        It stops where no earlier step has a trainable parameter.
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


def record_through(layer: nn.Module, x: Any) -> tuple[Any, Step]:
    """Record a layer; the lungs' mask goes past layers that do not take it."""
    if isinstance(x, Masked) and not isinstance(layer, TakesLungs):
        values, step = record(layer, x.values)
        return Masked(values, x.lungs), step
    return record(layer, x)


def record_chain(layers: Iterable[tuple[str, nn.Module]], x: Any) -> tuple[Any, ChainStep]:
    """Return the output of the layers one after the other, and their step.

    Args:
        layers: Name and layer, in order.
        x: Input of the first one: a tensor, or values with the lungs' mask (`Masked`).
    """
    steps: list[tuple[str, Step]] = []
    for name, layer in layers:
        x, step = record_through(layer, x)
        steps.append((name, step))
    return x, ChainStep(steps)


def passed_on(gradients: Gradients) -> Tensor:
    """Return the derivative by a layer's input, where it was asked for.

    Raises:
        RuntimeError: The step did not return it.
    """
    if gradients.grad_x is None:
        raise RuntimeError("a step must return grad_x when it is asked for")
    return gradients.grad_x


@record.register
def record_sequential(layer: nn.Sequential, x: Any) -> tuple[Any, ChainStep]:
    """Return the output of the layers in order, and their step."""
    return record_chain(layer.named_children(), x)


def require(layer: nn.Module, **settings: object) -> None:
    """Refuse a layer whose settings have no hand-written backward pass.

    Raises:
        ValueError: A setting differs from the one given.
    """
    for name, allowed in settings.items():
        seen = getattr(layer, name)
        if seen != allowed:
            raise ValueError(f"{name} of {type(layer).__name__} must be {allowed!r}, not {seen!r}")


def within(name: str, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients with `name.` in front of their names."""
    prefix = f"{name}." if name else ""
    return {prefix + inner: gradient for inner, gradient in gradients.items()}
