"""The relative error between gradients, as the design defines it."""

import math

from torch import Tensor

Tensors = dict[str, Tensor]


def relative_error(seen: Tensors, expected: Tensors) -> float:
    """Return the largest difference of any tensor, relative to that tensor's largest entry.

    Tensors below a millionth of the largest one count as that. A gradient that is missing, not
    asked for, of another shape or not a number is infinitely wrong.
    """
    if seen.keys() != expected.keys():
        return math.inf
    floor = 1e-6 * max(largest(gradient) for gradient in expected.values())
    errors = [tensor_error(seen[name], expected[name], floor) for name in expected]
    return math.inf if any(map(math.isnan, errors)) else max(errors)


def tensor_error(seen: Tensor, expected: Tensor, floor: float) -> float:
    if seen.shape != expected.shape:
        return math.inf
    difference = largest(seen - expected)
    return difference / max(largest(expected), floor) if difference else 0.0


def largest(gradient: Tensor) -> float:
    return float(gradient.detach().abs().max())
