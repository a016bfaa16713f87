"""A network made from an exported file gives the file's answers, or is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.architectures import build
from tests.support.small_networks import small_network
from tests.support.tiny_model import write_model
from tests.training.export.test_three_graphs import films
from tests.training.onnx_files.test_graph_weights import FOLDED, WHOLE, model
from training.onnx_files.graph_weights import GraphWeights
from training.onnx_files.network_from_onnx import check_same, network_from_onnx, restored

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).parents[3] / "service" / "default_model"


@pytest.mark.parametrize("name", WHOLE)
def test_a_network_drawn_anew_gets_the_files_weights(name: str) -> None:
    network = small_network(name).float()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    restored(network, model(name))
    check_same(network, model(name), films(3), 2.0, "multiclass")


def test_a_network_that_answers_otherwise_is_refused() -> None:
    network = restored(small_network("vgg16").float(), model("vgg16"))
    with torch.no_grad():
        network.head.weight[0] *= 1.01
    with pytest.raises(ValueError, match="differ from the file's by"):
        check_same(network, model("vgg16"), films(2), 2.0, "multiclass")


def test_a_graph_that_lacks_a_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks \['blocks\.2\.attn\.qkv"):
        restored(small_network(FOLDED).float(), model(FOLDED))


def test_a_file_without_the_networks_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold every weight, but lacks"):
        network_from_onnx(write_model(tmp_path))


def test_a_file_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no model_card"):
        network_from_onnx(write_model(tmp_path, card_json=""))


@pytest.mark.parametrize("name", ["chest_cnn", "vgg16", "vit_b16"])
def test_the_shipped_models_come_back(name: str) -> None:
    network, card = network_from_onnx(SHIPPED / f"{name}.onnx")
    assert (card.architecture, network.training) == (name, False)


@pytest.mark.parametrize(("name", "layer"), [("vgg16", "trunk.28"), ("vit_b16", "blocks.11")])
def test_weights_stored_small_can_be_written(name: str, layer: str) -> None:
    graph = GraphWeights(onnx.load(SHIPPED / f"{name}.onnx"))
    for weight in [own for own in graph.names if own.startswith(f"{layer}.")]:
        graph.write(weight, np.roll(graph.read(weight), 1, axis=0))
    _, card = network_from_onnx(SHIPPED / f"{name}.onnx")
    network = restored(build(card), graph.model)
    pixels = torch.rand(2, 1, *card.image_size)
    check_same(network, graph.model, pixels, card.temperature, card.task)
