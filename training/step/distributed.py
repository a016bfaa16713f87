"""Several processes that train one network, as torchrun starts them.

A step's films are the same however many processes there are. They are divided into passes, and each
process takes as many of these as the others; gradients and losses are sums over all.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from models.network import Network, layers_in_order


@dataclass(frozen=True)
class Processes:
    """The processes that train together, as one of them sees them.

    Attributes:
        count: How many.
        rank: Which of them this is, from 0.
    """

    count: int = 1
    rank: int = 0

    @classmethod
    def current(cls) -> "Processes":
        """Return those of the process group; without one, this process alone."""
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_world_size(), distributed.get_rank())

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def passes(self, films: int, wanted: int) -> list[range]:
        """Return the films of each of this process's passes through the network.

        All processes have the same number of passes, which communicate. With fewer films than
        processes some passes have no film.

        Args:
            films: Of the step.
            wanted: Passes of all processes together; they are rounded up to a multiple of `count`.

        Returns:
            Places in the step; those of all processes follow one another.
        """
        own = min(-(-wanted // self.count), -(-films // self.count))
        bounds = [films * number // (own * self.count) for number in range(own * self.count + 1)]
        numbers = range(own * self.rank, own * (self.rank + 1))
        return [range(bounds[number], bounds[number + 1]) for number in numbers]

    def share(self, films: int) -> list[int]:
        """Return the places of films that this process looks at, as many as the others do.

        What the processes made of theirs, put together by `gathered`, is in order; behind it the
        last film may be repeated.
        """
        size = -(-films // self.count)
        return [min(place, films - 1) for place in range(size * self.rank, size * (self.rank + 1))]

    def gathered(self, rows: Float[Tensor, "own *rest"]) -> Float[Tensor, "all *rest"]:
        """Return the rows of all processes, in their order."""
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes; `values` may be overwritten."""
        if self.count > 1:
            values = values.contiguous()  # processes add memory, whatever its layout
            distributed.all_reduce(values)
        return values

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the network with backward passes that leave the mean gradient of all processes.

        What is frozen now must stay so; join again after a change.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(network, forward_sync_buffers=False)

    def average_statistics(self, trained: nn.Module, average: nn.Module) -> None:
        """Give every process the mean of the running statistics that each has followed.

        Args:
            trained: Its batch normalisation in training mode is meant.
            average: The moving average of its weights and statistics.
        """
        for layer, twin in zip(trained.modules(), average.modules(), strict=True):
            if isinstance(layer, _BatchNorm) and layer.training:
                for name in ("running_mean", "running_var"):
                    for statistics in (layer.get_buffer(name), twin.get_buffer(name)):
                        statistics.copy_(self.sum(statistics) / self.count)


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; give this process's device.

    Args:
        device: `cpu`, whose processes talk over gloo, or `cuda`, over nccl: one GPU each.

    Raises:
        ValueError: There are fewer GPUs than processes.
    """
    if not distributed.is_torchelastic_launched():
        yield device
        return
    own = _own_device(device)
    distributed.init_process_group("nccl" if own.startswith("cuda") else "gloo")
    try:
        yield own
    finally:
        distributed.destroy_process_group()


def _own_device(device: str) -> str:
    if device == "cpu":
        return device
    number, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= gpus:
        processes = os.environ["LOCAL_WORLD_SIZE"]
        raise ValueError(f"--nproc-per-node must be at most the {gpus} GPUs, not {processes}")
    torch.cuda.set_device(number)
    return f"cuda:{number}"


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
