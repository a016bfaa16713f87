"""Build the networks whose gradients `cxr verify-backprop` proves, at full size."""

from collections.abc import Callable

import torch

from models.chest_cnn import ChestCNN
from models.lung_field import LungField
from models.network import LayeredNetwork, Network
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

PROVEN: dict[str, Callable[[int], LayeredNetwork]] = {
    **NETWORKS,
    "lung_field": lambda classes: LungField(),
}
"""All networks that are trained: the classifiers, and the lung field."""


def drawn_at_random(network: LayeredNetwork) -> LayeredNetwork:
    """Return the network with random scales and shifts.

    With the initial scale of 1 and shift of 0, several wrong formulas would give right results.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.add_(0.2 * torch.rand_like(parameter) - 0.1)
    return network
