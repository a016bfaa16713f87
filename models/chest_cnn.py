"""chest_cnn: a small residual network for 224x224 grey films (1.94 M parameters, 0.6 GMAC)."""

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from models.backprop.initialisation import he_normal_
from models.card import PerChannel
from models.layers import GlobalAveragePool, Normalisation
from models.network import Network, Seam


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
    """Residual block: relu(shortcut(x) + F(x)), where F is two 3x3 convolutions.

    Source:
        He et al. 2015, arXiv:1512.03385, equations 1 and 2, figure 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
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


class ChestCNN(Network):
    """Residual network with a pooled head; the last stage keeps a 14x14 grid for the maps.

    The last stage does not halve the grid (stride 16 in all instead of 32): a map cell then covers
    a sixteenth of the film's side, fine enough to point at a lobe.

    Attributes:
        normalise: Normalisation of the pixels, a layer so that the exported graph contains it.
        stem: Its output has a quarter of the input's rows and columns.
        stages: Four stages of residual blocks; the last one's output is the target layer.
        pool: Average over positions.
        head: Linear layer on that average.
    """

    widths = (32, 64, 128, 192)
    strides = (1, 2, 2, 1)
    blocks_per_stage = 2

    def __init__(self, *, classes: int, mean: PerChannel, std: PerChannel) -> None:
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
        self.pool = GlobalAveragePool()
        self.head = nn.Linear(self.widths[-1], classes)
        self.apply(_he_initialised)

    def _stage(self, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        first = ResidualBlock(in_channels, out_channels, stride)
        others = (
            ResidualBlock(out_channels, out_channels, 1) for _ in range(self.blocks_per_stage - 1)
        )
        return nn.Sequential(first, *others)

    @classmethod
    def last_stage(cls) -> str:
        """Return the last stage's name, which is known before the network is built."""
        return f"stages.{len(cls.strides) - 1}"

    @property
    def target_layer(self) -> str:
        """Name of the last stage."""
        return self.last_stage()

    def halfway(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch channels grid_rows grid_columns"]:
        """Return the output of the last stage but one."""
        return cast(Tensor, self.stages[:-1](self.stem(self.normalise(pixels))))

    def seam_after(self, halfway: Float[Tensor, "batch channels grid_rows grid_columns"]) -> Seam:
        """Return the last stage's output; no residual stream skips it."""
        return Seam(self.stages[-1](halfway))

    def classify(
        self,
        activations: Float[Tensor, "batch channels grid_rows grid_columns"],
        bypass: Tensor | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for activations of the target layer."""
        return cast(Tensor, self.head(self.pool(activations)))


def _he_initialised(module: nn.Module) -> None:
    """Draw convolution weights with variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
    if isinstance(module, nn.Conv2d):
        he_normal_(module.weight, mode="fan_out")
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
