"""Max and average pooling, up-sampling, means over positions, tokens or lungs, both ways."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from models.backprop.convolution import Pair, conv2d_backward
from models.lungs.cells import position_weights


class MaxPool(NamedTuple):
    """Output of max-pooling, with the positions of the maxima.

    Attributes:
        out: Largest value of each window, [batch, channels, rows, columns].
        positions: Its position in the channel, row * columns + column; the first one of a tie.
    """

    out: Tensor
    positions: Tensor


def max_pool_forward(
    x: Float[Tensor, "batch channels in_rows in_columns"],
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> MaxPool:
    """Return the largest value of each window, and its position.

    Padding is never the maximum, even where the whole window is negative.

    Args:
        x: Input.
        kernel: Rows and columns of a window.
        stride: Distance between windows.
        padding: Rows and columns by which windows may extend over the edge.
        dilation: Distance between the pixels of a window.
        ceil_mode: Include windows that begin inside and end outside.
    """
    out, positions = functional.max_pool2d(
        x, kernel, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True
    )
    return MaxPool(out, positions)


def max_pool_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    positions: Int[Tensor, "batch channels rows columns"],
    *,
    grid: Pair,
) -> Float[Tensor, "batch channels in_rows in_columns"]:
    """Return the derivative by `x` (BP2): each window's error goes to its maximum.

    Of equal maxima the first gets it, as in autograd; a pixel that is the maximum of several
    windows gets the sum. (`x == out` would give the whole error to each of several maxima.)

    Args:
        grad_out: Derivative by the output.
        positions: As `max_pool_forward` returned them.
        grid: Rows and columns of `x`.
    """
    grad_x = grad_out.new_zeros(*grad_out.shape[:2], grid[0] * grid[1])
    grad_x = grad_x.scatter_add(2, positions.flatten(2), grad_out.flatten(2))
    return grad_x.reshape(*grad_out.shape[:2], *grid)


def average_pool_forward(
    x: Float[Tensor, "batch channels in_rows in_columns"],
    *,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the mean of each window; padding counts as zeros."""
    return functional.avg_pool2d(x, kernel, stride, padding)


def average_pool_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    *,
    grid: Pair,
    kernel: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
) -> Float[Tensor, "batch channels in_rows in_columns"]:
    """Return the derivative by `x` (BP2): each window's error, shared evenly by its pixels.

    Average pooling is a convolution of each channel with a filter of equal weights, so this is the
    backward pass of that convolution.

    Args:
        grad_out: Derivative by the output.
        grid: Rows and columns of `x`.
        kernel: As in the forward pass; so are the others.
        stride: Distance between windows.
        padding: Zeros on each side.
    """
    channels = grad_out.shape[1]
    share = grad_out.new_full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]))
    return conv2d_backward(
        grad_out, share, grid=grid, stride=stride, padding=padding, groups=channels
    )


def nearest_upsample_forward(
    x: Float[Tensor, "batch channels in_rows in_columns"], *, factor: int
) -> Float[Tensor, "batch channels rows columns"]:
    """Return each pixel as a square of `factor` x `factor` equal pixels: up-sampling by nearest."""
    return functional.interpolate(x, scale_factor=float(factor), mode="nearest")


def nearest_upsample_backward(
    grad_out: Float[Tensor, "batch channels rows columns"], *, factor: int
) -> Float[Tensor, "batch channels in_rows in_columns"]:
    """Return the derivative by `x` (BP2): each pixel gets the sum of its square's errors.

    Args:
        grad_out: Derivative by the output.
        factor: As in the forward pass.
    """
    batch, channels, rows, columns = grad_out.shape
    sides = (rows // factor, factor, columns // factor, factor)
    return grad_out.reshape(batch, channels, *sides).sum(dim=(3, 5))


def global_average_pool_forward(
    x: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels"]:
    """Return the mean of each channel over its positions.

    Source:
        Lin et al. 2013, arXiv:1312.4400, section 3.2.
    """
    return x.mean(dim=(2, 3))


def global_average_pool_backward(
    grad_out: Float[Tensor, "batch channels"], *, grid: Pair
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2): every position gets the same share.

    Args:
        grad_out: Derivative by the output.
        grid: Rows and columns of `x`.
    """
    share = grad_out / (grid[0] * grid[1])
    return share[:, :, None, None].expand(-1, -1, *grid)


def masked_mean_terms_forward(
    x: Float[Tensor, "batch channels rows columns"], mask: Float[Tensor, "batch 1 rows columns"]
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the terms of each channel's mean inside a mask, x * m * Z / sum(m).

    The plain mean over all Z positions of these terms is sum(x * m) / sum(m).

    Args:
        x: Input.
        mask: m, at least 0. An empty one gives zeros.
    """
    return x * position_weights(mask)


def masked_mean_terms_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    mask: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2): each position's error times its weight in the mean.

    The mask is constant: it is found before the network, and is no function of its weights.

    Args:
        grad_out: Derivative by the output.
        mask: As in the forward pass.
    """
    return grad_out * position_weights(mask)


def masked_token_terms_forward(
    tokens: Float[Tensor, "batch tokens width"], mask: Float[Tensor, "batch 1 rows columns"]
) -> Float[Tensor, "batch tokens width"]:
    """Return the terms of the patch tokens' mean inside a mask: `masked_mean_terms_forward`.

    Args:
        tokens: The class token, which is handed on as it is, then the patches row by row.
        mask: m on the grid of the patches, at least 0. An empty one gives zeros.
    """
    return tokens * beside_class_token(position_weights(mask))[:, :, None]


def masked_token_terms_backward(
    grad_out: Float[Tensor, "batch tokens width"], mask: Float[Tensor, "batch 1 rows columns"]
) -> Float[Tensor, "batch tokens width"]:
    """Return the derivative by the tokens (BP2): each one's error times its weight in the mean.

    Args:
        grad_out: Derivative by the output.
        mask: As in the forward pass.
    """
    return grad_out * beside_class_token(position_weights(mask))[:, :, None]


def beside_class_token(
    cells: Float[Tensor, "batch 1 rows columns"],
) -> Float[Tensor, "batch tokens"]:
    """Return the cells of the patches as one figure per token; the class token's, first, is 1."""
    return functional.pad(cells.flatten(1), (1, 0), value=1.0)


def patch_average_forward(
    tokens: Float[Tensor, "batch tokens width"],
) -> Float[Tensor, "batch width"]:
    """Return the mean of the patch tokens; the class token, which comes first, is left out."""
    return tokens[:, 1:].mean(dim=1)


def patch_average_backward(
    grad_out: Float[Tensor, "batch width"], *, tokens: int
) -> Float[Tensor, "batch {tokens} width"]:
    """Return the derivative by the tokens (BP2): equal shares, and nothing for the class token.

    Args:
        grad_out: Derivative by the output.
        tokens: Number of tokens, including the class token.
    """
    grad_tokens = (grad_out / (tokens - 1))[:, None].repeat(1, tokens, 1)
    grad_tokens[:, 0] = 0
    return grad_tokens
