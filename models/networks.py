"""The networks by name, and what every one of them offers."""

from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn

from models import chest_cnn
from models.card import NetworkSpec


class Network(Protocol):
    """A classifier cut in two at the target layer.

    `features` ends with the target layer's output, `classify` goes on from there; the backward
    pass that explains a logit crosses `classify` only.
    """

    def features(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch channels grid_rows grid_columns"]:
        """Return the target layer's activations for pixels in [0, 1]."""
        ...

    def classify(
        self, activations: Float[Tensor, "batch channels grid_rows grid_columns"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for the target layer's activations."""
        ...


def build(spec: NetworkSpec) -> nn.Module:
    """Return the network that `spec` describes, with freshly drawn weights.

    Raises:
        ValueError: The network has another target layer, or cannot do the task.
    """
    if spec.task != "multiclass":
        raise ValueError(f"task of {spec.architecture} must be multiclass, not {spec.task}")
    if spec.target_layer != chest_cnn.TARGET_LAYER:
        raise ValueError(
            f"target_layer of {spec.architecture} must be {chest_cnn.TARGET_LAYER!r}, "
            f"not {spec.target_layer!r}"
        )
    return chest_cnn.ChestCNN(classes=len(spec.class_names), mean=spec.mean, std=spec.std)
