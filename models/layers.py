"""Layers that PyTorch lacks: normalisations of pixels, local contrast, averages over positions."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import Colours, Grid, PerChannel

CONTRAST_MEAN, CONTRAST_STD = 0.5, 0.2
"""Mean and standard deviation of local contrast, about those of pixels in [0, 1]."""
CONTRAST_FLOOR = 4 / 255
"""Smallest standard deviation that a neighbourhood is divided by: flatter ones stay flat."""

FILM_NORM_EPS = 1e-4
"""Added to a film's variance: a film flatter than a hundredth of white stays flat."""


class Normalisation(nn.Module):
    """Subtract the mean from the pixels, and divide by the standard deviation.

    Mean and standard deviation are those of the training films' pixels. With three figures each,
    they are those of the colour images on which the weights were pretrained.

    Attributes:
        mean: Scalar, or [3, 1, 1].
        std: Of the same shape.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: PerChannel, std: PerChannel) -> None:
        super().__init__()
        self.register_buffer("mean", _broadcastable(mean))
        self.register_buffer("std", _broadcastable(std))

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch channels rows columns"]:
        """Return normalised pixels: one channel, or three where mean and std are per colour."""
        return (pixels - self.mean) / self.std


def per_colour(figures: PerChannel) -> Colours:
    """Return one figure per colour, the same for each where only one is given."""
    return figures if isinstance(figures, tuple) else (figures, figures, figures)


def grey(figures: PerChannel) -> float:
    """Return one figure for grey pixels: the mean of the colours'."""
    return sum(figures) / len(figures) if isinstance(figures, tuple) else figures


def _broadcastable(figures: PerChannel) -> Tensor:
    values = torch.tensor(figures)
    return values[:, None, None] if values.dim() else values


class FilmNormalisation(nn.Module):
    """Subtract each film's own mean from its pixels, and divide by its own standard deviation.

    Exposure and contrast of the whole film then do not show.
    """

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        """Return pixels with mean 0 and variance 1 on each film."""
        deviation = pixels - pixels.mean(dim=(1, 2, 3), keepdim=True)
        variance = deviation.square().mean(dim=(1, 2, 3), keepdim=True)
        return deviation / (variance + FILM_NORM_EPS).sqrt()


class LocalContrast(nn.Module):
    """Local contrast normalisation: each pixel relative to its neighbourhood.

        out = 0.5 + 0.2 * (pixel - local mean) / local standard deviation

    It removes what scanner, exposure and post-processing change slowly over a film, so that a
    network can tell less well where the film was made.

    The neighbourhood is a Gaussian window. The window is separable, so a local mean is one matrix
    product from the left and one from the right. At the film's edge, the weights that lie on the
    film are scaled up to sum to 1.

    Attributes:
        row_window: Weights of the rows (second index) in the mean around each row (first index).
        column_window: The same for columns.

    Source:
        Jarrett et al. 2009, ICCV, section 2.1, local contrast normalisation.
    """

    row_window: Tensor
    column_window: Tensor

    def __init__(self, sigma: float, image_size: Grid) -> None:
        """Compute the windows.

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
        return CONTRAST_MEAN + CONTRAST_STD * deviation / (variance + CONTRAST_FLOOR**2).sqrt()

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


class GlobalAveragePool(nn.Module):
    """Average each channel over rows and columns."""

    def forward(
        self, x: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch channels"]:
        """Return one vector per film."""
        return x.mean(dim=(2, 3))


class PatchAverage(nn.Module):
    """Average a transformer's patch tokens; the class token, which comes first, is left out."""

    def forward(self, tokens: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        """Return one vector per film."""
        return tokens[:, 1:].mean(dim=1)
