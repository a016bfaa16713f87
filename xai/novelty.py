"""How unlike the training films' a film's acquisition is: statistics of scanner, export and format.

They are taken of the whole film as it comes in, before anything is blanked or standardised: here
the scanner is what is asked for. Standard operators, any size from 24 pixels a side, mirrored films
alike.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

SCALES = 4
"""Film, half, quarter and eighth of its size, on each of which sharpness is measured."""
STRIP = 32
"""A border is this part of a side."""
FAINTEST = 1e-4
"""Added before a logarithm: a fortieth of one of 256 grey levels."""
STEEPNESS = 64.0
"""A pixel is black, or white, by how far it is within 1 / 64 (four grey levels) of the end."""

Film = Float[Tensor, "batch 1 rows columns"]
Value = Float[Tensor, " batch"]
GREY = ("mean", "spread", "skew", "tails", "black", "white")
BORDERS = ("top", "bottom", "sides", "difference of the sides")
SHARPNESS = tuple(
    f"{figure} of {direction} differences at 1/{2**scale}"
    for scale in range(SCALES)
    for direction in ("vertical", "horizontal")
    for figure in ("root mean square", "mean")
)
LUNGS = ("mean in the lungs", "contrast of the lungs", "spread in the lungs")
STATISTICS = (*GREY, *BORDERS, *SHARPNESS, *LUNGS)
"""What is measured, in its order; the last three only where the lungs are known."""


class Novelty(nn.Module):
    """Distance of a film's acquisition statistics from those of the nearest training film.

        novelty = min over training films t of | W (s - s_t) |

    s are the statistics of `acquisition`. W^T W is the inverse of their covariance within a source
    (Ledoit-Wolf shrinkage), so that what varies within one scanner counts little. A film that is
    itself among the stored ones has novelty 0.

    Attributes:
        centre: Mean statistics of the training films.
        whitening: W.
        references: W (s_t - centre) of the training films.
    """

    centre: Tensor
    whitening: Tensor
    references: Tensor

    def __init__(
        self,
        centre: Float[Tensor, " statistics"],
        whitening: Float[Tensor, "statistics statistics"],
        films: Float[Tensor, "films statistics"],
    ) -> None:
        """Store the films' statistics, whitened."""
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("whitening", whitening)
        self.register_buffer("references", (films - centre) @ whitening.T)

    def forward(
        self, pixels: Film, lungs: Float[Tensor, "batch 1 mask_rows mask_columns"] | None = None
    ) -> Value:
        """Return one novelty per film, at least 0; see `acquisition` for what is asked."""
        return self.of(acquisition(pixels, lungs))

    def of(self, statistics: Float[Tensor, "batch statistics"]) -> Value:
        """Return the novelty of films whose statistics are known."""
        whitened = (statistics - self.centre) @ self.whitening.T
        squares = whitened.square().sum(dim=1, keepdim=True)
        products = whitened @ self.references.T
        nearest = (self.references.square().sum(dim=1) - 2 * products).amin(dim=1, keepdim=True)
        return (squares + nearest).clamp(min=0).sqrt()[:, 0]


def acquisition(
    pixels: Film, lungs: Float[Tensor, "batch 1 mask_rows mask_columns"] | None = None
) -> Float[Tensor, "batch statistics"]:
    """Return the statistics that tell how films were acquired, in the order of `STATISTICS`.

    Grey levels, borders, sharpness by scale and direction and, where the lungs are known, their
    contrast. Resampling, compression, smoothing, noise, tone curves and crops each change some.

    Args:
        pixels: The network's input, in [0, 1].
        lungs: How surely each cell of the film is lung; None leaves the lungs' statistics out.
    """
    values = [*_grey(pixels), *_borders(pixels), *_sharpness(pixels)]
    if lungs is not None:
        values += _lungs(pixels, lungs)
    return torch.stack(values, dim=1)


def _grey(pixels: Film) -> Iterator[Value]:
    flat = pixels.flatten(1)
    mean = flat.mean(dim=1)
    offset = flat - mean[:, None]
    square = offset.square()
    # Not `+ FAINTEST**2`: so small a constant is taken for 0 when the graph is exported.
    variance = square.mean(dim=1).clamp(min=FAINTEST**2)
    yield mean
    yield variance.log() / 2
    yield (square * offset).mean(dim=1) / variance**1.5
    yield (square.square().mean(dim=1) / variance.square() + 0.1).log()
    yield (1 - STEEPNESS * flat).clamp(min=0).mean(dim=1)
    yield (1 - STEEPNESS * (1 - flat)).clamp(min=0).mean(dim=1)


def _borders(pixels: Film) -> Iterator[Value]:
    rows, columns = (max(1, side // STRIP) for side in pixels.shape[2:])
    left = pixels[..., :columns].mean(dim=(1, 2, 3))
    right = pixels[..., -columns:].mean(dim=(1, 2, 3))
    yield pixels[..., :rows, :].mean(dim=(1, 2, 3))
    yield pixels[..., -rows:, :].mean(dim=(1, 2, 3))
    yield (left + right) / 2
    yield (left - right).abs()


def _sharpness(pixels: Film) -> Iterator[Value]:
    """Yield the logarithm of second differences' size: what is left of fine detail and noise.

    Their root mean square against their mean tells edges from noise.
    """
    film = pixels
    for scale in range(SCALES):
        if scale:
            film = nn.functional.avg_pool2d(film, 2)
        down = film[..., 1:-1, :] - (film[..., :-2, :] + film[..., 2:, :]) / 2
        across = film[..., 1:-1] - (film[..., :-2] + film[..., 2:]) / 2
        for differences in (down, across):
            yield (differences.square().mean(dim=(1, 2, 3)).sqrt() + FAINTEST).log()
            yield (differences.abs().mean(dim=(1, 2, 3)) + FAINTEST).log()


def _lungs(pixels: Film, lungs: Float[Tensor, "batch 1 mask_rows mask_columns"]) -> Iterator[Value]:
    rows, columns = pixels.shape[2:]
    inside = nn.functional.interpolate(lungs, (rows, columns), mode="bilinear")
    area = inside.sum(dim=(1, 2, 3)) + 1
    mean = (pixels * inside).sum(dim=(1, 2, 3)) / area
    rest = (pixels * (1 - inside)).sum(dim=(1, 2, 3)) / (rows * columns + 2 - area)
    offset = pixels - mean[:, None, None, None]
    variance = (offset.square() * inside).sum(dim=(1, 2, 3)) / area
    yield mean
    yield rest - mean
    yield (variance + FAINTEST).log() / 2
