"""Write the explained network as ONNX; refuse a file whose answers differ from PyTorch's."""

from pathlib import Path

import numpy as np
import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.card import CARD_KEY, ModelCard
from training.data.whole_file import replacing
from training.onnx_files.storage import large_weights
from training.onnx_files.stored_graph import store_small
from xai.explained_network import ExplainedNetwork
from xai.explainer import Answers, Explainer

OPSET = 20
MAX_PROBABILITY_DIFFERENCE = 1e-4
MAX_RELATIVE_DIFFERENCE = 1e-3


def onnx_model(
    network: nn.Module, pixels: Float[Tensor, "batch 1 rows columns"], outputs: tuple[str, ...]
) -> onnx.ModelProto:
    """Return the network as an ONNX graph with input `pixels` and a free batch size.

    Args:
        network: In eval mode; returns a tuple of tensors.
        pixels: An example of at least two films: a batch of one could be traced as a constant.
        outputs: Names of the outputs.
    """
    program = torch.onnx.export(
        network.eval(),
        (pixels,),
        input_names=["pixels"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    return _without_origins(program.model_proto)


def _without_origins(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph without its stack traces, which name paths of this machine."""
    graph = model.graph
    for element in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.output):
        element.ClearField("metadata_props")
        element.ClearField("doc_string")
    return model


def write_checked(
    network: ExplainedNetwork,
    card: ModelCard,
    output: Path,
    *,
    pixels: Float[Tensor, "batch 1 rows columns"],
) -> str:
    """Write the ONNX file with its card and return a sentence on its exactness.

    Args:
        network: The network with its explanation; its weights are rounded as the card says.
        card: What the server needs to know.
        output: Written only if the answers agree.
        pixels: Films on which they are compared.

    Raises:
        ValueError: Probabilities differ by more than 1e-4, or logits, evidence or distance by more
            than 1e-3 of their largest value; or the graph can't be stored as the card says.
    """
    model = onnx_model(network, pixels[:2], network.outputs)
    if card.storage:
        rounded_values = sum(weight.numel() for weight in large_weights(network.network))
        store_small(model, rounded_values=rounded_values)
    onnx.helper.set_model_props(model, {CARD_KEY: card.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    with replacing(output) as unchecked:
        onnx.save(model, unchecked)
        answers = Explainer(unchecked)(pixels.numpy())
        differences = _differences(network, answers, pixels)
        _check(differences)
    figures = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    return (
        f"{output}: {output.stat().st_size / 1e6:.1f} MB; largest difference between ONNX Runtime "
        f"and PyTorch on {len(pixels)} films: {figures} (probabilities absolute, others relative)"
    )


def rewrite_card(file: Path, card: ModelCard) -> None:
    """Put another card into an exported file, whose graph stays as it is."""
    model = onnx.load(file)
    onnx.helper.set_model_props(model, {CARD_KEY: card.model_dump_json()})
    with replacing(file) as unfinished:
        onnx.save(model, unfinished)


@torch.inference_mode()
def _differences(
    network: ExplainedNetwork, answers: Answers, pixels: Float[Tensor, "batch 1 rows columns"]
) -> dict[str, float]:
    differences = {}
    for name, expected in network(pixels)._asdict().items():
        scale = 1.0 if name == "probabilities" else float(expected.abs().max())
        difference = np.abs(getattr(answers, name) - expected.numpy()).max()
        differences[name] = float(difference) / scale
    return differences


def _check(differences: dict[str, float]) -> None:
    for name, difference in differences.items():
        allowed = MAX_PROBABILITY_DIFFERENCE if name == "probabilities" else MAX_RELATIVE_DIFFERENCE
        if not difference <= allowed:
            raise ValueError(
                f"{name} of ONNX Runtime differ from PyTorch's by {difference:.2g}, "
                f"allowed are {allowed:.0e}; nothing was written"
            )
