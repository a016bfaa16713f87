"""The base class of the networks, and the order of their layers.

Every network can be cut at its target layer, and looked into half-way there.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import torch
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
    def halfway(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Tensor:
        """Return the output of a layer half-way to the target layer, for pixels in [0, 1]."""

    @abstractmethod
    def seam_after(self, halfway: Tensor) -> Seam:
        """Return what crosses the cut, for what came out half-way."""

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

    def layout(self, halfway: Tensor) -> Float[Tensor, "batch features"]:
        """Return the half-way activations averaged over the upper, and over the lower half.

        In one average over all positions a film and the same film upside down look much alike.
        """
        upper, lower = self.on_grid(halfway).tensor_split(2, dim=2)
        return torch.cat([upper.mean(dim=(2, 3)), lower.mean(dim=(2, 3))], dim=1)

    def seam(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Seam:
        """Return what crosses the cut, for pixels in [0, 1]."""
        return self.seam_after(self.halfway(pixels))

    def features(self, pixels: Float[Tensor, "batch 1 rows columns"]) -> Tensor:
        """Return the target layer's output for pixels in [0, 1], as a hook on it sees it."""
        return self.seam(pixels).activations

    def forward(
        self, pixels: Float[Tensor, "batch 1 rows columns"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for pixels in [0, 1]."""
        return self.classify(*self.seam(pixels))


def layers_in_order(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield name and layer in the order of the forward pass; chains are opened up."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from layers_in_order(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def layer_number(network: Network, name: str) -> int:
    """Return the place of a layer in the forward pass, from 0; of several within `name` the first.

    Args:
        network: Its layers in order are those of `layers_in_order`.
        name: A layer (`trunk.24`), or what holds several (`trunk`).

    Raises:
        ValueError: There is none of that name.
    """
    names = [own for own, _ in layers_in_order(network)]
    for number, own in enumerate(names):
        if f"{own}.".startswith(f"{name}."):
            return number
    raise ValueError(f"layer must be one of {names}, or begin such a name, not {name!r}")


def divided(network: Network, first: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the layers before `first`, and those from it on; both share the network's weights.

    One after the other they do what the network does.

    Args:
        network: Divided.
        first: See `layer_number`.

    Raises:
        ValueError: There is no such layer.
    """
    layers = [layer for _, layer in layers_in_order(network)]
    number = layer_number(network, first)
    return nn.Sequential(*layers[:number]), nn.Sequential(*layers[number:])
