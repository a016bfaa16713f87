"""Build the networks whose gradients `cxr verify-backprop` proves, at full size."""

from collections.abc import Callable
from functools import partial

import torch

from models.card import Grid, LungSpec, ReadOut
from models.chest_cnn import ChestCNN, LocalChestCNN
from models.lung_field import LungField
from models.lungs.window import LungWindow
from models.network import Chain, LayeredNetwork, Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16

IMAGE_SIZE = (224, 224)
CLASSES = 5
MEAN, STD = 0.5, 0.25

NETWORKS: dict[str, Callable[[int], Network]] = {
    "chest_cnn": lambda classes: ChestCNN(classes=classes, mean=MEAN, std=STD),
    "vgg16": lambda classes: VGG16(classes=classes, mean=MEAN, std=STD),
    "vit_b16": lambda classes: ViTB16(classes=classes, mean=MEAN, std=STD),
    "vgg16-fully_connected": lambda classes: VGG16(
        classes=classes, mean=MEAN, std=STD, head="fully_connected"
    ),
    "vit_b16-average": lambda classes: ViTB16(
        classes=classes, mean=MEAN, std=STD, read_out="average"
    ),
}
"""The three networks with their default heads, then with their other heads."""


def lungs_only(classes: int, image_size: Grid = IMAGE_SIZE) -> Network:
    """Return a local chest_cnn that sees only the lungs, cropped to 224x224 from larger films."""
    return behind_window(
        LocalChestCNN(classes=classes, mean=MEAN, std=STD, masked=IMAGE_SIZE), image_size
    )


def vgg16_of_lungs(classes: int) -> Network:
    """Return a vgg16 that is read half-way, and looks only inside the lungs."""
    return behind_window(
        VGG16(classes=classes, mean=MEAN, std=STD, read_layer="conv4_3", masked=IMAGE_SIZE)
    )


def vit_of_lungs(classes: int, read_out: ReadOut) -> Network:
    """Return a vit_b16 that looks only inside the lungs."""
    return behind_window(
        ViTB16(classes=classes, mean=MEAN, std=STD, read_out=read_out, inside_lungs=True)
    )


def behind_window(network: Network, image_size: Grid = IMAGE_SIZE) -> Network:
    """Return the network with a window on the lungs before it, cropped to 224x224."""
    window = LungWindow(LungField(), LungSpec(size=IMAGE_SIZE), image_size)
    network.normalise = Chain(window, network.normalise)
    return network


PROVEN: dict[str, Callable[[int], LayeredNetwork]] = {
    **NETWORKS,
    "chest_cnn-lungs": lungs_only,
    "vgg16-lungs": vgg16_of_lungs,
    "vit_b16-lungs": partial(vit_of_lungs, read_out="token"),
    "vit_b16-average-lungs": partial(vit_of_lungs, read_out="average"),
    "lung_field": lambda classes: LungField(),
}
"""All networks that are trained: the classifiers, those of the lungs alone, and the lung field."""


def drawn_at_random(network: LayeredNetwork) -> LayeredNetwork:
    """Return the network with random scales and shifts.

    With the initial scale of 1 and shift of 0, several wrong formulas would give right results.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.rand_like(parameter) - 0.1)
    return network
