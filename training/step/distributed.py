"""Train one network in several processes, as torchrun starts them.

A step has the same films however many processes there are. They are divided into passes through the
network, and all processes make the same number of passes; gradients and losses are summed over all.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """The processes that train together, seen from one of them.

    Attributes:
        count: How many.
        rank: Which of them this is, from 0.
    """

    count: int = 1
    rank: int = 0

    @classmethod
    def current(cls) -> "Processes":
        """Return the processes of the process group; without one, this process alone."""
        if not distributed.is_initialized():
            return cls()
        return cls(distributed.get_world_size(), distributed.get_rank())

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and prints."""
        return self.rank == 0

    def passes(self, films: int, wanted: int) -> list[range]:
        """Return the films of each of this process's passes through the network.

        All processes have the same number of passes, which communicate. With fewer films than
        processes some passes have no film.

        Args:
            films: Of the step.
            wanted: Passes of all processes together; they are rounded up to a multiple of `count`.

        Returns:
            Places in the step; those of all processes follow one another in the order of ranks.
        """
        own = min(-(-wanted // self.count), -(-films // self.count))
        bounds = [films * number // (own * self.count) for number in range(own * self.count + 1)]
        numbers = range(own * self.rank, own * (self.rank + 1))
        return [range(bounds[number], bounds[number + 1]) for number in numbers]

    def share(self, films: int) -> list[int]:
        """Return the places of the films that this process predicts; all have the same number.

        `gathered` puts the predictions of all processes in order; the last film may be repeated at
        the end.
        """
        size = -(-films // self.count)
        return [min(place, films - 1) for place in range(size * self.rank, size * (self.rank + 1))]

    def gathered(self, rows: Float[Tensor, "own *rest"]) -> Float[Tensor, "all *rest"]:
        """Return the rows of all processes, in their order."""
        if self.count == 1:
            return rows
        gathered = [torch.empty_like(rows) for _ in range(self.count)]
        distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over the processes; `values` may be overwritten."""
        if self.count > 1:
            values = values.contiguous()  # processes add memory, whatever its layout
            distributed.all_reduce(values)
        return values

    def joined(self, network: nn.Module) -> nn.Module:
        """Return the network such that backward passes leave the mean gradient of all processes.

        It must be joined again when other layers are trainable.
        """
        if self.count == 1:
            return network
        return DistributedDataParallel(network, forward_sync_buffers=False)

    def average_statistics(self, trained: nn.Module, average: nn.Module) -> None:
        """Set the running statistics of batch normalisation to their mean over the processes.

        Args:
            trained: The network in training; only its layers in training mode are averaged.
            average: The moving average of its weights and statistics, averaged likewise.
        """
        for layer, twin in zip(trained.modules(), average.modules(), strict=True):
            if isinstance(layer, _BatchNorm) and layer.training:
                for name in ("running_mean", "running_var"):
                    for statistics in (layer.get_buffer(name), twin.get_buffer(name)):
                        statistics.copy_(self.sum(statistics) / self.count)


@contextmanager
def process_group(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yield this process's device.

    Args:
        device: `cpu`, whose processes communicate over gloo, or `cuda`, over nccl: one GPU each.

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
