"""What the proofs of a network's gradients by hand found: a record, and a table to read."""

import copy
from collections.abc import Iterable
from itertools import islice
from typing import Literal

import torch
from pydantic import ConfigDict
from timm.layers import DropPath
from torch import nn
from tqdm import tqdm

from models.card import Grid, PositiveInt, Record, Task
from models.network import Network, layers_in_order
from training.backprop_proofs import proofs
from training.backprop_proofs.proofs import (
    NoiseFilms,
    Slope,
    errors_against_slopes,
    is_zero_by_mathematics,
    largest,
    largest_of,
    measured_slopes,
    parts,
    relative_errors,
    rightly,
)
from training.step.gradients import GradientsOf, by_autograd

Dtype = Literal["float64", "float32"]

TOLERANCES: dict[Dtype, float] = {"float64": 1e-9, "float32": 1e-2}
"""Largest relative error of a gradient, and of a loss, against autograd."""

SLOPE_TOLERANCE = 1e-3
"""Largest relative difference of a gradient from the slope of the loss, in float64."""

MEMORY_LIMIT = 1.2
"""Most memory that a step by hand may take, as a share of autograd's."""

CONTROL_STEPS = 3
FINITE_DIFFERENCES = 8


class Evidence(Record):
    """Base of every part of a report: a figure that is not a number belongs in it as well."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")


class LayerError(Evidence):
    """How far a layer's gradients are from autograd's.

    Attributes:
        layer: Its name within the network.
        error: Largest relative error of any of its parameters.
    """

    layer: str
    error: float


class Control(Evidence):
    """What the proofs see of an error planted on purpose: a gradient 1 % too large.

    Attributes:
        layer: Where it was planted.
        against_autograd: Largest relative error of a gradient.
        against_slopes: Largest relative difference from a finite difference.
        over_steps: Largest relative difference of a loss.
    """

    layer: str
    against_autograd: float
    against_slopes: float
    over_steps: float


class NetworkReport(Evidence):
    """The evidence on one network.

    Attributes:
        network: Its name.
        parameters: Number of trainable parameters, all of which are compared.
        image_size: Rows and columns.
        batch: Films per step.
        dtype: Precision of the comparisons.
        layers: Relative errors by layer, from the pixels on.
        zero_by_mathematics: Gradients left out of them, with their largest entry as a share of the
            network's largest.
        slopes: Relative difference from finite differences, by sampled parameter.
        losses_by_hand: One per training step.
        losses_by_autograd: Likewise.
        control: What the proofs see of a planted error.
        seconds: Median of a step in float32: by hand, by autograd.
        bytes: Most memory of a step's tensors in float32: by hand, by autograd.
    """

    network: str
    parameters: PositiveInt
    image_size: Grid
    batch: PositiveInt
    dtype: Dtype
    layers: tuple[LayerError, ...]
    zero_by_mathematics: dict[str, float]
    slopes: dict[str, float]
    losses_by_hand: tuple[float, ...]
    losses_by_autograd: tuple[float, ...]
    control: Control
    seconds: tuple[float, float]
    bytes: tuple[int, int]

    @property
    def largest_error(self) -> float:
        """Of all layers; not a number if one of them is not."""
        return _worst(layer.error for layer in self.layers)

    @property
    def loss_difference(self) -> float:
        """Largest relative difference between the losses, over all steps."""
        return _loss_difference(self.losses_by_hand, self.losses_by_autograd)

    @property
    def memory_ratio(self) -> float:
        """By hand / autograd."""
        return self.bytes[0] / self.bytes[1]

    @property
    def time_ratio(self) -> float:
        """By hand / autograd."""
        return self.seconds[0] / self.seconds[1]

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; empty where the gradients are right."""
        tolerance = TOLERANCES[self.dtype]
        caught = self.control
        checks = {
            f"a gradient differs from autograd's by {self.largest_error:.1e}, allowed is "
            f"{tolerance:.0e}": self.largest_error <= tolerance,
            "a gradient that is zero by mathematics is not": all(
                share <= tolerance for share in self.zero_by_mathematics.values()
            ),
            f"a gradient is not the slope of the loss: {_worst(self.slopes.values()):.1e} apart, "
            f"allowed is {SLOPE_TOLERANCE:.0e}": _worst(self.slopes.values()) <= SLOPE_TOLERANCE,
            f"the losses of {len(self.losses_by_hand)} steps differ by {self.loss_difference:.1e}, "
            f"allowed is {tolerance:.0e}": self.loss_difference <= tolerance,
            "the planted error was not seen against autograd": caught.against_autograd
            > TOLERANCES["float64"],
            "the planted error was not seen against slopes": caught.against_slopes
            > SLOPE_TOLERANCE,
            "the planted error was not seen over training steps": caught.over_steps
            > TOLERANCES["float64"],
        }
        return tuple(fault for fault, is_well in checks.items() if not is_well)

    @property
    def excesses(self) -> tuple[str, ...]:
        """Where right gradients cost too much, in words; time is too noisy to be judged."""
        if self.memory_ratio <= MEMORY_LIMIT:
            return ()
        return (
            f"a step takes {self.memory_ratio:.2f} times autograd's memory, allowed is "
            f"{MEMORY_LIMIT}",
        )


class BackpropReport(Evidence):
    """The evidence on one or several networks, and what it was gathered with."""

    torch_version: str
    threads: PositiveInt
    networks: tuple[NetworkReport, ...]


