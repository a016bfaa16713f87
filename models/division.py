"""A network divided before any of its layers: what can stay frozen, and what goes on from there."""

from torch import nn

from models.seam import Network, layers_in_order


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
