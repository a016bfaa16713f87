"""Run all proofs of a network's hand-written gradients and record what they found."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from pydantic import ConfigDict
from timm.layers import DropPath
from torch import nn
from tqdm import tqdm

from models.card import Grid, PositiveInt, Record
from models.lungs.window import window_of
from models.network import LayeredNetwork, Network, layers_in_order
from training.backprop_proofs import proofs
from training.backprop_proofs.proofs import (
    NoiseFilms,
    ProvenTask,
    Slope,
    errors_against_slopes,
    is_zero_by_mathematics,
    largest,
    largest_of,
    measured_slopes,
    relative_errors,
    unspoiled,
    with_qkv_apart,
)
from training.step.gradients import GradientsOf, by_autograd

Dtype = Literal["float64", "float32"]

TOLERANCES: dict[Dtype, float] = {"float64": 1e-9, "float32": 1e-2}
"""Largest relative error of a gradient, and of a loss, against autograd."""

SLOPE_TOLERANCE = 1e-3
"""Largest relative difference of a gradient from the slope of the loss, in float64."""

MEMORY_LIMIT = 1.2
"""Largest allowed memory of a step by hand, as a share of autograd's."""

CONTROL_STEPS = 3
FINITE_DIFFERENCES = 8


class Evidence(Record):
    """Base of a report's records; figures may be NaN or infinite."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="strings")


class LayerError(Evidence):
    """A layer's largest relative error against autograd.

    Attributes:
        layer: Its name within the network.
        error: Largest relative error of any of its parameters.
    """

    layer: str
    error: float


class Control(Evidence):
    """Response of each proof to an error planted on purpose: a gradient 1 % too large.

    Attributes:
        layer: Where the error was planted.
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
        slopes: Relative difference from finite differences, by chosen parameter.
        losses_by_hand: One per training step.
        losses_by_autograd: Likewise.
        control: Response of the proofs to a planted error.
        seconds: Median of a step in float32: by hand, by autograd.
        bytes: Peak memory of a step's tensors in float32: by hand, by autograd.
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
        """The largest of all layers; NaN if one of them is."""
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
        """A sentence for each failed check; empty if the gradients are right."""
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
        """A sentence if a step takes too much memory; time is too noisy to be judged."""
        if self.memory_ratio <= MEMORY_LIMIT:
            return ()
        return (
            f"a step takes {self.memory_ratio:.2f} times autograd's memory, allowed is "
            f"{MEMORY_LIMIT}",
        )


