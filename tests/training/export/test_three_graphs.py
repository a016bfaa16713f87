"""Exported graphs of all three networks, with the backward pass of Grad-CAM inside."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.card import ExplanationMethod
from tests.support.small_networks import SMALL, noise, plain_distance, plain_novelty, small_network
from training.onnx_files.network_from_onnx import check_same
from training.onnx_files.writing import onnx_model
from xai.explained_network import ExplainedNetwork, Explanation

pytestmark = pytest.mark.slow

NETWORKS = pytest.mark.parametrize("name", SMALL)
FILM_BY_FILM = ("vgg16 fully connected", "vit_b16 token", "vit_b16 average")
MODELS: dict[str, onnx.ModelProto] = {}


class WithWeights(nn.Module):
    """An explained network that also shows its channel weights."""

    def __init__(self, explained: ExplainedNetwork) -> None:
        super().__init__()
        self.explained = explained

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return the explanation and the weights."""
        seam = self.explained.network.seam(pixels)
        return (*self.explained(pixels), self.explained.grad_cam(seam).channel_weights)


def explained(name: str, method: ExplanationMethod = "grad_cam") -> ExplainedNetwork:
    network = small_network(name).float()
    distance = plain_distance(network, films(1))
    return ExplainedNetwork(
        network, distance, plain_novelty(), temperature=2.0, method=method
    ).eval()


def films(batch: int) -> Tensor:
    """Return films that differ, the second one much darker."""
    pixels, _ = noise(batch)
    pixels[1:2] **= 4
    return pixels.float()


def model(name: str) -> onnx.ModelProto:
    """Return the graph, made once for all tests."""
    if name not in MODELS:
        outputs = (*Explanation._fields, "channel_weights")
        MODELS[name] = onnx_model(WithWeights(explained(name)), films(2), outputs)
    return MODELS[name]


def run(name: str, pixels: Tensor) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(
        model(name).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"pixels": pixels.numpy()}), strict=True))


@NETWORKS
@pytest.mark.parametrize("batch", [1, 3, 8])
def test_onnx_runtime_answers_as_pytorch_for_every_batch(name: str, batch: int) -> None:
    pixels = films(batch)
    with torch.inference_mode():
        expected = explained(name)(pixels)._asdict()
    answers = run(name, pixels)
    for output, value in expected.items():
        scale = max(1e-6, float(value.abs().max()))
        np.testing.assert_allclose(answers[output], value.numpy(), rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("name", ["vgg16 fully connected", "vit_b16 token"])
def test_a_graph_with_hirescam_inside_answers_as_pytorch(name: str) -> None:
    wanted = explained(name, "hirescam")
    graph = onnx_model(wanted, films(2), Explanation._fields)
    onnx.checker.check_model(graph, full_check=True)
    check_same(wanted.network, graph, films(3), 2.0, "multiclass", "hirescam")
    with pytest.raises(ValueError, match="evidence of the network made from the file differ"):
        check_same(wanted.network, graph, films(3), 2.0, "multiclass", "grad_cam")


@NETWORKS
def test_only_standard_operators_and_a_free_batch(name: str) -> None:
    graph = model(name)
    onnx.checker.check_model(graph, full_check=True)
    assert {opset.domain for opset in graph.opset_import} == {""}
    assert {node.domain for node in graph.graph.node} == {""}
    assert not graph.functions
    for tensor in (graph.graph.input[0], *graph.graph.output[: len(Explanation._fields)]):
        assert tensor.type.tensor_type.shape.dim[0].dim_param, tensor.name


@NETWORKS
def test_all_weights_are_in_the_one_file(name: str) -> None:
    locations = {tensor.data_location for tensor in model(name).graph.initializer}
    assert locations == {onnx.TensorProto.DEFAULT}


@pytest.mark.parametrize("name", FILM_BY_FILM)
def test_two_films_have_different_channel_weights(name: str) -> None:
    first, second = run(name, films(2))["channel_weights"]
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


@pytest.mark.parametrize("name", ["chest_cnn", "vgg16"])
def test_under_a_pooled_head_two_films_share_the_weights_and_differ_in_evidence(name: str) -> None:
    answers = run(name, films(2))
    head = explained(name).network.head.weight.detach().numpy()
    positions = answers["evidence"][0, 0].size
    np.testing.assert_allclose(answers["channel_weights"][0], head / positions, rtol=1e-5)
    first, second = answers["evidence"]
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


@NETWORKS
def test_no_initializer_is_stored_twice(name: str) -> None:
    contents: dict[Any, str] = {}
    for tensor in model(name).graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        key = (values.shape, np.sort(values, axis=None).tobytes())
        if values.size > 12:
            assert key not in contents, (tensor.name, contents.get(key))
            contents[key] = tensor.name
