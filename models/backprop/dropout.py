"""Dropout, inverted: what is kept while training is scaled up, so that use needs no change.

The mask is an argument, so both passes are plain functions and see the same one.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def dropout_mask(
    x: Float[Tensor, "*shape"], *, rate: float, generator: torch.Generator | None = None
) -> Bool[Tensor, "*shape"]:
    """Return, for every entry of `x`, whether it is kept; each with probability 1 - rate.

    On the CPU it draws what `torch.nn.functional.dropout` draws from the same state of the
    generator; at a rate of 0 neither draws anything.

    Args:
        x: Only its shape, layout and device count.
        rate: Probability to be dropped, in [0, 1).
        generator: Where the draws come from; PyTorch's own where None.

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
        rate: Probability with which the mask drops, in [0, 1).

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
    """Return the derivative by `x` (BP2): the error goes where the entry went, scaled alike.

    Args:
        grad_out: Derivative by the output.
        mask: What `dropout_forward` was given.
        rate: What `dropout_forward` was given.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """
    return dropout_forward(grad_out, mask, rate=rate)


def require_rate(rate: float) -> None:
    """Raise ValueError if `rate` is outside [0, 1): at 1, nothing would be left to scale up."""
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be in [0, 1), not {rate}")
