"""The networks by name: from a spec to a network."""

from torch import nn

from models.card import Architecture, Grid, Head, NetworkSpec, PerChannel, ReadOut
from models.chest_cnn import ChestCNN
from models.local_contrast import LocalContrast
from models.seam import Network
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16


def build(spec: NetworkSpec) -> Network:
    """Return the network that `spec` describes, with freshly drawn weights.

    Raises:
        ValueError: The network has another target layer.
    """
    network = draw(
        spec.architecture,
        classes=len(spec.class_names),
        mean=spec.mean,
        std=spec.std,
        head=spec.head,
        read_out=spec.read_out,
        image_size=spec.image_size,
        local_contrast=spec.local_contrast,
    )
    if spec.target_layer != network.target_layer:
        raise ValueError(
            f"target_layer of {spec.architecture} must be {network.target_layer!r}, "
            f"not {spec.target_layer!r}"
        )
    return network


def draw(
    architecture: Architecture,
    *,
    classes: int,
    mean: PerChannel,
    std: PerChannel,
    head: Head | None,
    read_out: ReadOut | None,
    image_size: Grid,
    local_contrast: float | None = None,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
) -> Network:
    """Return a network by its name, with freshly drawn weights; see `NetworkSpec`.

    The last two are for training: of dropout in vgg16's `fully_connected` head, and of stochastic
    depth in vit_b16.
    """
    network: Network
    if architecture == "chest_cnn":
        network = ChestCNN(classes=classes, mean=mean, std=std)
    elif architecture == "vgg16":
        network = VGG16(
            classes=classes,
            mean=mean,
            std=std,
            head=head or "pooled",
            image_size=image_size,
            drop_rate=drop_rate,
        )
    else:
        network = ViTB16(
            classes=classes,
            mean=mean,
            std=std,
            read_out=read_out or "token",
            image_size=image_size,
            drop_path_rate=drop_path_rate,
        )
    if local_contrast is not None:
        contrast = LocalContrast(local_contrast, image_size)
        network.normalise = nn.Sequential(contrast, network.normalise)
    return network
