"""A graph's weights are read in the network's shapes, and replaced with all their copies."""

from functools import cache

import numpy as np
import onnx
import pytest

from tests.support.small_networks import SMALL, small_network
from tests.training.export.test_three_graphs import explained, films
from training.onnx_files.graph_weights import GraphWeights
from training.onnx_files.network_from_onnx import check_same, restored
from training.onnx_files.writing import onnx_model
from xai.explained_network import Explanation

pytestmark = pytest.mark.slow

FOLDED = "vit_b16 token"
"""So small that the exporter slices its weights beforehand; the shipped one's stay whole."""

WHOLE = [name for name in SMALL if name != FOLDED]
NETWORKS = pytest.mark.parametrize("name", WHOLE)


@cache
def model(name: str) -> onnx.ModelProto:
    """Return a small network as `cxr export` writes it, made once."""
    return onnx_model(explained(name), films(2), Explanation._fields)


def with_replaced(name: str, weights: list[str]) -> GraphWeights:
    """Return a small network's graph with some weights replaced."""
    graph = GraphWeights(model(name))
    random = np.random.default_rng(1)
    for weight in weights:
        before = graph.read(weight)
        graph.write(weight, random.normal(scale=before.std(), size=before.shape).astype(np.float32))
    return graph


@NETWORKS
def test_a_new_head_reaches_the_maps_as_well_as_the_logits(name: str) -> None:
    graph = with_replaced(name, ["head.weight", "head.bias"])
    network = restored(small_network(name).float(), graph.model)
    check_same(network, graph.model, films(3), 2.0, "multiclass")
    assert (network.head.weight != small_network(name).head.weight).all()


@NETWORKS
def test_every_weight_can_be_written(name: str) -> None:
    names = GraphWeights(model(name)).names
    learnt = [own for own in names if not own.startswith("normalise")]
    graph = with_replaced(name, learnt)
    network = restored(small_network(name).float(), graph.model)
    check_same(network, graph.model, films(3), 2.0, "multiclass")


@NETWORKS
def test_the_model_that_was_given_stays_as_it_is(name: str) -> None:
    before = model(name).SerializeToString(deterministic=True)
    with_replaced(name, ["head.weight"])
    assert model(name).SerializeToString(deterministic=True) == before


@NETWORKS
def test_every_weight_has_one_name(name: str) -> None:
    state = small_network(name).state_dict()
    unknown = [own for own in GraphWeights(model(name)).names if own not in state]
    assert all(own.endswith("conv.weight_bias") or ".conv" in own for own in unknown)


def test_values_of_another_shape_are_refused() -> None:
    graph = GraphWeights(model("vgg16"))
    with pytest.raises(
        ValueError, match=r"values of head\.bias must have shape \(4,\), not \(3,\)"
    ):
        graph.write("head.bias", np.zeros(3, np.float32))


@NETWORKS
def test_the_weights_are_the_networks_own(name: str) -> None:
    graph, state = GraphWeights(model(name)), small_network(name).float().state_dict()
    own = [key for key in graph.names if key in state and "conv" not in key]
    assert "head.weight" in own
    for key in own:
        expected = state[key].numpy()
        np.testing.assert_allclose(graph.read(key).reshape(expected.shape), expected, rtol=1e-6)
