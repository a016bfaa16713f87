"""A network whose weights, gradients and optimiser are divided among processes (FSDP2).

For what does not fit one device. Each layer's weights are whole only while it computes.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from models.seam import Network, layers_in_order

Tensors = dict[str, Tensor]


def shard(network: Network, processes: int) -> nn.Sequential:
    """Divide the network's weights among the processes, layer by layer.

    Returns:
        The layers one after the other: they do what the network does, and must be called in its
        place, since a seam runs through the middle of a layer, whose weights would not be whole.

    Source:
        Zhao et al. 2023, arXiv:2304.11277; PyTorch's `fully_shard`.
    """
    mesh = init_device_mesh(next(network.parameters()).device.type, (processes,))
    layers = nn.Sequential(*(layer for _, layer in layers_in_order(network)))
    for layer in layers:
        if any(True for _ in layer.parameters()):
            fully_shard(layer, mesh=mesh)
    fully_shard(layers, mesh=mesh)
    return layers


def whole(values: Any) -> Any:
    """Return a state, however nested, with its tensors put together; all processes must ask."""
    if isinstance(values, DTensor):
        return values.full_tensor()
    if isinstance(values, Mapping):
        return {key: whole(value) for key, value in values.items()}
    return values


def divided_like(value: Tensor, like: Tensor) -> Tensor:
    """Return this process's share of a whole tensor, if `like` is one of such shares."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    own = value.to(like.device)
    return distribute_tensor(own, like.device_mesh, like.placements, src_data_rank=None)


def load_whole(network: Network, state: Tensors) -> None:
    """Load a whole network's state into one that may be divided."""
    own = network.state_dict()
    network.load_state_dict({name: divided_like(state[name], own[name]) for name in state})


def load_whole_optimiser(optimiser: Optimizer, state: dict[str, Any]) -> None:
    """Load a whole optimiser's state into one whose parameters may be divided."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    divided = {
        number: {
            name: divided_like(value, parameters[number]) if torch.is_tensor(value) else value
            for name, value in values.items()
        }
        for number, values in state["state"].items()
    }
    optimiser.load_state_dict(state | {"state": divided})
