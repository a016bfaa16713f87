"""Weight initialisation: Xavier (Glorot) and He, normal and uniform.

The variance is chosen so that signal and error keep their size from layer to layer. As in PyTorch,
a trailing underscore marks a function that fills its argument, without autograd. For the same state
of the generator, the values are those of `torch.nn.init`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Fans(NamedTuple):
    """Fan-in, the number of inputs per output, and fan-out, the number of outputs per input."""

    fan_in: int
    fan_out: int


def fans(shape: Sequence[int]) -> Fans:
    """Return fan-in and fan-out of a weight [outputs, inputs] or [outputs, inputs, rows, columns].

    Raises:
        ValueError: `shape` has fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(f"shape must have at least 2 axes (outputs, inputs), not {tuple(shape)}")
    outputs, inputs, *kernel = shape
    return Fans(inputs * math.prod(kernel), outputs * math.prod(kernel))


def xavier_std(shape: Sequence[int]) -> float:
    """Return Xavier's standard deviation, for activations linear about 0: sigmoid, tanh, softmax.

    Source:
        Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
        networks", equation 12.
    """
    return math.sqrt(2 / sum(fans(shape)))


def he_std(shape: Sequence[int], *, mode: str = "fan_in", negative_slope: float = 0.0) -> float:
    """Return He's standard deviation, for a layer before a ReLU, which halves the variance.

    Args:
        shape: Of the weight.
        mode: `fan_in` keeps the size of the signal, `fan_out` that of the error.
        negative_slope: Of the leaky ReLU or PReLU that follows; 0 is a ReLU.

    Raises:
        ValueError: `mode` is another word, or `shape` has fewer than two axes.

    Source:
        He et al. 2015, arXiv:1502.01852, equation 10 (fan_in), 14 (fan_out), 15 (slope).
    """
    if mode not in Fans._fields:
        raise ValueError(f"mode must be one of {', '.join(Fans._fields)}, not {mode!r}")
    fan: int = getattr(fans(shape), mode)
    return math.sqrt(2 / (1 + negative_slope**2)) / math.sqrt(fan)


@torch.no_grad()
def xavier_uniform_(
    weight: Float[Tensor, "outputs inputs *kernel"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "outputs inputs *kernel"]:
    """Fill the weight uniformly in +-sqrt(6 / (fan_in + fan_out)), Xavier's range; return it.

    Source:
        Glorot and Bengio 2010, equation 16.
    """
    return _fill_uniform_(weight, xavier_std(weight.shape), generator)


@torch.no_grad()
def xavier_normal_(
    weight: Float[Tensor, "outputs inputs *kernel"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "outputs inputs *kernel"]:
    """Fill the weight with normal values of standard deviation `xavier_std`; return it.

    Source:
        Glorot and Bengio 2010, equation 12.
    """
    return weight.normal_(0, xavier_std(weight.shape), generator=generator)


@torch.no_grad()
def he_uniform_(
    weight: Float[Tensor, "outputs inputs *kernel"],
    *,
    mode: str = "fan_in",
    negative_slope: float = 0.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "outputs inputs *kernel"]:
    """Fill the weight with uniform values of standard deviation `he_std`; return it.

    Source:
        He et al. 2015, arXiv:1502.01852, equation 10 (the variance; the paper's values are normal).
    """
    std = he_std(weight.shape, mode=mode, negative_slope=negative_slope)
    return _fill_uniform_(weight, std, generator)


@torch.no_grad()
def he_normal_(
    weight: Float[Tensor, "outputs inputs *kernel"],
    *,
    mode: str = "fan_in",
    negative_slope: float = 0.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "outputs inputs *kernel"]:
    """Fill the weight with normal values of standard deviation `he_std`; return it.

    Source:
        He et al. 2015, arXiv:1502.01852, equation 10.
    """
    std = he_std(weight.shape, mode=mode, negative_slope=negative_slope)
    return weight.normal_(0, std, generator=generator)


def _fill_uniform_(weight: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    limit = math.sqrt(3) * std
    return weight.uniform_(-limit, limit, generator=generator)
