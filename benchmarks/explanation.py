"""Measure what explaining costs: the graph with all maps, without them, and pytorch-grad-cam.

    python benchmarks/explanation.py [--rounds 10] [--threads 2] [--network NAME]

224x224, five classes, CPU, random weights; `chest_cnn-lungs` crops that from films of 320x320. Two
contestants at a time take turns in one process, so that they see the same machine; medians, and
ratios of medians. "With maps" is the exported graph: logits, probabilities, evidence of all classes
and distance. "Without" is the same exporter's graph of logits and probabilities alone.
pytorch-grad-cam explains one class.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnxruntime
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from models.card import Grid
from models.lungs.window import window_of
from models.network import Network
from training.backprop_proofs.networks import IMAGE_SIZE, NETWORKS, lungs_only
from training.export.novelty import MOST_FILMS
from training.onnx_files.writing import onnx_model
from xai.explained_network import Distance, ExplainedNetwork
from xai.novelty import STATISTICS, Novelty

CLASSES = 5
FILM_SIZE = (320, 320)
BUILT: dict[str, Callable[[int], Network]] = {
    **NETWORKS,
    "chest_cnn-lungs": partial(lungs_only, image_size=FILM_SIZE),
}
WARM_UP_ROUNDS = 4
SECONDS = 3
"""Shortest time of a measurement; a small network gets as many rounds as that takes."""
Contestant = Callable[[], object]


class WithoutMaps(nn.Module):
    """The first outputs of an explained network: logits and probabilities."""

    def __init__(self, explained: ExplainedNetwork) -> None:
        super().__init__()
        self.explained = explained

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities."""
        explanation = self.explained(pixels)
        return explanation.logits, explanation.probabilities


def explained_network(name: str) -> ExplainedNetwork:
    """Return a network with random weights: the time does not depend on them."""
    torch.manual_seed(0)
    network = BUILT[name](CLASSES)
    with torch.inference_mode():
        layout = network.layout(network.halfway(torch.zeros(1, 1, *image_size(name))))
    features = layout.shape[1]
    distance = Distance(torch.eye(features), torch.zeros(CLASSES, features))
    measured = len(STATISTICS) - (0 if window_of(network) else 3)
    films = torch.zeros(MOST_FILMS, measured)
    novelty = Novelty(torch.zeros(measured), torch.eye(measured), films)
    return ExplainedNetwork(network, distance, novelty, temperature=1.5).eval()


def image_size(name: str) -> Grid:
    """Return rows and columns of a network's input."""
    return IMAGE_SIZE if name in NETWORKS else FILM_SIZE


def exported(network: nn.Module, size: Grid, outputs: tuple[str, ...]) -> bytes:
    """Return the network's file as `cxr export` would write it, but for the card."""
    file: bytes = onnx_model(network, torch.rand(2, 1, *size), outputs).SerializeToString()
    return file


def session(file: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return an ONNX Runtime session as the server has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As the server has it; a pool that spins would also slow the next contestant.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def median_milliseconds(contestants: Sequence[Contestant], rounds: int) -> list[float]:
    """Return each contestant's median time, in turns and every other round in reverse order."""
    times: list[list[float]] = [[] for _ in contestants]
    turns = list(zip(contestants, times, strict=True))
    for round_number in range(WARM_UP_ROUNDS + rounds):
        for contestant, taken in turns[:: (-1) ** round_number]:
            start = time.perf_counter()
            contestant()
            taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken[WARM_UP_ROUNDS:]) for taken in times]


def reference_of(network: Network) -> GradCAM:
    """Return pytorch-grad-cam of the same network at the same layer."""
    layer = network.get_submodule(network.target_layer)
    return GradCAM(network, [layer], reshape_transform=network.on_grid)


class Contest:
    """The same network with its maps, without, and explained by pytorch-grad-cam."""

    def __init__(self, name: str, *, threads: int) -> None:
        explained = explained_network(name)
        self.size = image_size(name)
        file = exported(explained, self.size, explained.outputs)
        self.megabytes = len(file) / 1e6
        self.with_maps = session(file, threads)
        bare = exported(WithoutMaps(explained), self.size, explained.outputs[:2])
        self.without = session(bare, threads)
        self.reference = reference_of(explained.network)

    def medians(self, *, batch: int, rounds: int) -> list[float]:
        """Return milliseconds with maps and without, then with maps and of pytorch-grad-cam."""
        targets = [ClassifierOutputTarget(0)] * batch
        pixels = np.random.default_rng(0).random((batch, 1, *self.size), np.float32)
        tensor = torch.from_numpy(pixels)

        def ours() -> object:
            return self.with_maps.run(None, {"pixels": pixels})

        def bare() -> object:
            return self.without.run(None, {"pixels": pixels})

        start = time.perf_counter()
        bare()
        rounds = max(rounds, round(SECONDS / (time.perf_counter() - start)))
        # Not all in turns: PyTorch's threads spin for a while and would slow the next contestant.
        return [
            *median_milliseconds([ours, bare], rounds),
            *median_milliseconds([ours, lambda: self.reference(tensor, targets)], rounds),
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--network", action="append", choices=BUILT)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        "| network | file, MB | batch | with maps, ms | without, ms | ratio "
        "| pytorch-grad-cam, ms | / with maps |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.network or BUILT:
        contest = Contest(name, threads=arguments.threads)
        for batch in (1, 8):
            ours, bare, beside, theirs = contest.medians(batch=batch, rounds=arguments.rounds)
            print(
                f"| {name} | {contest.megabytes:.0f} | {batch} | {ours:.1f} | {bare:.1f} "
                f"| {ours / bare:.3f} | {theirs:.0f} | {theirs / beside:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
