"""Back-propagation by hand beside autograd: time of a training step, and largest relative error.

    python benchmarks/backprop.py [--batch 8] [--rounds 15] [--threads 1]

Time: one step of chest_cnn without its optimiser (forward, loss, every parameter's gradient),
float32, CPU. Both take turns in one process, so that both see the same machine; medians.
Error: float64, both modes of batch normalisation, largest absolute difference / max(largest
absolute autograd gradient of that tensor, 1e-6 of the network's largest).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.backprop.loss import cross_entropy_backward, cross_entropy_forward
from models.backprop.network import forward_with_tape, parameter_gradients
from models.chest_cnn import ChestCNN

Tensors = dict[str, Tensor]
GradientsOf = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensors]]


def by_hand(
    network: nn.Module,
    pixels: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensors]:
    """Return the loss and every trainable parameter's gradient, computed by this repository."""
    logits, tape = forward_with_tape(network, pixels)
    loss = cross_entropy_forward(
        logits, targets, class_weights=class_weights, label_smoothing=label_smoothing
    )
    return loss.loss, parameter_gradients(tape, cross_entropy_backward(loss.predicted, loss.true))


def by_autograd(
    network: nn.Module,
    pixels: Tensor,
    targets: Tensor,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensors]:
    """Return the loss and every trainable parameter's gradient, computed by PyTorch."""
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    loss = cross_entropy(
        network(pixels), targets, weight=class_weights, label_smoothing=label_smoothing
    )
    gradients = torch.autograd.grad(loss, tuple(trained.values()))
    return loss.detach(), dict(zip(trained, gradients, strict=True))


def relative_errors(seen: Tensors, expected: Tensors) -> dict[str, float]:
    """Return each tensor's largest difference, relative to the largest entry expected of it.

    Tensors below a millionth of the largest one count as that.
    """
    floor = 1e-6 * max(map(largest, expected.values()))
    differences = {name: largest(seen[name] - expected[name]) for name in expected}
    # Where all is 0, the error is 0 and not 0 / 0.
    return {
        name: difference and difference / max(largest(expected[name]), floor)
        for name, difference in differences.items()
    }


def largest(gradient: Tensor) -> float:
    """Return the largest absolute entry."""
    return float(gradient.detach().abs().max())


def median_seconds(
    contestants: tuple[GradientsOf, ...], network: nn.Module, *, batch: int, rounds: int
) -> list[float]:
    """Return each contestant's median time, taken in turns; the first round warms up."""
    pixels, targets = films(batch, torch.float32)
    seconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds + 1):
        for contestant, times in zip(contestants, seconds, strict=True):
            start = time.perf_counter()
            contestant(network, pixels, targets)
            times.append(time.perf_counter() - start)
    return [statistics.median(times[1:]) for times in seconds]


def errors_of_gradients(network: nn.Module) -> dict[str, float]:
    """Return the relative error of every parameter's gradient."""
    pixels, targets = films(2, torch.float64)
    _, seen = by_hand(network, pixels, targets)
    _, expected = by_autograd(network, pixels, targets)
    return relative_errors(seen, expected)


def films(batch: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return random pixels in [0, 1] and classes."""
    generator = torch.Generator().manual_seed(7)
    pixels = torch.rand(batch, 1, 224, 224, generator=generator, dtype=dtype)
    return pixels, torch.randint(0, 4, (batch,), generator=generator)


def chest_cnn(dtype: torch.dtype) -> ChestCNN:
    """Return the network with scales and shifts drawn at random, so that none hides an error."""
    torch.manual_seed(7)
    network = ChestCNN(classes=4, mean=0.5, std=0.25).to(dtype)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5, std=0.5)
    return network


def layer_of(parameter_name: str) -> str:
    """Return the layer a parameter belongs to."""
    return parameter_name.rpartition(".")[0]


def print_errors() -> None:
    """Print the largest relative error of each layer, in both modes."""
    network = chest_cnn(torch.float64)
    training = errors_of_gradients(network.train())
    running = errors_of_gradients(network.eval())
    print("| layer | training | running statistics |\n| --- | --- | --- |")
    for layer in dict.fromkeys(map(layer_of, training)):
        names = [name for name in training if layer_of(name) == layer]
        worst = (max(errors[name] for name in names) for errors in (training, running))
        print(f"| {layer} | " + " | ".join(f"{error:.1e}" for error in worst) + " |")
    print(f"| all | {max(training.values()):.1e} | {max(running.values()):.1e} |")


def print_times(*, batch: int, rounds: int) -> None:
    """Print the median time of both, and their ratio."""
    network = chest_cnn(torch.float32).train()
    hand, autograd = median_seconds((by_hand, by_autograd), network, batch=batch, rounds=rounds)
    print("| batch | by hand, ms | autograd, ms | ratio of medians |\n| --- | --- | --- | --- |")
    print(f"| {batch} | {hand * 1e3:.0f} | {autograd * 1e3:.0f} | {hand / autograd:.2f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print_times(batch=arguments.batch, rounds=arguments.rounds)
    print()
    print_errors()


if __name__ == "__main__":
    main()
