"""Base classes of the networks, and functions that find and split their layers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Seam(NamedTuple):
    """Output of the target layer, and the residual stream that skips it.

    Together they determine the logits. Grad-CAM treats the residual stream as constant.

    Attributes:
        activations: Output of the target layer, [batch, channels, grid rows, grid columns], or
            [batch, tokens, channels] of a transformer.
        bypass: Residual stream that skips the target layer, [batch, tokens, channels], with the
            lungs' mask if later layers take it; None where there is none.
    """

    activations: Tensor
    bypass: "Tensor | Masked | None" = None


class Masked(NamedTuple):
    """Values at positions of a film, and which of the film's pixels are lung.

    Attributes:
        values: Output of a layer, [batch, channels, rows, columns] or [batch, tokens, channels].
        lungs: The lungs' mask of the film that entered the first layer, [batch, 1, rows, columns]:
            exactly 0 outside the lungs, at most 1 inside.
    """

    values: Tensor
    lungs: Tensor


def values_of(x: Tensor | Masked) -> Tensor:
    """Return values without the lungs' mask."""
    return x.values if isinstance(x, Masked) else x


class TakesLungs(nn.Module):
    """Base class of the layers that take the lungs' mask beside their input."""


def through(layer: nn.Module, x: Tensor | Masked) -> Tensor | Masked:
    """Return a layer's output; the lungs' mask goes past layers that do not take it."""
    if isinstance(x, Masked) and not isinstance(layer, TakesLungs):
        return Masked(layer(x.values), x.lungs)
    return cast("Tensor | Masked", layer(x))


class Chain(nn.Sequential, TakesLungs):
    """Layers one after the other; the lungs' mask goes past those that do not take it."""

    def forward(self, x: Tensor | Masked) -> Tensor | Masked:
        """Return the output of the last layer."""
        for layer in self:
            x = through(layer, x)
        return x


class LayeredNetwork(nn.Module):
    """Network of layers in a row, which can be trained and walked in reverse.

    The children are in the order of the forward pass, and each one's output is the next one's
    input. A walk over them in reverse is therefore the network's backward pass.

    Attributes:
        normalise: Normalisation of the pixels; before it, in some networks, what prepares a film.
        head: The layer that gives the logits.
    """

    normalise: nn.Module
    head: nn.Module


class Network(LayeredNetwork, ABC):
    """Classifier of films, split at its target layer, where the backward pass of Grad-CAM stops.

    Attributes:
        normalise: Normalisation of the pixels.
        head: The linear layer that gives the logits.
    """

    head: nn.Linear

    @property
    @abstractmethod
    def target_layer(self) -> str:
        """Name of the target layer, whose output the evidence is computed from."""

    def halfway(self, pixels: Float[Tensor, "batch channels rows columns"]) -> Tensor | Masked:
        """Return the output of a layer half-way to the target layer, for pixels in [0, 1].

        Networks that see only the lungs also take a film of two channels: its pixels, and the
        probabilities of lung that were found before.
        """
        return self.halfway_from(self.normalise(pixels))

    @abstractmethod
    def halfway_from(self, normalised: Tensor | Masked) -> Tensor | Masked:
        """Return the same for the output of `normalise`."""

    @abstractmethod
    def seam_after(self, halfway: Tensor | Masked) -> Seam:
        """Return the seam for the output of `halfway`."""

    @abstractmethod
    def classify(
        self, activations: Tensor, bypass: Tensor | Masked | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for a seam."""

    def on_grid(
        self, activations: Tensor
    ) -> Float[Tensor, "batch channels grid_rows grid_columns"]:
        """Return the activations on the grid of positions; a transformer's class token has none."""
        return activations

    def layout(self, halfway: Tensor | Masked) -> Float[Tensor, "batch features"]:
        """Return the half-way activations, averaged over the upper and over the lower half.

        An average over all positions is much the same for a film and for that film upside down.
        """
        upper, lower = self.on_grid(values_of(halfway)).tensor_split(2, dim=2)
        return torch.cat([upper.mean(dim=(2, 3)), lower.mean(dim=(2, 3))], dim=1)

    def seam(self, pixels: Float[Tensor, "batch channels rows columns"]) -> Seam:
        """Return the seam for pixels in [0, 1]."""
        return self.seam_after(self.halfway(pixels))

    def features(self, pixels: Float[Tensor, "batch channels rows columns"]) -> Tensor:
        """Return the target layer's output for pixels in [0, 1], as a hook on it sees it."""
        return self.seam(pixels).activations

    def forward(
        self, pixels: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch classes"]:
        """Return the logits for pixels in [0, 1]."""
        return self.classify(*self.seam(pixels))


def layers_in_order(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield name and layer in the order of the forward pass; `nn.Sequential` is opened up."""
    for name, child in module.named_children():
        if isinstance(child, nn.Sequential):
            yield from layers_in_order(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def layer_number(network: LayeredNetwork, name: str) -> int:
    """Return a layer's index in the forward pass, from 0.

    Args:
        network: Its layers are counted as `layers_in_order` yields them.
        name: A layer (`trunk.24`), or a group of layers (`trunk`), which means its first.

    Raises:
        ValueError: The network has no layer of that name.
    """
    names = [own for own, _ in layers_in_order(network)]
    for number, own in enumerate(names):
        if f"{own}.".startswith(f"{name}."):
            return number
    raise ValueError(f"layer must be one of {names}, or begin such a name, not {name!r}")


def split_at(network: LayeredNetwork, first: str) -> tuple[Chain, Chain]:
    """Split a network in two: the layers before `first`, and those from it on.

    Run one after the other, both compute the network's logits. They share its weights.

    Args:
        network: The network to split.
        first: First layer of the second one; see `layer_number`.

    Raises:
        ValueError: The network has no such layer.
    """
    layers = [layer for _, layer in layers_in_order(network)]
    number = layer_number(network, first)
    return Chain(*layers[:number]), Chain(*layers[number:])
