"""Scaled dot-product attention with several heads, forward and backward.

Axes: `queries` are the tokens that attend, `keys` the tokens attended to; in self-attention they
are the same tokens. The probabilities are not kept from forward to backward, because there are
`queries` x `keys` of them for each head. The backward pass computes them again from query and key,
with one product and one softmax (like Dao et al. 2022, arXiv:2205.14135, section 3.1).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.backprop.activation import softmax_backward


class AttentionGradients(NamedTuple):
    """Derivatives by query, key and value, each of its input's shape."""

    grad_query: Tensor
    grad_key: Tensor
    grad_value: Tensor


def attention_probabilities(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
) -> Float[Tensor, "batch heads queries keys"]:
    """Return the attention weights of each query over the keys; each row sums to 1.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1, the softmax in it.
    """
    return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1), dim=-1)


def attention_forward(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    value: Float[Tensor, "batch heads keys value_width"],
) -> Float[Tensor, "batch heads queries value_width"]:
    """Return, for each query, the mean of the values weighted by its probabilities.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    return attention_probabilities(query, key) @ value


def attention_backward(
    grad_out: Float[Tensor, "batch heads queries value_width"],
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    value: Float[Tensor, "batch heads keys value_width"],
) -> AttentionGradients:
    """Return the derivatives by query, key and value (BP2).

    out = probabilities @ value, probabilities = softmax(scores), scores = scale * query @ key^T.

    Source:
        Dao et al. 2022, arXiv:2205.14135, appendix B.2 (the standard backward pass).
    """
    probabilities = attention_probabilities(query, key)
    grad_value = probabilities.transpose(-2, -1) @ grad_out
    grad_probabilities = grad_out @ value.transpose(-2, -1)
    grad_scores = softmax_backward(grad_probabilities, probabilities).mul_(query.shape[-1] ** -0.5)
    return AttentionGradients(
        grad_query=grad_scores @ key,
        grad_key=grad_scores.transpose(-2, -1) @ query,
        grad_value=grad_value,
    )


def split_heads(
    x: Float[Tensor, "batch tokens width"], *, heads: int
) -> Float[Tensor, "batch {heads} tokens head_width"]:
    """Return each token's vector split into one piece per head."""
    return torch.unflatten(x, 2, (heads, -1)).transpose(1, 2)


def merge_heads(
    x: Float[Tensor, "batch heads tokens head_width"],
) -> Float[Tensor, "batch tokens width"]:
    """Return the heads' pieces joined: the inverse of `split_heads`, and its backward pass."""
    return x.transpose(1, 2).flatten(2)
