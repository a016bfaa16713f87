"""2D convolution, forward and backward, with stride, zero padding, dilation and groups."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, unflatten
from torch.nn import functional

Pair = tuple[int, int]
"""One figure for rows and one for columns."""


def conv2d_forward(
    x: Float[Tensor, "batch in_channels in_rows in_columns"],
    weight: Float[Tensor, "out_channels group_channels kernel_rows kernel_columns"],
    bias: Float[Tensor, " out_channels"] | None,
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float[Tensor, "batch out_channels rows columns"]:
    """Return the cross-correlation of `x` with the filters, plus the bias.

    out[n, o, r, s] = bias[o]
        + sum over i, u, v of weight[o, i, u, v] * x[n, i, r*stride + u*dilation - padding, ...]

    Source:
        Dumoulin and Visin 2016, arXiv:1603.07285, section 2.
    """
    return functional.conv2d(x, weight, bias, stride, padding, dilation, groups)


def conv2d_backward(
    grad_out: Float[Tensor, "batch out_channels rows columns"],
    weight: Float[Tensor, "out_channels group_channels kernel_rows kernel_columns"],
    *,
    grid: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float[Tensor, "batch in_channels in_rows in_columns"]:
    """Return the derivative by `x` (BP2): the transposed convolution of the error.

    Each output's error goes back to the pixels of its window, times the filter. The transposed
    convolution is an ordinary operator, which ONNX has as well.

    Args:
        grad_out: Derivative by the output.
        weight: The filters.
        grid: Rows and columns of `x`, because several give the same output where stride > 1.
        stride: As in the forward pass; so are the others.
        padding: Zeros on each side.
        dilation: Distance between a filter's taps.
        groups: Number of blocks that channels are split into.

    Source:
        Dumoulin and Visin 2016, arXiv:1603.07285, section 4.
    """
    left_over = _left_over(
        grad_out, weight, grid, stride=stride, padding=padding, dilation=dilation
    )
    return functional.conv_transpose2d(
        grad_out, weight, None, stride, padding, left_over, groups, dilation
    )


def conv2d_weight_gradient(
    grad_out: Float[Tensor, "batch out_channels rows columns"],
    x: Float[Tensor, "batch in_channels in_rows in_columns"],
    *,
    kernel: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Float[Tensor, "out_channels group_channels kernel_rows kernel_columns"]:
    """Return the derivative by the filters (BP3): the input correlated with the output error.

    grad_weight[o, i, u, v] = sum over n, r, s of
        grad_out[n, o, r, s] * x[n, i, r*stride + u*dilation - padding, ...]

    This is an ordinary convolution, with the errors as filters. Batch and channels are exchanged,
    because the sum runs over the batch. Stride and dilation are exchanged too, because `x` is read
    in steps of the stride from error to error, and in steps of the dilation from tap to tap.

    Args:
        grad_out: Derivative by the output.
        x: The layer's input.
        kernel: Rows and columns of the filters.
        stride: As in the forward pass; so are the others.
        padding: Zeros on each side.
        dilation: Distance between a filter's taps.
        groups: Number of blocks that channels are split into.

    Source:
        LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541 (a shared weight sums over its uses).
    """
    errors = grad_out.transpose(0, 1)
    # [group channel, group and film, ...]: each group's errors meet that group's channels only.
    pixels = unflatten(x, 1, (groups, -1)).permute(2, 1, 0, 3, 4).flatten(1, 2)
    taps = functional.conv2d(
        pixels, errors, None, stride=dilation, padding=padding, dilation=stride, groups=groups
    )
    # Rows and columns that no filter reached in the forward pass give further taps: cut them off.
    return taps[:, :, : kernel[0], : kernel[1]].transpose(0, 1)


def conv2d_bias_gradient(
    grad_out: Float[Tensor, "batch out_channels rows columns"],
) -> Float[Tensor, " out_channels"]:
    """Return the derivative by the bias (BP4): the error summed over batch and positions."""
    return grad_out.sum(dim=(0, 2, 3))


def size_pair(size: int | Sequence[int]) -> Pair:
    """Return a size as (rows, columns); one figure means both."""
    rows, columns = (size, size) if isinstance(size, int) else size
    return rows, columns


def _left_over(
    grad_out: Tensor,
    weight: Tensor,
    grid: Pair,
    *,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Pair:
    """Return the number of last rows and columns of the input that no filter reached."""
    rows, columns = (
        grid[axis]
        + 2 * padding[axis]
        - dilation[axis] * (weight.shape[2 + axis] - 1)
        - 1
        - stride[axis] * (grad_out.shape[2 + axis] - 1)
        for axis in (0, 1)
    )
    return rows, columns
