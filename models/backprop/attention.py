"""Scaled dot-product attention with several heads, forward and backward.

Axes: `queries` are the tokens that attend, `keys` the tokens attended to; in self-attention they
are the same tokens. The probabilities are not kept from forward to backward, because there are
`queries` x `keys` of them for each head. The backward pass computes them again from query and key,
with one product and one softmax (like Dao et al. 2022, arXiv:2205.14135, section 3.1).

With a mask of the keys, m_j in [0, 1], scores s_j give the probabilities

    p_j = m_j exp(s_j) / sum over i of m_i exp(s_i) = softmax(s + log m)_j

A key whose m is 0 gets exactly 0, and p is continuous in m. The mask is constant, so that the
derivative of p_j by s_i is p_j (1[i = j] - p_i) as without it: the backward pass is the same.
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
    mask: Float[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, "batch heads queries keys"]:
    """Return the attention weights of each query over the keys; each row sums to 1.

    Args:
        query: Scaled by 1 / sqrt(width) here.
        key: Likewise not.
        mask: How much each key counts, in [0, 1] and not 0 for all; None counts all alike.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1, the softmax in it.
    """
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return torch.softmax(scores if mask is None else scores + masking_scores(mask), dim=-1)


def masking_scores(mask: Float[Tensor, "batch keys"]) -> Float[Tensor, "batch 1 1 keys"]:
    """Return what is added to the scores of masked keys: log m, minus infinity where m is 0.

    A derivative by m is finite for autograd too: it is taken to be 0 where m is 0.
    """
    logarithm = mask.clamp(min=torch.finfo(mask.dtype).tiny).log()
    return logarithm.masked_fill(mask == 0, -torch.inf)[:, None, None]


def attention_forward(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    value: Float[Tensor, "batch heads keys value_width"],
    mask: Float[Tensor, "batch keys"] | None = None,
) -> Float[Tensor, "batch heads queries value_width"]:
    """Return, for each query, the mean of the values weighted by its probabilities.

    Source:
        Vaswani et al. 2017, arXiv:1706.03762, equation 1.
    """
    return attention_probabilities(query, key, mask) @ value


def attention_backward(
    grad_out: Float[Tensor, "batch heads queries value_width"],
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch heads keys width"],
    value: Float[Tensor, "batch heads keys value_width"],
    mask: Float[Tensor, "batch keys"] | None = None,
) -> AttentionGradients:
    """Return the derivatives by query, key and value (BP2); all are 0 by keys whose mask is 0.

    out = probabilities @ value, probabilities = softmax(scores), scores = scale * query @ key^T.

    Source:
        Dao et al. 2022, arXiv:2205.14135, appendix B.2 (the standard backward pass).
    """
    probabilities = attention_probabilities(query, key, mask)
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
