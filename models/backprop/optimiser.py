"""Optimisers: one step of SGD, Adam or AdamW on one tensor, and gradient clipping.

A step is a pure function: it returns the new weight and the new state, and changes neither of its
arguments. The first state comes from `sgd_start` or `adam_start`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class SGDState(NamedTuple):
    """State of SGD for one weight.

    Attributes:
        velocity: Sum of all gradients so far, each multiplied by `momentum` at every later step.
    """

    velocity: Tensor


class AdamState(NamedTuple):
    """State of Adam and AdamW for one weight.

    Attributes:
        mean: Moving average of the gradients, which starts from 0.
        mean_of_squares: Moving average of their squares, which starts from 0.
        step: Number of steps made.
    """

    mean: Tensor
    mean_of_squares: Tensor
    step: int


class ClippedGradients(NamedTuple):
    """Clipped gradients, and their norm before clipping.

    Attributes:
        gradients: The gradients, all scaled by the same factor.
        norm: Euclidean norm of all of them as one vector, before clipping; a scalar.
    """

    gradients: dict[str, Tensor]
    norm: Tensor


def sgd_start(weight: Float[Tensor, "*shape"]) -> SGDState:
    """Return the state before the first step: a velocity of 0."""
    return SGDState(torch.zeros_like(weight))


def sgd_step(
    weight: Float[Tensor, "*shape"],
    grad_weight: Float[Tensor, "*shape"],
    state: SGDState,
    *,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Float[Tensor, "*shape"], SGDState]:
    """Return weight and state after one step of gradient descent with momentum.

    As in PyTorch, the learning rate multiplies the velocity and is not part of it.

    Args:
        weight: Weight before the step.
        grad_weight: Derivative of the loss by it.
        state: State returned by the last step, at first `sgd_start(weight)`.
        learning_rate: Factor of the step, at least 0.
        momentum: Share of the velocity that is kept, in [0, 1); 0 is plain gradient descent.
        nesterov: Use Nesterov's momentum; `weight` is then the point looked ahead to.
        weight_decay: Share of the weight that is added to its gradient, at least 0.

    Raises:
        ValueError: A setting is out of its range, or `nesterov` has no momentum.

    Source:
        Polyak 1964; Sutskever et al. 2013, "On the importance of initialization and momentum in
        deep learning", equations 1 and 2, for Nesterov's 3 and 4; Bengio et al. 2012,
        arXiv:1212.0901, section 3.5 (Nesterov's, written in the point looked ahead to).
    """
    _require_not_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    _require_fraction(momentum=momentum)
    if nesterov and momentum == 0:
        raise ValueError(f"momentum must be above 0 where nesterov is set, not {momentum}")
    gradient = grad_weight.add(weight, alpha=weight_decay)
    velocity = gradient.add(state.velocity, alpha=momentum)
    direction = gradient.add_(velocity, alpha=momentum) if nesterov else velocity
    return weight.sub(direction, alpha=learning_rate), SGDState(velocity)


def adam_start(weight: Float[Tensor, "*shape"]) -> AdamState:
    """Return the state before the first step, of Adam and of AdamW."""
    return AdamState(torch.zeros_like(weight), torch.zeros_like(weight), step=0)


def adam_step(
    weight: Float[Tensor, "*shape"],
    grad_weight: Float[Tensor, "*shape"],
    state: AdamState,
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Float[Tensor, "*shape"], AdamState]:
    """Return weight and state after one step of Adam.

    Args:
        weight: Weight before the step.
        grad_weight: Derivative of the loss by it.
        state: State returned by the last step, at first `adam_start(weight)`.
        learning_rate: About the change of each entry, at least 0.
        betas: Share of each moving average that is kept at each step, each in [0, 1).
        eps: Added to the denominator, above 0.
        weight_decay: Share of the weight that is added to its gradient, at least 0.

    Raises:
        ValueError: A setting is out of its range.

    Source:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1; for the decay, Loshchilov and Hutter 2019,
        arXiv:1711.05101, algorithm 2, line 6.
    """
    _require_not_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    moved = _adam_averages(grad_weight.add(weight, alpha=weight_decay), state, betas=betas)
    direction = _adam_direction(moved, betas=betas, eps=eps)
    return weight.sub(direction, alpha=learning_rate), moved


def adamw_step(
    weight: Float[Tensor, "*shape"],
    grad_weight: Float[Tensor, "*shape"],
    state: AdamState,
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Float[Tensor, "*shape"], AdamState]:
    """Return weight and state after one step of AdamW: Adam with decoupled weight decay.

    As in PyTorch, the learning rate multiplies the decay; in the paper only its schedule does.

    Args:
        weight: Weight before the step.
        grad_weight: Derivative of the loss by it.
        state: State returned by the last step, at first `adam_start(weight)`.
        learning_rate: About the change of each entry, at least 0.
        betas: Share of each moving average that is kept at each step, each in [0, 1).
        eps: Added to the denominator, above 0.
        weight_decay: Share of itself that the weight loses per unit of learning rate, at least 0.

    Raises:
        ValueError: A setting is out of its range.

    Source:
        Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2, line 12.
    """
    _require_not_negative(learning_rate=learning_rate, weight_decay=weight_decay)
    moved = _adam_averages(grad_weight, state, betas=betas)
    direction = _adam_direction(moved, betas=betas, eps=eps).add_(weight, alpha=weight_decay)
    return weight.sub(direction, alpha=learning_rate), moved


def clip_gradient_norm(gradients: Mapping[str, Tensor], *, max_norm: float) -> ClippedGradients:
    """Return the gradients, scaled down together if their common norm is above `max_norm`.

    As in PyTorch, 1e-6 is added to the norm before the division, so a norm of 0 is safe. If the
    norm is NaN, so are all clipped gradients: check `norm` before the step.

    Args:
        gradients: Gradients by the names of their parameters.
        max_norm: Largest norm that is not changed, above 0.

    Raises:
        ValueError: `max_norm` is not above 0.

    Source:
        Pascanu et al. 2013, arXiv:1211.5063, algorithm 1.
    """
    _require_positive(max_norm=max_norm)
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    norm = torch.linalg.vector_norm(torch.stack(norms) if norms else torch.zeros(0))
    scale = (max_norm / (norm + 1e-6)).clamp(max=1)
    return ClippedGradients({name: grad * scale for name, grad in gradients.items()}, norm)


def _adam_averages(gradient: Tensor, state: AdamState, *, betas: tuple[float, float]) -> AdamState:
    """Return both moving averages after a new gradient (algorithm 1, the two moments)."""
    _require_fraction(**{"betas[0]": betas[0], "betas[1]": betas[1]})
    kept, kept_of_squares = betas
    mean = state.mean.lerp(gradient, 1 - kept)
    squares = (kept_of_squares * state.mean_of_squares).addcmul_(
        gradient, gradient, value=1 - kept_of_squares
    )
    return AdamState(mean, squares, state.step + 1)


def _adam_direction(state: AdamState, *, betas: tuple[float, float], eps: float) -> Tensor:
    """Return mean / (sqrt(mean of squares) + eps), both corrected for their start from 0."""
    _require_positive(eps=eps)
    filled, filled_of_squares = (1 - beta**state.step for beta in betas)
    root = state.mean_of_squares.sqrt().div_(math.sqrt(filled_of_squares)).add_(eps)
    return (state.mean / root).div_(filled)


def _require_not_negative(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and at least 0, not {value}")


def _require_positive(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value}")


def _require_fraction(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be in [0, 1), not {value}")
