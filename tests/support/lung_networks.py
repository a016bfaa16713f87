"""Small networks behind a window on the lungs, whose lung field needs no weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.card import LungSpec, ReadLayer, ReadOut
from models.chest_cnn import ChestCNN, LocalChestCNN
from models.lungs.window import LungWindow
from models.network import Chain
from models.vgg16 import VGG16
from tests.support.drawn_lungs import drawn_film, drawn_mask
from tests.support.small_networks import (
    COLOURS,
    SETTINGS,
    N,
    SmallChestCNN,
    SmallVGG16,
    SmallViTB16,
    with_random_shifts,
)

FILM, CROP = (160, 128), (96, 64)
SPEC = LungSpec(size=CROP)


class SmallLocalChestCNN(LocalChestCNN):
    """One narrow block per stage."""

    widths = (3, 4, 5, 6)
    blocks_per_stage = 1


class DarkCells(nn.Module):
    """A lung field that is trained on nothing: the darker a cell, the more it is lung."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(-40.0))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits on a grid of half the size."""
        return self.scale * (nn.functional.avg_pool2d(pixels, 2) - 0.55)


def lung_network(*, local: bool = False, training: bool = False) -> ChestCNN:
    """Return a small chest_cnn in float64 that sees only the lungs and hides no error."""
    torch.manual_seed(3)
    small = SmallLocalChestCNN if local else SmallChestCNN
    return behind_window(small(**SETTINGS, masked=CROP), training=training)


def lung_vgg16(read_layer: ReadLayer = "conv5_3", *, training: bool = False) -> VGG16:
    """Return the same of a small vgg16 with its pooled head."""
    torch.manual_seed(3)
    network = SmallVGG16(**COLOURS, masked=CROP, read_layer=read_layer)
    return behind_window(network, training=training)


def behind_window(network: N, *, training: bool) -> N:
    """Return the network in float64, its weights random, behind a window on the lungs."""
    network = with_random_shifts(network.double())
    nn.init.normal_(network.head.weight)
    window = LungWindow(DarkCells(), SPEC, FILM).double()
    network.normalise = Chain(window, network.normalise)
    return network.train(training)


NETWORKS: dict[str, Callable[..., ChestCNN | VGG16]] = {
    "chest_cnn local": lambda **mode: lung_network(local=True, **mode),
    "chest_cnn wide": lung_network,
    "vgg16 conv4_3": lambda **mode: lung_vgg16("conv4_3", **mode),
    "vgg16 conv5_3": lambda **mode: lung_vgg16("conv5_3", **mode),
}
"""Those that mask their positions; each takes `training`."""


def lung_vit(read_out: ReadOut, *, training: bool = False) -> SmallViTB16:
    """Return a small vit_b16 in float64 that looks only inside the lungs and hides no error."""
    torch.manual_seed(3)
    small = SmallViTB16(
        **SETTINGS, read_out=read_out, image_size=CROP, inside_lungs=True, drop_path_rate=0.3
    )
    network = with_random_shifts(small.double())
    nn.init.normal_(network.head.weight)
    window = LungWindow(DarkCells(), SPEC, FILM).double()
    network.normalise = Chain(window, network.normalise)
    return network.train(training)


def films(batch: int) -> Tensor:
    """Return drawn films in float64, [batch, 1, rows, columns]."""
    drawn = torch.cat([drawn_film(seed) for seed in range(batch)]).double()
    return nn.functional.interpolate(drawn, FILM, mode="bilinear", antialias=True)


def outlined_films(batch: int) -> Tensor:
    """Return the same films with the probabilities of lung in a second channel."""
    drawn = torch.cat([drawn_mask(seed) for seed in range(batch)]).double()
    masks = nn.functional.interpolate(drawn, FILM, mode="bilinear")
    return torch.cat([films(batch), masks], dim=1)
