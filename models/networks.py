"""The networks by name: from a spec to a network."""

from models import chest_cnn, vgg16, vit_b16
from models.card import Architecture, NetworkSpec, ReadOut
from models.seam import Network


def build(spec: NetworkSpec) -> Network:
    """Return the network that `spec` describes, with freshly drawn weights.

    Raises:
        ValueError: The network has another target layer, or cannot do the task.
    """
    if spec.task != "multiclass":
        raise ValueError(f"task of {spec.architecture} must be multiclass, not {spec.task}")
    expected = target_layer(spec.architecture, read_out=spec.read_out)
    if spec.target_layer != expected:
        raise ValueError(
            f"target_layer of {spec.architecture} must be {expected!r}, not {spec.target_layer!r}"
        )
    return _built(spec)


def target_layer(architecture: Architecture, *, read_out: ReadOut | None = None) -> str:
    """Return the layer at which a network is cut, and its explanation's backward pass stops."""
    if architecture == "chest_cnn":
        return chest_cnn.TARGET_LAYER
    if architecture == "vgg16":
        return vgg16.TARGET_LAYER
    return vit_b16.TARGET_LAYERS[read_out or "token"]


def _built(spec: NetworkSpec) -> Network:
    classes = len(spec.class_names)
    if spec.architecture == "chest_cnn":
        return chest_cnn.ChestCNN(classes=classes, mean=spec.mean, std=spec.std)
    if spec.architecture == "vgg16":
        return vgg16.VGG16(
            classes=classes,
            mean=spec.mean,
            std=spec.std,
            head=spec.head or "pooled",
            image_size=spec.image_size,
        )
    return vit_b16.ViTB16(
        classes=classes,
        mean=spec.mean,
        std=spec.std,
        read_out=spec.read_out or "token",
        image_size=spec.image_size,
    )
