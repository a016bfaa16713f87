"""Inverted dropout, forward and backward: in training, kept values are scaled by 1 / (1 - rate).

The mask is an argument, so both passes are pure functions and use the same mask.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def dropout_mask(
    x: Float[Tensor, "*shape"], *, rate: float, generator: torch.Generator | None = None
) -> Bool[Tensor, "*shape"]:
    """Return a random mask: True where an entry of `x` is kept, with probability 1 - rate.

    On the CPU the mask is that of `torch.nn.functional.dropout` for the same state of the
    generator; at a rate of 0 neither uses the generator.

    Args:
        x: Its shape, layout and device are those of the mask.
        rate: Probability to be dropped, in [0, 1).
        generator: Random generator; None is PyTorch's own.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """
    require_rate(rate)
    mask = torch.ones_like(x, dtype=torch.bool)
    return mask.bernoulli_(1 - rate, generator=generator) if rate > 0 else mask


def dropout_forward(
    x: Float[Tensor, "*shape"], mask: Shaped[Tensor, "*shape"], *, rate: float
) -> Float[Tensor, "*shape"]:
    """Return `x` / (1 - rate) where the mask keeps it, else 0: on average, `x`.

    Args:
        x: Any values.
        mask: True or 1 where an entry is kept, False or 0 where it is dropped.
        rate: Probability to be dropped that the mask was made with, in [0, 1).

    Raises:
        ValueError: `rate` is outside [0, 1).

    Source:
        Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from
        overfitting", section 4, with the scaling of section 10 (while training, by 1 / p).
    """
    require_rate(rate)
    return x * mask.to(x.dtype).div(1 - rate)


def dropout_backward(
    grad_out: Float[Tensor, "*shape"], mask: Shaped[Tensor, "*shape"], *, rate: float
) -> Float[Tensor, "*shape"]:
    """Return the derivative by `x` (BP2): the error of kept entries, scaled like them; else 0.

    Args:
        grad_out: Derivative by the output.
        mask: What `dropout_forward` was given.
        rate: What `dropout_forward` was given.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """
    return dropout_forward(grad_out, mask, rate=rate)


def require_rate(rate: float) -> None:
    """Raise ValueError if `rate` is outside [0, 1); at 1, the scale would be 1 / 0."""
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be in [0, 1), not {rate}")
