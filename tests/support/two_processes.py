"""Train small networks, alone or in torchrun's processes.

torchrun --nproc-per-node 2 -m tests.support.two_processes FILE
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tests.support.small_networks import SETTINGS, SmallViTB16, small_network
from tests.support.training_tables import merged
from training.data.dataset import FilmDataset
from training.fitting.loop import TrainingRun
from training.step.distributed import Processes, process_group
from training.training_config import TrainingConfig

UNFREEZE = {
    "unfreeze": {"layers": [[0, "head"], [1, "trunk.9"]]},
    "optimiser": {"opt": "sgd"},
}
FIELDS = {
    "epochs": 2,
    "batch_size": 4,
    "gradients": {"precision": "float64"},
    "optimiser": {"learning_rate": 1e-2},
}


class Training(NamedTuple):
    """A training of a small network, and how the one process that it must equal differs."""

    network: str
    changes: dict[str, Any]
    alone: dict[str, Any] = {}  # noqa: RUF012 - read only


TRAININGS = {
    "vit_b16": Training("vit_b16", {}),
    "the last step has fewer films than processes": Training("vit_b16", {"batch_size": 3}),
    "accumulated": Training("vit_b16", {"batch_size": 2, "grad_accum_steps": 3}),
    "unfrozen step by step": Training("vgg16", UNFREEZE),
    "mixup": Training("vgg16", {"gradients": {"mixup": 0.4}}),
    "by hand": Training("vgg16", {"gradients": {"by": "manual"}, "batch_size": 3}),
    "frozen batch normalisation": Training("chest_cnn", {"unfreeze": {"layers": [[0, "head"]]}}),
    "live batch normalisation": Training("chest_cnn", {}, {"batch_size": 2, "grad_accum_steps": 2}),
}


def films() -> FilmDataset:
    pixels = np.random.default_rng(0).integers(256, size=(10, 32, 32), dtype=np.uint8)
    return FilmDataset(pixels, [0, 1, 2, 3, 0, 1, 2, 3, 3, 3])


def started(training: Training, **changes: Any) -> TrainingRun:
    """Return a run in float64, so that processes that differ differ visibly."""
    fields = merged(FIELDS, merged(training.changes, changes))
    config = TrainingConfig.model_validate(fields)
    if training.network == "vit_b16":  # without drop path, whose draws processes do not share
        torch.manual_seed(3)
        return TrainingRun(SmallViTB16(**SETTINGS, image_size=(32, 32)), config, films(), films())
    network = small_network(training.network, size=(32, 32))
    return TrainingRun(network, config, films(), films())


def finished(run: TrainingRun) -> dict[str, Any]:
    """Return the losses of all steps, the figures of all epochs and the state at the end."""
    losses: list[float] = []
    run.log = lambda name, value, step: losses.append(value) if name == "step/loss" else None
    list(run.epochs())
    average: dict[str, Tensor] = dict(run.state.averaged_network.state_dict())
    return {"losses": losses, "average": average, **run.state.as_dict()}


def main() -> None:
    """Run all trainings, and write what the first process saw."""
    with process_group("cpu"):
        found = {name: finished(started(training)) for name, training in TRAININGS.items()}
        if Processes.current().is_first:
            torch.save(found, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
