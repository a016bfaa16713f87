"""Build a network from its spec."""

from torch import nn

from models.card import (
    Architecture,
    BlockCount,
    Grid,
    NetworkSpec,
    ReadLayer,
    ReadOut,
    ReceptiveField,
)
from models.chest_cnn import ChestCNN, LocalChestCNN
from models.layers import LocalContrast
from models.lung_field import LungField
from models.lungs.window import LungWindow
from models.network import Chain, Network
from models.vgg16 import VGG16
from models.vit_b16 import PATCH, ViTB16


def build(spec: NetworkSpec, *, drop_rate: float = 0.0, drop_path_rate: float = 0.0) -> Network:
    """Return the network that `spec` describes, with random weights.

    Args:
        spec: Which network, and for which input.
        drop_rate: Of dropout in vgg16's `fully_connected` head, while training.
        drop_path_rate: Of stochastic depth in vit_b16, while training.

    Raises:
        ValueError: The network has another target layer.
    """
    network = _network(spec, drop_rate, drop_path_rate)
    if spec.local_contrast is not None:
        contrast = LocalContrast(spec.local_contrast, seen_size(spec))
        network.normalise = nn.Sequential(contrast, network.normalise)
    if spec.lungs is not None:
        window = LungWindow(LungField(), spec.lungs, spec.image_size)
        network.normalise = Chain(window, network.normalise)
    if spec.target_layer != network.target_layer:
        raise ValueError(
            f"target_layer of {spec.architecture} must be {network.target_layer!r}, "
            f"not {spec.target_layer!r}"
        )
    return network


def _network(spec: NetworkSpec, drop_rate: float, drop_path_rate: float) -> Network:
    classes = len(spec.class_names)
    masked = spec.lungs.size if spec.lungs and spec.lungs.inside else None
    if spec.architecture == "chest_cnn":
        chest_cnn = _chest_cnn(spec.receptive_field)
        return chest_cnn(classes=classes, mean=spec.mean, std=spec.std, masked=masked)
    if spec.architecture == "vgg16":
        return VGG16(
            classes=classes,
            mean=spec.mean,
            std=spec.std,
            head=spec.head or "pooled",
            image_size=seen_size(spec),
            drop_rate=drop_rate,
            read_layer=spec.read_layer,
            masked=masked,
        )
    return ViTB16(
        classes=classes,
        mean=spec.mean,
        std=spec.std,
        read_out=spec.read_out or "token",
        image_size=seen_size(spec),
        inside_lungs=spec.lungs is not None and spec.lungs.inside,
        blocks=spec.blocks,
        drop_path_rate=drop_path_rate,
    )


def target_layer(
    architecture: Architecture,
    *,
    read_out: ReadOut | None = None,
    read_layer: ReadLayer | None = None,
    blocks: BlockCount | None = None,
    inside_lungs: bool = False,
) -> str:
    """Return the name of a network's target layer, which its spec needs before it is built."""
    if architecture == "chest_cnn":
        return ChestCNN.last_layer(inside_lungs=inside_lungs)
    if architecture == "vgg16":
        return VGG16.last_layer(read_layer, inside_lungs=inside_lungs)
    return ViTB16.last_layer(read_out or "token", blocks=blocks, inside_lungs=inside_lungs)


def seen_size(spec: NetworkSpec) -> Grid:
    """Return rows and columns of what the layers behind the window on the lungs take."""
    return spec.lungs.size if spec.lungs else spec.image_size


def activation_grid(
    architecture: Architecture,
    size: Grid,
    *,
    receptive_field: ReceptiveField | None = None,
    read_layer: ReadLayer | None = None,
) -> Grid:
    """Return rows and columns of the target layer's output, for pixels of a size."""
    if architecture == "chest_cnn":
        return _chest_cnn(receptive_field).grid(size)
    if architecture == "vgg16":
        return VGG16.grid(size, read_layer)
    return size[0] // PATCH, size[1] // PATCH


def _chest_cnn(receptive_field: ReceptiveField | None) -> type[ChestCNN]:
    return LocalChestCNN if receptive_field == "local" else ChestCNN
