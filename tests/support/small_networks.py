"""The three networks with all their parts, and few of each."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.chest_cnn import ChestCNN
from models.network import Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from xai.explained_network import Distance
from xai.novelty import STATISTICS, Novelty

N = TypeVar("N", bound=Network)


class SmallChestCNN(ChestCNN):
    """One narrow block per stage."""

    widths = (3, 4, 5, 6)
    blocks_per_stage = 1


class SmallVGG16(VGG16):
    """One narrow convolution per stage."""

    configuration = [3, "M", 4, "M", 4, "M", 5, "M", 6, "M"]  # noqa: RUF012 - as timm has it
    hidden_width = 16


class SmallViTB16(ViTB16):
    """Three narrow blocks."""

    depth = 3
    width = 12
    heads = 3


SETTINGS: dict[str, Any] = {"classes": 4, "mean": 0.5, "std": 0.25}
COLOURS: dict[str, Any] = SETTINGS | {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25)}

SMALL = {
    "chest_cnn": lambda **size: SmallChestCNN(**SETTINGS),
    "vgg16": lambda **size: SmallVGG16(**COLOURS),
    "vit_b16 token": lambda **size: SmallViTB16(**SETTINGS, drop_path_rate=0.3, **size),
    "vgg16 fully connected": lambda **size: SmallVGG16(
        **COLOURS, head="fully_connected", drop_rate=0.3, **size
    ),
    "vit_b16 average": lambda **size: SmallViTB16(
        **SETTINGS, read_out="average", drop_path_rate=0.3, **size
    ),
}


def small_network(
    name: str, *, size: tuple[int, int] = (32, 48), training: bool = False
) -> Network:
    """Return a small network in float64 that hides no error."""
    torch.manual_seed(3)
    network = with_random_shifts(SMALL[name](image_size=size).double())
    for layer in (network.head, *getattr(network, "hidden", ())):
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
    return network.train(training)


def plain_distance(network: Network, pixels: Tensor) -> Distance:
    """Return the distance of a network's layouts from 0."""
    features = network.layout(network.halfway(pixels)).shape[1]
    return Distance(torch.eye(features), torch.zeros(1, features))


def plain_novelty(*, lungs: bool = False) -> Novelty:
    """Return the novelty of films from two that are known, by unweighted statistics."""
    statistics = len(STATISTICS) - (0 if lungs else 3)
    films = torch.stack([torch.zeros(statistics), torch.ones(statistics)])
    return Novelty(torch.zeros(statistics), torch.eye(statistics), films)


def with_random_shifts(network: N) -> N:
    """Return the network, its scales, shifts and statistics random, so that none hides an error.

    As they are initialised, a shift of 0 and a scale of 1 would make several wrong formulas right.
    """
    for parameter_name, values in network.state_dict().items():
        if values.dim() == 1:
            nn.init.uniform_(values, 0.5, 1.5)
            values *= (
                1 if parameter_name.endswith("running_var") else torch.randn_like(values).sign()
            )
    return network


def noise(batch: int, *, size: tuple[int, int] = (32, 48)) -> tuple[Tensor, Tensor]:
    """Return pixels and classes."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.rand(batch, 1, *size, generator=generator, dtype=torch.float64)
    return pixels, torch.randint(0, 4, (batch,), generator=generator)
