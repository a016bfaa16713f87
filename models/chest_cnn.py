"""chest_cnn: a small residual network for grey films, which sees the whole film or only patches.

`wide` (1.94 M parameters, 0.6 GMAC at 224x224): a position of the map may depend on almost all of
the film. `local` (0.54 M parameters, 0.5 GMAC): it depends on the 59x59 pixels around it, about a
third of the lungs' width.
"""

import math
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from models.backprop.initialisation import he_normal_
from models.card import Grid, PerChannel
from models.layers import GlobalAveragePool, Normalisation
from models.lungs.cells import InsideLungs, LungCells
from models.network import Chain, Masked, Network, Seam, through

STEM_STRIDE = 4


class Stem(nn.Sequential):
    """7x7 convolution and max-pooling: one grey channel to `channels`, a quarter of the size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)


class Shortcut(nn.Sequential):
    """1x1 convolution on the residual path, where size or channels change."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)


class ResidualBlock(nn.Module):
    """Residual block: relu(shortcut(x) + F(x)), where F is two convolutions, 3x3 unless said.

    Source:
        He et al. 2015, arXiv:1512.03385, equations 1 and 2, figure 2.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, kernels: tuple[int, int] = (3, 3)
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, out_channels, kernels[0], stride)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = _convolution(out_channels, out_channels, kernels[1], 1)
        self.norm2 = nn.BatchNorm2d(out_channels)
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same_shape else Shortcut(in_channels, out_channels, stride)
        self.relu2 = nn.ReLU()

    def forward(
        self, x: Float[Tensor, "batch in_channels in_rows in_columns"]
    ) -> Float[Tensor, "batch out_channels rows columns"]:
        """Return relu(residual + shortcut)."""
        residual = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(residual + self.shortcut(x))


def _convolution(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False
    )


class ChestCNN(Network):
    """Residual network with a pooled head; the last stage keeps a 14x14 grid for the maps.

    The last stage does not halve the grid (stride 16 in all instead of 32): a map cell then covers
    a sixteenth of the film's side, fine enough to point at a lobe.

    Attributes:
        normalise: Normalisation of the pixels, a layer so that the exported graph contains it.
        stem: Its output has a quarter of the input's rows and columns.
        stages: Four stages of residual blocks.
        inside: Masking by the lungs, of a network that looks only inside them.
        pool: Average over positions.
        head: Linear layer on that average.
    """

    widths = (32, 64, 128, 192)
    strides = (1, 2, 2, 1)
    blocks_per_stage = 2
    first_kernels = (3, 3)
    other_kernels = (3, 3)

    def __init__(
        self, *, classes: int, mean: PerChannel, std: PerChannel, masked: Grid | None = None
    ) -> None:
        """Draw the network's weights.

        Args:
            classes: Number of logits.
            mean: Of the pixels.
            std: Of the pixels.
            masked: Rows and columns of the film that it sees, if only positions inside the lungs
                are to count; None takes all positions.
        """
        super().__init__()
        self.normalise = Normalisation(mean, std)
        self.stem = Stem(self.widths[0])
        channels = (self.widths[0], *self.widths)
        self.stages = nn.Sequential(
            *(
                self._stage(channels[stage], channels[stage + 1], stride)
                for stage, stride in enumerate(self.strides)
            )
        )
        if masked:
            self.inside = InsideLungs(LungCells(masked, self.grid(masked)))
        self.pool = GlobalAveragePool()
        self.head = nn.Linear(self.widths[-1], classes)
        self.apply(_he_initialised)

    def _stage(self, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        first = ResidualBlock(in_channels, out_channels, stride, self.first_kernels)
        others = (
            ResidualBlock(out_channels, out_channels, 1, self.other_kernels)
            for _ in range(self.blocks_per_stage - 1)
        )
        return nn.Sequential(first, *others)

    @classmethod
    def grid(cls, image_size: Grid) -> Grid:
        """Return rows and columns of the target layer's output."""
        stride = STEM_STRIDE * math.prod(cls.strides)
        return image_size[0] // stride, image_size[1] // stride

    @classmethod
    def last_layer(cls, *, inside_lungs: bool = False) -> str:
        """Return the target layer's name, which is known before the network is built."""
        return "inside" if inside_lungs else f"stages.{len(cls.strides) - 1}"

    @property
    def target_layer(self) -> str:
        """Name of the last stage, or of the masking after it."""
        return self.last_layer(inside_lungs=hasattr(self, "inside"))

    def halfway_from(self, normalised: Tensor | Masked) -> Tensor | Masked:
        """Return the output of the last stage but one."""
        return Chain(self.stem, *self.stages[:-1])(normalised)

    def seam_after(self, halfway: Tensor | Masked) -> Seam:
        """Return the last stage's output, masked by the lungs if only they are looked at."""
        activations = through(self.stages[-1], halfway)
        if isinstance(activations, Masked):
            activations = self.inside(activations)
        return Seam(activations)

    def classify(
        self,
        activations: Float[Tensor, "batch channels grid_rows grid_columns"],
        bypass: Tensor | Masked | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for activations of the target layer."""
        return cast(Tensor, self.head(self.pool(activations)))


class LocalChestCNN(ChestCNN):
    """chest_cnn whose evidence is local: a cell of its 28x28 grid depends on 59x59 pixels.

    One 3x3 convolution per stage; all others are 1x1. The logit is then the bias plus a sum of
    terms, each a function of one patch of the film.

    Source:
        Brendel and Bethge 2019, arXiv:1904.00760, section 2.
    """

    strides = (1, 2, 1, 1)
    first_kernels = (3, 1)
    other_kernels = (1, 1)


def _he_initialised(module: nn.Module) -> None:
    """Draw convolution weights with variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
    if isinstance(module, nn.Conv2d):
        he_normal_(module.weight, mode="fan_out")
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
