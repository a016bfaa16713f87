"""Local contrast normalisation, forward and backward."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from models.layers import CONTRAST_FLOOR, CONTRAST_MEAN, CONTRAST_STD


class ContrastPixels(NamedTuple):
    """Output of local contrast normalisation, with what its backward pass needs.

    Attributes:
        out: Pixels around 0.5, [batch, channels, rows, columns].
        deviation: Each pixel minus the mean of the window around it.
        std: Standard deviation in that window, with its floor.
    """

    out: Tensor
    deviation: Tensor
    std: Tensor


def local_contrast_forward(
    x: Float[Tensor, "batch channels rows columns"],
    row_window: Float[Tensor, "rows rows"],
    column_window: Float[Tensor, "columns columns"],
) -> ContrastPixels:
    """Return each pixel relative to its window, as `models.layers.LocalContrast` defines it.

    Source:
        Jarrett et al. 2009, ICCV, section 2.1, local contrast normalisation.
    """
    deviation = x - row_window @ x @ column_window.T
    std = (row_window @ deviation.square() @ column_window.T + CONTRAST_FLOOR**2).sqrt()
    return ContrastPixels(CONTRAST_MEAN + CONTRAST_STD * deviation / std, deviation, std)


def local_contrast_backward(
    grad_out: Float[Tensor, "batch channels rows columns"],
    row_window: Float[Tensor, "rows rows"],
    column_window: Float[Tensor, "columns columns"],
    *,
    deviation: Float[Tensor, "batch channels rows columns"],
    std: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Return the derivative by `x` (BP2), also through mean and deviation of all windows.

    A window's mean is linear in the film, so its backward pass is the transposed matrix.

    Args:
        grad_out: Derivative by the output.
        row_window: As in the forward pass.
        column_window: Likewise.
        deviation: As `local_contrast_forward` returned it.
        std: Likewise.
    """
    grad_variance = -CONTRAST_STD * grad_out * deviation / (2 * std**3)
    grad_deviation = CONTRAST_STD * grad_out / std
    grad_deviation = grad_deviation + 2 * deviation * (row_window.T @ grad_variance @ column_window)
    return grad_deviation - row_window.T @ grad_deviation @ column_window
