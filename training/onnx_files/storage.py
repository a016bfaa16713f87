"""Round a network's large weights so that they can be stored in fewer bytes.

The weights are rounded first (`with_rounded_weights`), so that everything that is chosen, proved or
measured afterwards is the rounded network's. Its graph is then stored without further loss
(`training.onnx_files.stored_graph`).
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int8
from torch import Tensor, nn

from models.card import Storage, WeightStorage
from models.lungs.window import window_of
from models.network import Network
from training.statistics.metrics import Findings, Targets, macro_auroc, macro_finding_auroc
from xai.explained_network import AnyExplanation

LARGE = 4096
"""Tensors with fewer values, or with one dimension, stay float32."""

LARGEST = 127
"""Largest of the integers; the smallest is -127, so that zero is in the middle."""

SCALE_BITS = 11
"""Significant bits of a scale: its product with a 7-bit integer is exact in float32."""

MAX_AUROC_DIFFERENCE = 0.005
MIN_EVIDENCE_CORRELATION = 0.98

Weights = Float32[np.ndarray, "*shape"]


class Quantised(NamedTuple):
    """Integers in [-127, 127] with one scale per channel."""

    integers: Int8[np.ndarray, "*shape"]
    scale: Float32[np.ndarray, "*channels"]

    @property
    def weights(self) -> Weights:
        """The float32 weights that they represent."""
        return self.integers.astype(np.float32) * self.scale


def quantised(weights: Weights, *, axis: int = 0) -> Quantised:
    """Return the weights as integers; the largest of each channel becomes 127 or -127.

    Weights that were rounded in this way before are represented exactly.

    Args:
        weights: float32.
        axis: That of the channels.

    Source:
        Krishnamoorthi 2018, arXiv:1806.08342, equations 7 to 9, symmetric and per channel; here the
        scales are rounded up to 11 bits.
    """
    others = tuple(number for number in range(weights.ndim) if number != axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    significand, exponent = np.frexp(largest / np.float32(LARGEST))
    scale = np.ldexp(np.ceil(significand * 2**SCALE_BITS), exponent - SCALE_BITS)
    scale = np.where(largest > 0, scale, 1).astype(np.float32)
    return Quantised(np.rint(weights / scale).astype(np.int8), scale)


def halves(weights: Weights) -> Float16[np.ndarray, "*shape"]:
    """Return the nearest float16, infinite from 65,520 on."""
    with np.errstate(over="ignore"):
        return weights.astype(np.float16)


def rounded(weights: Weights, storage: Storage) -> Weights:
    """Return the nearest float32 weights that `storage` represents exactly."""
    if storage == "int8":
        return quantised(weights).weights
    return halves(weights).astype(np.float32) if storage == "float16" else weights


def with_rounded_weights(network: Network, storage: Storage) -> Network:
    """Return a copy of the network with large weights rounded; float32 returns the network."""
    if storage == "float32":
        return network
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for weight in large_weights(copied):
            weight.copy_(torch.from_numpy(rounded(weight.numpy(force=True), storage)))
    return copied


def is_large(shape: Sequence[int]) -> bool:
    """Return whether a tensor of this shape is worth storing small."""
    return len(shape) >= 2 and math.prod(shape) >= LARGE


def large_weights(network: Network) -> Iterator[Tensor]:
    """Yield the large weights of linear and convolutional layers.

    The head, biases, norms and positions are small and sensitive: they stay float32. So does the
    lung field, whose own are float16 numbers: in int8 it moves the box of some films by pixels.
    """
    window = window_of(network)
    kept = {network.head, *(window.modules() if window else ())}
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer not in kept:
            weight: Tensor = layer.weight
            if is_large(weight.shape):
                yield weight


def storage_loss(
    storage: Storage,
    exact: AnyExplanation,
    stored: AnyExplanation,
    targets: Targets | Findings,
) -> WeightStorage:
    """Return what rounding the weights changed on val films.

    Args:
        storage: How the weights are stored.
        exact: Answers of the network as it was trained.
        stored: Answers of the network with rounded weights.
        targets: The films' class numbers, or their findings.

    Raises:
        ValueError: It changed more than is allowed.
    """
    auroc = macro_finding_auroc if targets.ndim == 2 else macro_auroc
    before, after = (auroc(answers.probabilities.numpy(), targets) for answers in (exact, stored))
    maps = [answers.evidence.numpy().ravel() for answers in (exact, stored)]
    difference, correlation = after - before, float(np.corrcoef(maps)[0, 1])
    if not (
        abs(difference) <= MAX_AUROC_DIFFERENCE and correlation >= MIN_EVIDENCE_CORRELATION
    ):  # also where one of them is not a number
        raise ValueError(
            f"storage {storage} changes the macro AUROC by {difference:+.4f} (at most "
            f"{MAX_AUROC_DIFFERENCE}) and leaves an evidence correlation of {correlation:.4f} (at "
            f"least {MIN_EVIDENCE_CORRELATION}); nothing was written"
        )
    return WeightStorage(
        kind=storage, auroc_difference=difference, evidence_correlation=correlation
    )


def sentence(loss: WeightStorage) -> str:
    """Return the loss as a sentence for a person."""
    return (
        f"large weights stored as {loss.kind}: on val the macro AUROC changes by "
        f"{loss.auroc_difference:+.4f}, evidence correlates by {loss.evidence_correlation:.4f}"
    )
