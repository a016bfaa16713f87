"""What explaining costs: the graph with all maps beside the graph without, and pytorch-grad-cam.

    python benchmarks/explanation.py [--rounds 60] [--threads 2]

chest_cnn, 224x224, five classes, CPU. All contestants take turns in one process, so that they see
the same machine; medians, and ratios of medians. "With maps" is the exported graph: logits,
probabilities, evidence of all classes and distance. "Without" is the same exporter's graph of
logits and probabilities alone. pytorch-grad-cam explains one class.
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
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def median_milliseconds(contestants: Sequence[Contestant], rounds: int) -> list[float]:
    """Return each contestant's median time, taken in turns after three rounds of warm-up."""
    times: list[list[float]] = [[] for _ in contestants]
    for round_number in range(rounds + 3):
        for contestant, taken in zip(contestants, times, strict=True):
            start = time.perf_counter()
            contestant()
            if round_number >= 3:
                taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken) for taken in times]


def medians(explained: ExplainedNetwork, *, batch: int, rounds: int, threads: int) -> list[float]:
    """Return milliseconds with maps, without, and of pytorch-grad-cam for one class."""
    with_maps = session(explained, Explanation._fields, threads)
    without = session(WithoutMaps(explained), Explanation._fields[:2], threads)
    reference = GradCAM(explained.network, [explained.network.stages[3]])
    targets = [ClassifierOutputTarget(0)] * batch
    pixels = np.random.default_rng(0).random((batch, 1, 224, 224), np.float32)
    tensor = torch.from_numpy(pixels)
    return median_milliseconds(
        (
            lambda: with_maps.run(None, {"pixels": pixels}),
            lambda: without.run(None, {"pixels": pixels}),
            lambda: reference(tensor, targets),
        ),
        rounds,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    explained = explained_network()
    print("batch  with maps     without  ratio  pytorch-grad-cam / with maps")
    for batch in (1, 8):
        ours, bare, theirs = medians(
            explained, batch=batch, rounds=arguments.rounds, threads=arguments.threads
        )
        print(
            f"{batch:5} {ours:7.2f} ms {bare:8.2f} ms {ours / bare:6.3f} "
            f"{theirs:14.2f} ms {theirs / ours:6.1f}"
        )


if __name__ == "__main__":
    main()
