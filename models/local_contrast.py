"""Local contrast normalisation: every pixel against its own neighbourhood, inside the network.

It takes away what scanners, exposures and post-processing add slowly over a film, so that a
network can tell less well from it where the film was made.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import Grid

MEAN, STD = 0.5, 0.2
"""Of what comes out, about as of pixels in [0, 1]."""

FLOOR = 4 / 255
"""Least standard deviation of a neighbourhood: what is flatter than that stays flat."""


class LocalContrast(nn.Module):
    """Subtract the mean of the neighbourhood, divide by its standard deviation.

    The neighbourhood is a Gaussian window. A window is separable, so that its mean is a product
    with one matrix from the left and one from the right; the part of it that lies on the film
    counts as all of it.

    Attributes:
        row_window: Weights of the rows (second index) in the mean around each row (first index).
        column_window: The same for columns.

    Source:
        Jarrett et al. 2009, ICCV, section 2.1, local contrast normalisation.
    """

    row_window: Tensor
    column_window: Tensor

    def __init__(self, sigma: float, image_size: Grid) -> None:
        """Fix the window.

        Args:
            sigma: Standard deviation of the window, as a share of the film's side.
            image_size: Rows and columns.
        """
        super().__init__()
        for name, side in zip(("row_window", "column_window"), image_size, strict=True):
            self.register_buffer(name, gaussian_windows(side, sigma * side), persistent=False)

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        """Return pixels around 0.5, with a standard deviation of about 0.2 everywhere."""
        deviation = pixels - self._window_mean(pixels)
        variance = self._window_mean(deviation.square())
        return MEAN + STD * deviation / (variance + FLOOR**2).sqrt()

    def _window_mean(self, x: Float[Tensor, "batch 1 rows columns"]) -> Tensor:
        return self.row_window @ x @ self.column_window.T


def gaussian_windows(side: int, sigma: float) -> Float[Tensor, "{side} {side}"]:
    """Return one Gaussian window per row, centred on that row's own position; each sums to 1.

    Args:
        side: Number of positions.
        sigma: Standard deviation, in positions.
    """
    positions = torch.arange(side, dtype=torch.float64)
    distance = positions[:, None] - positions
    return torch.softmax(-0.5 * (distance / sigma).square(), dim=1).float()