class BackpropReport(Evidence):
    """The evidence on one or several networks, and the set-up it was gathered with."""

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
    network: LayeredNetwork,
    *,
    image_size: Grid,
    task: ProvenTask = "multiclass",
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
        steps: Training steps whose losses are compared.
        rounds: Steps that are timed.
    """
    films = proofs.random_films(
        batch=batch,
        image_size=image_size,
        classes=network.head.get_parameter("weight").shape[0],
        dtype=getattr(torch, dtype),
        task=task,
        has_lungs=isinstance(network, Network) and window_of(network) is not None,
    )
    trial = Trial(name, without_dropout(copy.deepcopy(network).train()), films, dtype)
    return _evidence(trial, steps=steps, rounds=rounds)


@dataclass(frozen=True)
class Trial:
    """A network to try, and the films to try it on.

    Attributes:
        name: Of the network.
        network: In training mode, without dropout.
        films: In the precision of the comparisons.
        dtype: That precision.
    """

    name: str
    network: LayeredNetwork
    films: NoiseFilms
    dtype: Dtype

    def in_precision(self, dtype: Dtype) -> tuple[LayeredNetwork, NoiseFilms]:
        """Return network (converted in place) and films in a precision."""
        precision = getattr(torch, dtype)
        return self.network.to(precision), self.films.of_type(precision)


def _evidence(trial: Trial, *, steps: int, rounds: int) -> NetworkReport:
    """Run all proofs, one after the other."""
    batch, _, rows, columns = trial.films.pixels.shape
    with tqdm(total=5, desc=trial.name, leave=False, unit="proof") as progress:
        hand, autograd = proofs.costs(*trial.in_precision("float32"), rounds=rounds)
        progress.update()
        layers, zero = _compared(*trial.in_precision(trial.dtype))
        progress.update()
        slopes, slope_errors = _sloped(*trial.in_precision("float64"))
        progress.update()
        losses = _trained(*trial.in_precision(trial.dtype), unspoiled(trial.films), steps)
        progress.update()
        control = _control(*trial.in_precision("float64"), slopes)
    return NetworkReport(
        network=trial.name,
        parameters=sum(p.numel() for p in trial.network.parameters() if p.requires_grad),
        image_size=(rows, columns),
        batch=batch,
        dtype=trial.dtype,
        layers=layers,
        zero_by_mathematics=zero,
        slopes=slope_errors,
        losses_by_hand=losses[0],
        losses_by_autograd=losses[1],
        control=control,
        seconds=(hand.seconds, autograd.seconds),
        bytes=(hand.bytes, autograd.bytes),
    )


def without_dropout(network: LayeredNetwork) -> LayeredNetwork:
    """Return the network with dropout off: its masks are random, so no two passes would agree."""
    for module in network.modules():
        if isinstance(module, nn.Dropout | DropPath):
            module.eval()
    return network


def _compared(
    network: LayeredNetwork, films: NoiseFilms
) -> tuple[tuple[LayerError, ...], dict[str, float]]:
    """Return relative errors by layer, and gradients that are zero by mathematics."""
    gradients = unspoiled(films)(network, films.pixels, films.targets).gradients
    seen, expected = with_qkv_apart(gradients), _expected(network, films)
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


def _sloped(network: LayeredNetwork, films: NoiseFilms) -> tuple[list[Slope], dict[str, float]]:
    """Return measured slopes of the loss, and the gradients' relative differences from them."""
    gradients = unspoiled(films)(network, films.pixels, films.targets).gradients
    slopes = measured_slopes(network, films, gradients, number=FINITE_DIFFERENCES)
    return slopes, errors_against_slopes(gradients, slopes)


def _trained(
    network: LayeredNetwork, films: NoiseFilms, gradients_of: GradientsOf, steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the losses of some training steps by hand, and of as many by autograd."""
    hand = proofs.losses_by_hand(network, films, gradients_of)
    autograd = proofs.losses_by_autograd(network, films)
    return tuple(islice(hand, steps)), tuple(islice(autograd, steps))


def _control(network: LayeredNetwork, films: NoiseFilms, slopes: list[Slope]) -> Control:
    """Return the response of each proof to an error planted half-way through the network."""
    layers = [
        name for name, layer in layers_in_order(network) if any(True for _ in layer.parameters())
    ]
    layer = layers[len(layers) // 2]
    spoiled = proofs.planted_at(layer, films)
    gradients = spoiled(network, films.pixels, films.targets).gradients
    return Control(
        layer=layer,
        against_autograd=_worst(
            relative_errors(with_qkv_apart(gradients), _expected(network, films)).values()
        ),
        against_slopes=_worst(errors_against_slopes(gradients, slopes).values()),
        over_steps=_loss_difference(*_trained(network, films, spoiled, CONTROL_STEPS)),
    )


def _expected(network: LayeredNetwork, films: NoiseFilms) -> dict[str, torch.Tensor]:
    return with_qkv_apart(
        by_autograd(network, films.pixels, films.targets, objective=films.objective).gradients
    )


def _loss_difference(seen: tuple[float, ...], expected: tuple[float, ...]) -> float:
    return _worst(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(seen, expected, strict=True))


def _worst(errors: Iterable[float]) -> float:
    """Return the largest error; NaN if any is, which `max` could miss."""
    values = torch.tensor(list(errors), dtype=torch.float64)
    return float(values.max()) if len(values) else 0.0
