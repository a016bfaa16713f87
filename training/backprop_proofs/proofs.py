"""Compare a network's hand-written gradients with autograd, finite differences and training steps.

Each comparison is a function that returns its figures. A control plants an error that each of them
must detect.
"""

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from models.backprop.optimiser import clip_gradient_norm, sgd_start, sgd_step
from models.card import Task
from models.lung_field import LungField
from models.network import LayeredNetwork
from models.tape.tape import Gradients, Step
from training.backprop_proofs.memory import peak_bytes
from training.step.gradients import GradientsOf, Tensors, by_autograd, by_hand
from training.step.objective import Multiclass, Multilabel, Objective, Segmentation

FLOOR = 1e-6
"""Smaller gradients, as a share of the network's largest, are compared relative to this share."""

PLANTED_FACTOR = 1.01
"""Factor of the gradient that the control plants, half-way through the network."""

ProvenTask = Task | Literal["segmentation"]

LEARNING_RATE, MOMENTUM, MAX_NORM = 0.01, 0.9, 1.0
DIFFERENCE_STEP = 1e-7
"""Small, because a step across the kinks of many ReLUs does not give the slope at a point."""


@dataclass(frozen=True)
class NoiseFilms:
    """A batch of noise with targets, and the loss that is differentiated.

    The loss has class weights and label smoothing, so that errors in either show.
    """

    pixels: Tensor
    targets: Tensor
    objective: Objective

    def of_type(self, dtype: torch.dtype) -> "NoiseFilms":
        """Return the same films in another precision."""
        return replace(self, pixels=self.pixels.to(dtype))


