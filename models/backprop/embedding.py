"""Token embedding of a transformer, forward and backward: patches, class token, positions.

Source:
    Dosovitskiy et al. 2021, arXiv:2010.11929, equation 1.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.backprop.convolution import Pair


class TokenGradients(NamedTuple):
    """Derivatives by the patches' tokens and by the class token."""

    grad_patches: Tensor
    grad_cls_token: Tensor


def cut_into_patches(
    x: Float[Tensor, "batch channels in_rows in_columns"], *, patch: Pair
) -> Float[Tensor, "batch patches pixels"]:
    """Return the patches row by row, each as one vector (channel, row, column).

    A linear layer on these vectors is the patch embedding, which is usually written as a
    convolution whose stride equals its kernel.
    """
    rows, columns = patch
    cut = torch.unflatten(torch.unflatten(x, 2, (-1, rows)), 4, (-1, columns))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def join_patches(
    grad_patches: Float[Tensor, "batch patches pixels"], *, patch: Pair, grid: Pair
) -> Float[Tensor, "batch channels in_rows in_columns"]:
    """Return the derivative by `x` (BP2): the inverse of `cut_into_patches`.

    Args:
        grad_patches: Derivative by what `cut_into_patches` returned.
        patch: Rows and columns of a patch.
        grid: Number of patches down and across.
    """
    cut = torch.unflatten(torch.unflatten(grad_patches, 2, (-1, *patch)), 1, grid)
    return cut.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def class_token_forward(
    patches: Float[Tensor, "batch patches width"], cls_token: Float[Tensor, "1 1 width"]
) -> Float[Tensor, "batch tokens width"]:
    """Return the tokens with the class token first; it is the same for every film."""
    return torch.cat([cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)


def class_token_backward(grad_out: Float[Tensor, "batch tokens width"]) -> TokenGradients:
    """Return the derivatives by the patches (BP2) and by the class token, summed over films."""
    return TokenGradients(grad_out[:, 1:], grad_out[:, :1].sum(dim=0, keepdim=True))


def position_forward(
    tokens: Float[Tensor, "batch tokens width"], pos_embed: Float[Tensor, "1 tokens width"]
) -> Float[Tensor, "batch tokens width"]:
    """Return the tokens with their position embeddings added."""
    return tokens + pos_embed


def position_gradient(
    grad_out: Float[Tensor, "batch tokens width"],
) -> Float[Tensor, "1 tokens width"]:
    """Return the derivative by the position embeddings (BP4): they are a bias."""
    return grad_out.sum(dim=0, keepdim=True)
