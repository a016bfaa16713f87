"""Measure what explaining costs: the graph with all maps, without them, and pytorch-grad-cam.

    python benchmarks/explanation.py [--rounds 10] [--threads 2] [--network NAME]

224x224, five classes, CPU, random weights; `chest_cnn-lungs` crops that from films of 320x320, and
`chest_cnn-lungs behind the front` is given the crop and the lungs' mask instead of a film. Two
contestants at a time take turns in one process, so that they see the same machine; medians, and
ratios of medians. "With maps" is the exported graph. "Without" is the same exporter's graph of all
outputs but the evidence: it refuses the same films.
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

from models.lungs.window import window_of
from models.network import Chain, Masked, Network
from training.backprop_proofs.networks import IMAGE_SIZE, NETWORKS, lungs_only
from training.export.novelty import MOST_FILMS
from training.onnx_files.writing import onnx_model
from xai.explained_network import Distance, ExplainedNetwork
from xai.novelty import STATISTICS, Novelty

CLASSES = 5
FILM_SIZE = (320, 320)


class Seen(nn.Module):
    """What the front hands on, given as two channels: the crop of a film, and the lungs' mask."""

    def forward(self, pixels: Tensor) -> Masked:
        """Return them."""
        return Masked(pixels[:, :1], pixels[:, 1:])


def behind_the_front(classes: int) -> Network:
    """Return the local chest_cnn that sees only the lungs, without lung field and front."""
    network = lungs_only(classes)
    network.normalise = Chain(Seen(), *list(network.normalise.children())[1:])
    return network


BEHIND_THE_FRONT = "chest_cnn-lungs behind the front"
BUILT: dict[str, Callable[[int], Network]] = {
    **NETWORKS,
    "chest_cnn-lungs": partial(lungs_only, image_size=FILM_SIZE),
    BEHIND_THE_FRONT: behind_the_front,
}
WARM_UP_ROUNDS = 4
SECONDS = 3
"""Shortest time of a measurement; a small network gets as many rounds as that takes."""
Contestant = Callable[[], object]


class WithoutMaps(nn.Module):
    """All outputs of an explained network but the evidence."""

    def __init__(self, explained: ExplainedNetwork) -> None:
        super().__init__()
        self.explained = explained
        self.outputs = tuple(name for name in explained.outputs if name != "evidence")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return them."""
        explanation = self.explained(pixels)._asdict()
        return tuple(explanation[name] for name in self.outputs)


def explained_network(name: str) -> ExplainedNetwork:
    """Return a network with random weights: the time does not depend on them."""
    torch.manual_seed(0)
    network = BUILT[name](CLASSES)
    with torch.inference_mode():
        layout = network.layout(network.halfway(torch.zeros(1, *input_size(name))))
    features = layout.shape[1]
    distance = Distance(torch.eye(features), torch.zeros(CLASSES, features))
    measured = len(STATISTICS) - (0 if window_of(network) else 3)
    films = torch.zeros(MOST_FILMS, measured)
    novelty = Novelty(torch.zeros(measured), torch.eye(measured), films)
    return ExplainedNetwork(network, distance, novelty, temperature=1.5).eval()


def input_size(name: str) -> tuple[int, int, int]:
    """Return channels, rows and columns of a network's input."""
    if name == BEHIND_THE_FRONT:
        return (2, *IMAGE_SIZE)
    return (1, *(IMAGE_SIZE if name in NETWORKS else FILM_SIZE))


def exported(network: nn.Module, size: tuple[int, int, int], outputs: tuple[str, ...]) -> bytes:
    """Return the network's file as `cxr export` would write it, but for the card."""
    file: bytes = onnx_model(network, torch.rand(2, *size), outputs).SerializeToString()
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
        self.size = input_size(name)
        file = exported(explained, self.size, explained.outputs)
        self.megabytes = len(file) / 1e6
        self.with_maps = session(file, threads)
        bare = WithoutMaps(explained)
        self.without = session(exported(bare, self.size, bare.outputs), threads)
        self.reference = reference_of(explained.network)

    def medians(self, *, batch: int, rounds: int) -> list[float]:
        """Return milliseconds with maps and without, then with maps and of pytorch-grad-cam."""
        targets = [ClassifierOutputTarget(0)] * batch
        pixels = np.random.default_rng(0).random((batch, *self.size), np.float32)
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
