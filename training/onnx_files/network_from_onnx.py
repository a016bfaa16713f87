"""Rebuild the PyTorch network of an exported file, for autograd or the outputs of other layers.

The file may be all that is left of a training run. The network is returned only if it gives the
same answers as ONNX Runtime with the file.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.architectures import build
from models.card import CARD_KEY, ExplanationMethod, ModelCard, Task
from models.network import Network
from training.onnx_files.graph_weights import GraphWeights
from xai.explained_network import grad_cam
from xai.runtime.golden import golden_pixels

MAX_RELATIVE_DIFFERENCE = 1e-4
"""Of logits, probabilities and evidence, as a share of the largest of each."""


def network_from_onnx(file: Path) -> tuple[Network, ModelCard]:
    """Return the network inside an exported file, in eval mode, and its card.

    Raises:
        OSError: The file can't be read.
        ValueError: It has no card, lacks weights, or the network's answers differ from the file's.
    """
    model = onnx.load(file)
    card = card_of(model)
    golden = torch.from_numpy(golden_pixels(card.golden, card.image_size))
    noise = torch.rand(2, 1, *card.image_size, generator=torch.Generator().manual_seed(0))
    network = restored(build(card), model)
    pixels = torch.cat([golden, noise])
    check_same(network, model, pixels, card.temperature, card.task, card.method)
    return network, card


def card_of(model: onnx.ModelProto) -> ModelCard:
    """Return the card in a model's metadata.

    Raises:
        ValueError: There is none.
    """
    cards = [entry.value for entry in model.metadata_props if entry.key == CARD_KEY]
    if not cards:
        raise ValueError(f"the file holds no {CARD_KEY}; write it with `cxr export`")
    return ModelCard.model_validate_json(cards[0])


def restored(network: Network, model: onnx.ModelProto) -> Network:
    """Return the network with the graph's weights, in eval mode.

    Args:
        network: Of the graph's architecture; its weights are overwritten.
        model: The exported graph.

    Raises:
        ValueError: A weight is missing in the graph or has another shape there.
    """
    weights = GraphWeights(model)
    given = {name: torch.from_numpy(weights.read(name).copy()) for name in weights.names}
    given |= _identities(network, given)
    state = network.state_dict()
    lacking = set(dict(network.named_parameters())) - set(given)
    if lacking:
        raise ValueError(f"the graph must hold every weight, but lacks {sorted(lacking)}")
    for name in state.keys() & given.keys():
        state[name] = given[name].reshape(state[name].shape)
    network.load_state_dict(state)
    return network.eval()


def _identities(network: Network, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of BatchNorms that the exporter folded: each only adds the bias left."""
    state = {}
    for name, norm in network.named_modules():
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        folded = given.get(f"{_convolution_before(name)}.weight_bias")
        if folded is not None:
            state[f"{name}.weight"] = torch.ones_like(folded)
            state[f"{name}.bias"] = folded
            state[f"{name}.running_mean"] = torch.zeros_like(folded)
            state[f"{name}.running_var"] = torch.full_like(folded, 1 - norm.eps)
    return state


def _convolution_before(norm: str) -> str:
    """Return the name of the convolution that a BatchNorm follows: `norm1` follows `conv1`."""
    *parents, own = norm.split(".")
    return ".".join([*parents, own.replace("norm", "conv")])


def logits_and_evidence(
    network: Network,
    pixels: Float[Tensor, "batch 1 rows columns"],
    method: ExplanationMethod = "grad_cam",
) -> tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch classes grid_rows grid_columns"]]:
    """Return logits and evidence as the exported graph computes them, for pixels in [0, 1]."""
    return grad_cam(network, method).explain_halfway(network.halfway(pixels))


@torch.inference_mode()
def check_same(
    network: Network,
    model: onnx.ModelProto,
    pixels: Float[Tensor, "batch 1 rows columns"],
    temperature: float,
    task: Task,
    method: ExplanationMethod = "grad_cam",
) -> None:
    """Raise ValueError unless the network gives the same answers as ONNX Runtime with the graph.

    Args:
        network: In eval mode.
        model: The graph.
        pixels: Input of both.
        temperature: Divides the logits.
        task: Softmax or sigmoid.
        method: How the graph finds evidence.
    """
    logits, evidence = logits_and_evidence(network, pixels, method)
    scaled = logits / temperature
    probabilities = scaled.sigmoid() if task == "multilabel" else scaled.softmax(dim=1)
    expected = {"logits": logits, "probabilities": probabilities, "evidence": evidence}
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(list(expected), {"pixels": pixels.numpy()})
    for (name, value), answer in zip(expected.items(), found, strict=True):
        difference = np.abs(value.numpy() - answer).max() / np.abs(answer).max()
        if not difference <= MAX_RELATIVE_DIFFERENCE:
            raise ValueError(
                f"{name} of the network made from the file differ from the file's by "
                f"{difference:.2g}, allowed are {MAX_RELATIVE_DIFFERENCE:.0e}"
            )
