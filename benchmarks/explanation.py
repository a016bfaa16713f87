"""What explaining costs: the graph with all maps beside the graph without, and pytorch-grad-cam.

    python benchmarks/explanation.py [--rounds 100] [--threads 2]

chest_cnn, 224x224, five classes, CPU. Two contestants at a time take turns in one process, so that
they see the same machine; medians, and ratios of medians. "With maps" is the exported graph:
logits, probabilities, evidence of all classes and distance. "Without" is the same exporter's graph
of logits and probabilities alone. pytorch-grad-cam explains one class.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from models.chest_cnn import ChestCNN
from training.onnx_file import onnx_model
from xai.explained_network import Distance, ExplainedNetwork, Explanation

CLASSES = 5
WARM_UP_ROUNDS = 4
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


def explained_network() -> ExplainedNetwork:
    """Return chest_cnn with random weights: time does not depend on what was learnt."""
    torch.manual_seed(0)
    network = ChestCNN(classes=CLASSES, mean=0.5, std=0.25)
    features = network.widths[-1]
    distance = Distance(torch.eye(features), torch.zeros(CLASSES, features))
    return ExplainedNetwork(network, distance, temperature=1.5).eval()


def session(
    network: nn.Module, outputs: tuple[str, ...], threads: int
) -> onnxruntime.InferenceSession:
    """Return an ONNX Runtime session of the network as `cxr export` would write it."""
    model = onnx_model(network, torch.rand(2, 1, 224, 224), outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # As the server has it; a pool that spins would also slow whoever comes next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


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


def medians(explained: ExplainedNetwork, *, batch: int, rounds: int, threads: int) -> list[float]:
    """Return milliseconds with maps and without, then with maps and of pytorch-grad-cam."""
    with_maps = session(explained, Explanation._fields, threads)
    without = session(WithoutMaps(explained), Explanation._fields[:2], threads)
    reference = GradCAM(explained.network, [explained.network.stages[3]])
    targets = [ClassifierOutputTarget(0)] * batch
    pixels = np.random.default_rng(0).random((batch, 1, 224, 224), np.float32)
    tensor = torch.from_numpy(pixels)

    def ours() -> object:
        return with_maps.run(None, {"pixels": pixels})

    # Not all three in turns: PyTorch's threads spin for a while and would slow whoever comes next.
    return [
        *median_milliseconds([ours, lambda: without.run(None, {"pixels": pixels})], rounds),
        *median_milliseconds([ours, lambda: reference(tensor, targets)], rounds),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    explained = explained_network()
    print("| batch | with maps, ms | without, ms | ratio | pytorch-grad-cam, ms | / with maps |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch in (1, 8):
        ours, bare, ours_beside, theirs = medians(
            explained, batch=batch, rounds=arguments.rounds, threads=arguments.threads
        )
        print(
            f"| {batch} | {ours:.2f} | {bare:.2f} | {ours / bare:.3f} "
            f"| {theirs:.2f} | {theirs / ours_beside:.1f} |"
        )


if __name__ == "__main__":
    main()
