"""lung_field: a small U-Net that outlines the lungs (0.23 M parameters, 0.14 GMAC at 128x128)."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.backprop.initialisation import he_normal_
from models.layers import FilmNormalisation
from models.network import LayeredNetwork


class ConvolutionBlock(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()


class FirstConvolution(nn.Sequential):
    """3x3 convolution of the grey channel to `channels`, at half the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()


class Level(nn.Module):
    """Level of a U-Net: its own features, beside those of the coarser levels below it.

    Attributes:
        encode: Convolutions on the way down; their output skips what lies below.
        below: Max-pooling, the next coarser level, up-sampling by nearest neighbour.
        decode: Convolutions of both, on the way up.

    Source:
        Ronneberger et al. 2015, arXiv:1505.04597, figure 1 (there with valid convolutions, and
        transposed ones on the way up).
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        """Build this level and those below.

        Args:
            in_channels: Of the input.
            widths: Channels of this level and, from finer to coarser, of those below: two at least.
        """
        super().__init__()
        own, next_width, *_ = widths
        is_last = len(widths) == 2
        deeper = ConvolutionBlock(own, next_width) if is_last else Level(own, widths[1:])
        self.encode = ConvolutionBlock(in_channels, own)
        self.below = nn.Sequential(nn.MaxPool2d(2), deeper, nn.Upsample(scale_factor=2))
        self.decode = ConvolutionBlock(own + next_width, own)

    def forward(
        self, x: Float[Tensor, "batch in_channels rows columns"]
    ) -> Float[Tensor, "batch out_channels rows columns"]:
        """Return the features of this level, with what the coarser ones know."""
        skip = self.encode(x)
        return cast(Tensor, self.decode(torch.cat([skip, self.below(skip)], dim=1)))


class LungField(LayeredNetwork):
    """U-Net that says of each cell of a film whether it is lung.

    Attributes:
        normalise: Each film by its own mean and standard deviation.
        first: Halves the size, so that the finest level is cheap.
        levels: The U-Net.
        head: 1x1 convolution to one logit a cell.
    """

    head: nn.Conv2d
    widths = (16, 32, 48, 64)
    cell = 2
    """Rows and columns of pixels to a cell of the output."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = FilmNormalisation()
        self.first = FirstConvolution(self.widths[0])
        self.levels = Level(self.widths[0], self.widths)
        self.head = nn.Conv2d(self.widths[0], 1, 1)
        self.apply(_he_initialised)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    @classmethod
    def side_multiple(cls) -> int:
        """Return what rows and columns of the input must be multiples of, in pixels."""
        return int(cls.cell * 2 ** (len(cls.widths) - 1))

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch 1 cell_rows cell_columns"]:
        """Return the logits of lung, one a cell.

        Args:
            pixels: In [0, 1]: a whole film, its borders trimmed, stretched to the input's size.

        Raises:
            ValueError: Rows or columns are no multiple of `side_multiple`.
        """
        multiple = self.side_multiple()
        if any(side % multiple for side in pixels.shape[2:]):
            raise ValueError(
                f"rows and columns must be multiples of {multiple}, not {tuple(pixels.shape[2:])}"
            )
        return cast(Tensor, self.head(self.levels(self.first(self.normalise(pixels)))))


def _he_initialised(module: nn.Module) -> None:
    """Draw convolution weights with variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
    if isinstance(module, nn.Conv2d):
        he_normal_(module.weight, mode="fan_out")
