"""Small networks behind a window on the lungs, whose lung field needs no weights."""

import torch
from torch import Tensor, nn

from models.card import LungSpec, ReadOut
from models.chest_cnn import ChestCNN, LocalChestCNN
from models.lungs.window import LungWindow
from models.network import Chain
from tests.support.drawn_lungs import drawn_film, drawn_mask
from tests.support.small_networks import (
    SETTINGS,
    SmallChestCNN,
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
    """Return a small network in float64 that sees only the lungs and hides no error."""
    torch.manual_seed(3)
    small = SmallLocalChestCNN if local else SmallChestCNN
    network = with_random_shifts(small(**SETTINGS, masked=CROP).double())
    nn.init.normal_(network.head.weight)
    window = LungWindow(DarkCells(), SPEC, FILM).double()
    network.normalise = Chain(window, network.normalise)
    return network.train(training)


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
