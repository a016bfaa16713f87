"""What every network offers: it can be cut in two at its target layer."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Seam(NamedTuple):
    """What crosses the cut between a network's two parts.

    Attributes:
        activations: The target layer's output: [batch, channels, grid rows, grid columns], or
            [batch, tokens, channels] of a transformer.
        bypass: What reaches the logits past the target layer, a constant to whoever explains:
            the residual stream of a transformer, [batch, tokens, channels]; else None.
    """

    activations: Tensor
    bypass: Tensor | None = None


class Network(nn.Module, ABC):
    """A classifier of films, cut at its target layer; the cut is where Grad-CAM's error stops.

    Its children stand in the order of the forward pass, each one's output being the next one's
    input, so that whoever walks them in reverse goes back through the network.

    Attributes:
        normalise: Arithmetic on the pixels.
        head: The linear layer that gives the logits.
    """

    normalise: nn.Module
    head: nn.Linear

    @property
    @abstractmethod
    def target_layer(self) -> str:
        """Name of the layer whose output is the seam's activations."""

    @abstractmethod
    def seam(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Seam:
        """Return what crosses the cut, for pixels in [0, 1]."""

    @abstractmethod
    def classify(
        self, activations: Tensor, bypass: Tensor | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for what crosses the cut."""

    def on_grid(
        self, activations: Tensor
    ) -> Float[Tensor, "batch channels grid_rows grid_columns"]:
        """Return the activations that have a place on the film, there."""
        return activations

    def features(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Tensor:
        """Return the target layer's output for pixels in [0, 1], as a hook on it sees it."""
        return self.seam(pixels).activations

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for pixels in [0, 1]."""
        return self.classify(*self.seam(pixels))
