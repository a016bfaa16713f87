"""vgg16: timm's VGG16 (configuration D) for grey films, with one of two heads.

`pooled` (14.7 M parameters): average over positions and one linear layer, without the last
max-pooling. Grad-CAM, CAM and HiResCAM are then the same map, and its sum over positions plus the
bias is the logit. It may read conv4_3 instead of conv5_3 (7.6 M parameters), half-way through the
network, and average only inside the lungs. `fully_connected` (134 M): the original head with two
hidden layers of 4,096, so that published weights load.

Source:
    Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column D.
"""

from itertools import islice
from typing import cast

from jaxtyping import Float
from timm.models.vgg import VGG, cfgs
from torch import Tensor, nn

from models.backprop.initialisation import he_normal_
from models.card import Grid, Head, PerChannel, ReadLayer
from models.layers import GlobalAveragePool, Normalisation, per_colour
from models.lungs.cells import InsideLungs, LungCells
from models.network import Masked, Network, Seam, through

STAGES: dict[ReadLayer, int] = {"conv4_3": 4, "conv5_3": 5}
"""The stage that ends with each layer."""


class Hidden(nn.Sequential):
    """Max-pooling and the two hidden layers of the `fully_connected` head."""

    def __init__(self, inputs: int, width: int, drop_rate: float) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(inputs, width)
        self.relu1 = nn.ReLU()
        self.drop1 = nn.Dropout(drop_rate)
        self.fc2 = nn.Linear(width, width)
        self.relu2 = nn.ReLU()
        self.drop2 = nn.Dropout(drop_rate)


class VGG16(Network):
    """Thirteen 3x3 convolutions in five stages, and a head.

    Attributes:
        normalise: Normalisation of the pixels; grey becomes three channels, each normalised as
            the colour it stands for. (The convolution after it pads with zeros, which are the mean.
            Its three kernels can therefore be summed into one only if the colours share mean and
            std. The two extra channels are 0.4 % of the cost.)
        trunk: timm's `features` up to the ReLU after the convolution that is read, whose output is
            the target layer.
        inside: Masking by the lungs, of a network that looks only inside them: then the target
            layer.
        channels: Number of channels of the target layer.
        pool: Average over positions, under the `pooled` head.
        hidden: Two hidden layers, under the `fully_connected` head.
        head: Linear layer that gives the logits.
    """

    configuration = cfgs["vgg16"]
    hidden_width = 4096

    def __init__(
        self,
        *,
        classes: int,
        mean: PerChannel,
        std: PerChannel,
        head: Head = "pooled",
        image_size: Grid = (224, 224),
        drop_rate: float = 0.0,
        read_layer: ReadLayer | None = None,
        masked: Grid | None = None,
    ) -> None:
        """Draw the network's weights.

        Args:
            classes: Number of logits.
            mean: Of the pixels, one figure or one per colour.
            std: Likewise.
            head: `pooled` or `fully_connected`.
            image_size: Fixes the inputs of the `fully_connected` head; published weights are for
                224x224.
            drop_rate: Of the hidden layers' dropout.
            read_layer: The last convolution, `conv4_3` or `conv5_3`; None is `conv5_3`.
            masked: Rows and columns of the film that it sees, if only positions inside the lungs
                are to count; None takes all positions.
        """
        super().__init__()
        self.normalise = Normalisation(per_colour(mean), per_colour(std))
        # On `meta`, since timm would draw 120 M weights of a head that is not used.
        widths = self.widths(read_layer)
        self.channels = int(widths[-1])
        self.trunk = VGG(widths, device="meta").features.to_empty(device="cpu")
        if masked:
            self.inside = InsideLungs(LungCells(masked, self.grid(masked, read_layer)))
        if head == "pooled":
            self.pool = GlobalAveragePool()
        else:
            self.hidden = self._hidden(image_size, drop_rate)
        self.head = nn.Linear(self.channels if head == "pooled" else self.hidden_width, classes)
        self.apply(_initialised)

    def _hidden(self, image_size: Grid, drop_rate: float) -> Hidden:
        """Return the hidden layers; ValueError if positions are masked, of which they take all."""
        if hasattr(self, "inside"):
            raise ValueError("masked needs a pooled head, not fully_connected: it takes no mean")
        rows, columns = (side // 32 for side in image_size)
        return Hidden(self.channels * rows * columns, self.hidden_width, drop_rate)

    @classmethod
    def widths(cls, read_layer: ReadLayer | None = None) -> list[str | int]:
        """Return the trunk's part of timm's configuration: channels, and `M` for max-pooling."""
        ends = (n for n, width in enumerate(cls.configuration) if width == "M")
        end = next(islice(ends, STAGES[read_layer or "conv5_3"] - 1, None))
        return list(cls.configuration[:end])

    @classmethod
    def depth(cls, read_layer: ReadLayer | None = None) -> int:
        """Return the number of layers of the trunk; a ReLU follows each convolution."""
        return sum(1 if width == "M" else 2 for width in cls.widths(read_layer))

    @classmethod
    def grid(cls, image_size: Grid, read_layer: ReadLayer | None = None) -> Grid:
        """Return rows and columns of the target layer's output."""
        stride = 2 ** cls.widths(read_layer).count("M")
        return image_size[0] // stride, image_size[1] // stride

    @classmethod
    def last_layer(cls, read_layer: ReadLayer | None = None, *, inside_lungs: bool = False) -> str:
        """Return the target layer's name, which is known before the network is built."""
        return "inside" if inside_lungs else f"trunk.{cls.depth(read_layer) - 1}"

    @property
    def target_layer(self) -> str:
        """Name of the last ReLU (of conv5_3 timm's `features.29`), or of the masking after it."""
        return "inside" if hasattr(self, "inside") else f"trunk.{len(self.trunk) - 1}"

    def halfway_from(self, normalised: Tensor | Masked) -> Tensor | Masked:
        """Return the output of the third stage, timm's `features.15`."""
        return through(self.trunk[: self._third_pooling], normalised)

    def seam_after(self, halfway: Tensor | Masked) -> Seam:
        """Return the last ReLU's output, masked by the lungs if only they are looked at."""
        activations = through(self.trunk[self._third_pooling :], halfway)
        if isinstance(activations, Masked):
            activations = self.inside(activations)
        return Seam(activations)

    def classify(
        self,
        activations: Float[Tensor, "batch channels grid_rows grid_columns"],
        bypass: Tensor | Masked | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for activations of the target layer."""
        vectors = self.pool(activations) if self.is_pooled else self.hidden(activations)
        return cast(Tensor, self.head(vectors))

    @property
    def _third_pooling(self) -> int:
        poolings = (n for n, layer in enumerate(self.trunk) if isinstance(layer, nn.MaxPool2d))
        return next(islice(poolings, 2, None))

    @property
    def unread(self) -> tuple[str, ...]:
        """Beginnings of the names of vgg16's layers after the one that is read, which it lacks."""
        return tuple(f"trunk.{number}." for number in range(len(self.trunk), self.depth()))

    @property
    def is_pooled(self) -> bool:
        """True if the head is `pooled`."""
        return hasattr(self, "pool")


def _initialised(module: nn.Module) -> None:
    """Draw weights as timm does: He's variance for convolutions, std 0.01 for linear layers."""
    if isinstance(module, nn.Conv2d):
        he_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
