"""Linear layer, forward and backward, on the last axis of inputs of any shape."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def linear_forward(
    x: Float[Tensor, "*batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None,
) -> Float[Tensor, "*batch outputs"]:
    """Return each vector of `x` times the weight, plus the bias.

    Source:
        Rumelhart et al. 1986, doi:10.1038/323533a0, equation 1.
    """
    return functional.linear(x, weight, bias)


def linear_backward(
    grad_out: Float[Tensor, "*batch outputs"],
    weight: Float[Tensor, "outputs inputs"],
) -> Float[Tensor, "*batch inputs"]:
    """Return the derivative by `x` (BP2): the output error times the weight.

    Source:
        Nielsen 2015, chapter 2, equation BP2; the activation's factor is in `activation.py`.
    """
    return grad_out @ weight


def linear_weight_gradient(
    grad_out: Float[Tensor, "*batch outputs"],
    x: Float[Tensor, "*batch inputs"],
) -> Float[Tensor, "outputs inputs"]:
    """Return the derivative by the weight (BP3): output error times input, summed over the batch.

    The batch is every axis but the last: the tokens of a transformer share the weight.

    Source:
        Nielsen 2015, chapter 2, equation BP4 in his numbering.
    """
    return grad_out.flatten(0, -2).T @ x.flatten(0, -2)


def linear_bias_gradient(
    grad_out: Float[Tensor, "*batch outputs"],
) -> Float[Tensor, " outputs"]:
    """Return the derivative by the bias (BP4): the output error, summed over the batch.

    Source:
        Nielsen 2015, chapter 2, equation BP3 in his numbering.
    """
    return grad_out.flatten(0, -2).sum(dim=0)
