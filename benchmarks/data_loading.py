"""Measure images per second of training with films from disk, and without loading any.

    python benchmarks/data_loading.py CONFIG [--device cuda] [--workers 8] [--steps 30] [--rounds 3]

"With" is what `cxr train CONFIG` does: films mapped from disk, augmented, sent to the device, one
step each. "Without" are the same steps on one batch of random pixels that is on the device already.
Both take turns in one process; medians. On a GPU also its utilisation, as NVML samples it, and the
model FLOP utilisation: operations of a forward pass, times three for forward and backward
(Chowdhery et al. 2022, arXiv:2204.02311, appendix B), over the GPU's peak in bfloat16, which
`--peak-tflops` gives.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from training.config import Config, read_config
from training.fitting.loop import TrainingRun
from training.fitting.start import checked_films, datasets, starting_network

Batch = tuple[Tensor, Tensor]


class Pace(NamedTuple):
    """Images per second, and the GPU's utilisation in percent, where there is one."""

    images_per_second: float
    utilisation: float


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("config", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak-tflops", type=float, help="of the GPU in dense bfloat16")
    arguments = parser.parse_args()
    config = _with_workers(read_config(arguments.config), arguments.workers)
    run = _training(config, arguments.device)
    with_films, without = _paces(run, arguments.steps, arguments.rounds)
    ratio = with_films.images_per_second / without.images_per_second
    print(
        f"{config.network.architecture}, {config.training.gradients.precision}, "
        f"{arguments.device}: "
        f"{with_films.images_per_second:.1f} images/s with real films, "
        f"{without.images_per_second:.1f} without; ratio {ratio:.3f}"
    )
    if run.device.type == "cuda":
        print(f"GPU utilisation with real films: {with_films.utilisation:.0f} %")
    if arguments.peak_tflops:
        flops = 3 * _forward_flops(run) * with_films.images_per_second
        print(f"model FLOP utilisation: {flops / (1e12 * arguments.peak_tflops):.3f}")


def _with_workers(config: Config, workers: int) -> Config:
    unfreeze = config.training.unfreeze
    uncached = unfreeze and unfreeze.model_copy(update={"feature_cache": None})
    changes = {"workers": workers, "unfreeze": uncached}
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _training(config: Config, device: str) -> TrainingRun:
    train, val, names = datasets(config, checked_films(config))
    network, _ = starting_network(config, train, names)
    return TrainingRun(network.to(device), config.training, train, val)


def _paces(run: TrainingRun, steps: int, rounds: int) -> tuple[Pace, Pace]:
    """Return the paces with films and without, after a round that warms up."""
    run._unfreeze(run.config.epochs - 1)
    batch = next(iter(run.step_films.batches(0)))
    resident = [(torch.rand_like(batch[0]).to(run.device), batch[1].to(run.device))] * steps
    kinds: tuple[Callable[[int], Iterable[Batch]], ...] = (
        lambda number: islice(_films(run, number), steps),
        lambda number: resident,
    )
    measured = [[_pace(run, kind(number)) for kind in kinds] for number in range(rounds + 1)][1:]
    with_films, without = (
        Pace(median(p.images_per_second for p in kind), mean(p.utilisation for p in kind))
        for kind in zip(*measured, strict=True)
    )
    return with_films, without


def _films(run: TrainingRun, epoch: int) -> Iterator[Batch]:
    """Yield batches from an epoch on, endlessly; the first is not timed, since workers start."""
    while True:
        yield from run.step_films.batches(epoch)  # collated: targets are a tensor
        epoch += 1


def _pace(run: TrainingRun, batches: Iterable[Batch]) -> Pace:
    batches = iter(batches)
    _step(run, *next(batches))
    images, utilisation, start = 0, [], perf_counter()
    for pixels, targets in batches:
        images += _step(run, pixels, targets)
        utilisation.append(torch.cuda.utilization() if run.device.type == "cuda" else 0)
    return Pace(images / (perf_counter() - start), mean(utilisation))


def _step(run: TrainingRun, pixels: Tensor, targets: Tensor) -> int:
    """Train on a whole step's films and return their number; an epoch's rest is left out.

    The loss is read, which waits for the device.
    """
    if len(pixels) < run.step_films.per_step:
        return 0
    run._step(0, pixels.to(run.device), targets.to(run.device))
    return len(pixels)


def _forward_flops(run: TrainingRun) -> int:
    """Return the floating-point operations of one film's forward pass."""
    pixels = run.train[0][0][None].to(run.device, run.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run.network.eval()(pixels)
    return int(counter.get_total_flops())


if __name__ == "__main__":
    main()
