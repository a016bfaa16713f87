"""The relative error between gradients, as the design defines it."""

import math

from torch import Tensor

from training.backprop_proofs.proofs import relative_errors

Tensors = dict[str, Tensor]


def relative_error(seen: Tensors, expected: Tensors) -> float:
    """Return the largest relative error of any tensor.

    A gradient that is missing, not asked for, of another shape or not a number is infinitely wrong.
    """
    if shapes(seen) != shapes(expected):
        return math.inf
    errors = relative_errors(seen, expected).values()
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def shapes(gradients: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(gradient.shape) for name, gradient in gradients.items()}