def random_films(
    *,
    batch: int,
    image_size: tuple[int, int],
    classes: int,
    dtype: torch.dtype,
    task: ProvenTask = "multiclass",
    has_lungs: bool = False,
) -> NoiseFilms:
    """Return the same noise every time, drawn in float64; the first finding or cell is unknown.

    Args:
        batch: Films.
        image_size: Rows and columns.
        classes: Classes or findings.
        dtype: Of the pixels.
        task: Decides targets and loss.
        has_lungs: Outline two lungs in a second plane: on noise, none would be found.
    """
    generator = torch.Generator().manual_seed(7)
    pixels = torch.rand(batch, 1, *image_size, generator=generator, dtype=torch.float64).to(dtype)
    if has_lungs:
        pixels = torch.cat([pixels, two_bands(pixels)], dim=1)
    if task == "segmentation":
        cells = (side // LungField.cell for side in image_size)
        shares = torch.rand(batch, 1, *cells, generator=generator, dtype=torch.float64)
        shares[0, 0, 0, 0] = torch.nan
        return NoiseFilms(pixels, shares, Segmentation())
    is_multilabel = task == "multilabel"
    shape, values = ((batch, classes), 2) if is_multilabel else ((batch,), classes)
    targets = torch.randint(0, values, shape, generator=generator)
    weights = 0.5 + torch.rand(classes, generator=generator, dtype=torch.float64)
    if is_multilabel:
        targets = targets.double()
        targets[0, 0] = torch.nan
    objective = (Multilabel if is_multilabel else Multiclass)(weights, label_smoothing=0.1)
    return NoiseFilms(pixels, targets, objective)


def two_bands(pixels: Tensor) -> Tensor:
    """Return a plane that is 1 in two upright bands, about where lungs are, and 0 elsewhere."""
    rows, columns = pixels.shape[2:]
    bands = torch.zeros_like(pixels)
    for start, end in ((0.15, 0.42), (0.58, 0.85)):
        height, width = (
            slice(rows // 6, -(rows // 6)),
            slice(int(start * columns), int(end * columns)),
        )
        bands[:, :, height, width] = 1
    return bands


def relative_errors(seen: Tensors, expected: Tensors) -> dict[str, float]:
    """Return each tensor's largest difference, relative to the largest entry expected of it.

    Raises:
        ValueError: The names or shapes differ: a gradient is missing or superfluous.
    """
    if {n: g.shape for n, g in seen.items()} != {n: g.shape for n, g in expected.items()}:
        names = sorted(seen.keys() ^ expected.keys())
        raise ValueError(f"gradients must be those of autograd by name and shape; apart: {names}")
    floor = FLOOR * largest_of(expected)
    return {
        name: largest(seen[name] - expected[name]) / max(largest(expected[name]), floor)
        if floor > 0
        else largest(seen[name])
        for name in expected
    }


def with_qkv_apart(gradients: Tensors) -> Tensors:
    """Return the gradients with those of query, key and value as three tensors.

    They lie in one tensor, and an error in the smallest would hide behind the largest of them.
    """
    apart: Tensors = {}
    for name, gradient in gradients.items():
        if ".qkv." in name:
            roles = zip(("query", "key", "value"), gradient.chunk(3), strict=True)
            apart |= {f"{name}[{role}]": own for role, own in roles}
        else:
            apart[name] = gradient
    return apart


def is_zero_by_mathematics(name: str) -> bool:
    """Return whether a gradient is zero for any weights.

    A key's bias adds the same to all scores of a query, which the softmax doesn't see. (The bias of
    a convolution before batch normalisation would be another; no network here has one.)
    """
    return name.endswith("qkv.bias[key]")


@dataclass(frozen=True)
class Slope:
    """The derivative of the loss by one entry of a parameter, measured by finite differences.

    Attributes:
        parameter: Its name.
        entry: Number of the entry, counted row by row.
        value: (loss after - loss before) / (2 steps), central.
    """

    parameter: str
    entry: int
    value: float


def measured_slopes(
    network: LayeredNetwork, films: NoiseFilms, gradients: Tensors, *, number: int
) -> list[Slope]:
    """Return finite differences of the loss by parameters spread evenly over the depth.

    Of each chosen parameter it is the entry with the largest gradient.
    """
    names = list(gradients)
    spread = {round(i * (len(names) - 1) / max(1, number - 1)) for i in range(number)}
    return [
        _measured_slope(
            network, films, names[position], int(gradients[names[position]].abs().argmax())
        )
        for position in sorted(spread)
    ]


def errors_against_slopes(gradients: Tensors, slopes: list[Slope]) -> dict[str, float]:
    """Return the relative difference of each chosen gradient entry from its measured slope."""
    floor = FLOOR * largest_of(gradients)
    return {
        slope.parameter: abs(float(gradients[slope.parameter].flatten()[slope.entry]) - slope.value)
        / max(abs(slope.value), floor)
        for slope in slopes
    }


def _measured_slope(network: LayeredNetwork, films: NoiseFilms, name: str, entry: int) -> Slope:
    weight = network.get_parameter(name).detach().view(-1)
    before = weight[entry].clone()
    losses = []
    for signed_step in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
        weight[entry] = before + signed_step
        losses.append(_loss(network, films))
    weight[entry] = before
    return Slope(name, entry, (losses[0] - losses[1]) / (2 * DIFFERENCE_STEP))


@torch.no_grad()
def _loss(network: LayeredNetwork, films: NoiseFilms) -> float:
    logits = network(films.pixels)
    return films.objective.loss_by_hand(logits, films.targets).loss.item()


def losses_by_hand(
    network: LayeredNetwork, films: NoiseFilms, gradients_of: GradientsOf
) -> Iterator[float]:
    """Yield the loss of each training step, with backward, clipping and SGD by hand."""
    trained = copy.deepcopy(network)
    states = {name: sgd_start(weight) for name, weight in trained.named_parameters()}
    while True:
        loss, gradients = gradients_of(trained, films.pixels, films.targets)
        yield loss.item()
        clipped = clip_gradient_norm(gradients, max_norm=MAX_NORM).gradients
        with torch.no_grad():
            for name, gradient in clipped.items():
                weight = trained.get_parameter(name)
                moved, states[name] = sgd_step(
                    weight, gradient, states[name], learning_rate=LEARNING_RATE, momentum=MOMENTUM
                )
                weight.copy_(moved)


def losses_by_autograd(network: LayeredNetwork, films: NoiseFilms) -> Iterator[float]:
    """Yield the loss of each training step, with PyTorch's backward, clipping and SGD."""
    trained = copy.deepcopy(network)
    optimiser = torch.optim.SGD(trained.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    while True:
        loss, gradients = by_autograd(
            trained, films.pixels, films.targets, objective=films.objective
        )
        yield loss.item()
        for name, weight in trained.named_parameters():
            weight.grad = gradients.get(name)
        nn.utils.clip_grad_norm_(trained.parameters(), MAX_NORM)
        optimiser.step()


@dataclass(frozen=True)
class PlantedStep:
    """A control: the step of another layer, with a gradient by its input that is 1 % too large."""

    step: Step

    @property
    def is_trainable(self) -> bool:
        """Whether the layer has a parameter whose gradient is wanted."""
        return self.step.is_trainable

    def backward(self, grad_out: Tensor, *, needs_grad_x: bool) -> Gradients:
        """Return the layer's gradients, with the error in that by its input."""
        grad_x, parameters = self.step.backward(grad_out, needs_grad_x=needs_grad_x)
        return Gradients(None if grad_x is None else grad_x * PLANTED_FACTOR, parameters)


def planted_at(layer: str, films: NoiseFilms) -> GradientsOf:
    """Return the backward pass by hand with an error planted at one layer."""

    def spoiled(name: str, step: Step) -> Step:
        return PlantedStep(step) if name == layer else step

    return partial(by_hand, objective=films.objective, spoiled=spoiled)


def unspoiled(films: NoiseFilms) -> GradientsOf:
    """Return the backward pass by hand, without a planted error."""
    return partial(by_hand, objective=films.objective)


@dataclass(frozen=True)
class Cost:
    """Time and memory of one training step without its optimiser.

    Attributes:
        seconds: Median.
        bytes: Peak of its tensors.
    """

    seconds: float
    bytes: int


def costs(network: LayeredNetwork, films: NoiseFilms, *, rounds: int) -> tuple[Cost, Cost]:
    """Return the cost of a step by hand and by autograd, measured alternately."""
    steps: list[Callable[[], object]] = [
        lambda: unspoiled(films)(network, films.pixels, films.targets),
        lambda: by_autograd(network, films.pixels, films.targets, objective=films.objective),
    ]
    memory = [peak_bytes(step) for step in steps]  # warms up as well
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for step, taken in zip(steps, seconds, strict=True):
            start = time.perf_counter()
            step()
            taken.append(time.perf_counter() - start)
    of_hand, of_autograd = map(Cost, map(statistics.median, seconds), memory)
    return of_hand, of_autograd


def largest(gradient: Tensor) -> float:
    """Return the largest absolute entry."""
    return float(gradient.detach().abs().max())


def largest_of(gradients: Tensors) -> float:
    """Return the largest absolute entry of all gradients."""
    return max(map(largest, gradients.values()), default=0.0)