def backprop_report(*networks: NetworkReport) -> BackpropReport:
    """Return the report of this machine on these networks."""
    return BackpropReport(
        torch_version=torch.__version__, threads=torch.get_num_threads(), networks=networks
    )


def verified(
    name: str,
    network: Network,
    *,
    image_size: Grid,
    task: Task = "multiclass",
    batch: int = 2,
    dtype: Dtype = "float64",
    steps: int = 10,
    rounds: int = 5,
) -> NetworkReport:
    """Return the evidence on a network's gradients by hand, in training mode.

    Args:
        name: What to call it.
        network: On the CPU, in float32; a copy of it is tried.
        image_size: Rows and columns of the noise it is tried on.
        task: Whose loss it is tried with.
        batch: Films per step.
        dtype: Precision of the comparison with autograd. Slopes and control are always in float64.
        steps: Training steps beside autograd's.
        rounds: Steps that are timed.
    """
    progress = tqdm(total=5, desc=name, leave=False, unit="proof")
    precision = getattr(torch, dtype)
    films = proofs.random_films(
        batch=batch,
        image_size=image_size,
        classes=network.head.out_features,
        dtype=precision,
        task=task,
    )
    exact = films.of_type(torch.float64)
    network = without_dropout(copy.deepcopy(network).train())
    by_hands, by_autograds = proofs.costs(network, films.of_type(torch.float32), rounds=rounds)
    progress.update()
    layers, zero = _compared(network.to(precision), films)
    progress.update()
    slopes, slope_errors = _sloped(network.double(), exact)
    progress.update()
    losses = _trained(network.to(precision), films, rightly(films), steps)
    progress.update()
    control = _control(network.double(), exact, slopes)
    progress.close()
    return NetworkReport(
        network=name,
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        image_size=image_size,
        batch=batch,
        dtype=dtype,
        layers=layers,
        zero_by_mathematics=zero,
        slopes=slope_errors,
        losses_by_hand=losses[0],
        losses_by_autograd=losses[1],
        control=control,
        seconds=(by_hands.seconds, by_autograds.seconds),
        bytes=(by_hands.bytes, by_autograds.bytes),
    )


def without_dropout(network: Network) -> Network:
    """Return the network, its dropout off: masks are random, and no two passes would agree."""
    for module in network.modules():
        if isinstance(module, nn.Dropout | DropPath):
            module.eval()
    return network


def _compared(
    network: Network, films: NoiseFilms
) -> tuple[tuple[LayerError, ...], dict[str, float]]:
    """Return relative errors by layer, and what is zero by mathematics."""
    seen = parts(rightly(films)(network, films.pixels, films.targets).gradients)
    expected = _expected(network, films)
    errors = relative_errors(seen, expected)
    zero = {name for name in expected if is_zero_by_mathematics(name)}
    layers: dict[str, float] = {}
    for name in (name for name in errors if name not in zero):
        layer = name.rpartition(".")[0]
        layers[layer] = _worst((layers.get(layer, 0.0), errors[name]))
    scale = largest_of(expected)
    return (
        tuple(LayerError(layer=layer, error=error) for layer, error in layers.items()),
        {name: max(largest(seen[name]), largest(expected[name])) / scale for name in sorted(zero)},
    )


def _sloped(network: Network, films: NoiseFilms) -> tuple[list[Slope], dict[str, float]]:
    """Return measured slopes of the loss, and how far the gradients by hand are from them."""
    gradients = rightly(films)(network, films.pixels, films.targets).gradients
    slopes = measured_slopes(network, films, gradients, samples=FINITE_DIFFERENCES)
    return slopes, errors_against_slopes(gradients, slopes)


def _trained(
    network: Network, films: NoiseFilms, gradients_of: GradientsOf, steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the losses of some training steps by hand, and of as many by autograd."""
    hand = proofs.losses_by_hand(network, films, gradients_of)
    autograd = proofs.losses_by_autograd(network, films)
    return tuple(islice(hand, steps)), tuple(islice(autograd, steps))


def _control(network: Network, films: NoiseFilms, slopes: list[Slope]) -> Control:
    """Return what each proof sees of an error planted half-way through the network."""
    layers = [
        name for name, layer in layers_in_order(network) if any(True for _ in layer.parameters())
    ]
    layer = layers[len(layers) // 2]
    spoiled = proofs.planted_at(layer, films)
    gradients = spoiled(network, films.pixels, films.targets).gradients
    return Control(
        layer=layer,
        against_autograd=_worst(
            relative_errors(parts(gradients), _expected(network, films)).values()
        ),
        against_slopes=_worst(errors_against_slopes(gradients, slopes).values()),
        over_steps=_loss_difference(*_trained(network, films, spoiled, CONTROL_STEPS)),
    )


def _expected(network: Network, films: NoiseFilms) -> dict[str, torch.Tensor]:
    return parts(
        by_autograd(network, films.pixels, films.targets, objective=films.objective).gradients
    )


def _loss_difference(seen: tuple[float, ...], expected: tuple[float, ...]) -> float:
    return _worst(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(seen, expected, strict=True))


def _worst(errors: Iterable[float]) -> float:
    """Return the largest; not a number if any is not, which `max` might pass over."""
    values = torch.tensor(list(errors), dtype=torch.float64)
    return float(values.max()) if len(values) else 0.0
