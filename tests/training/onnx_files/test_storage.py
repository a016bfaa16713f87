"""Weights stored small are rounded once, computed in float32, and cost next to nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import cxr
from models import architectures
from models.card import WeightStorage
from tests.support.bright_spot import write_config, write_set
from tests.support.small_networks import SmallVGG16, small_network
from tests.training.export.test_three_graphs import explained, films
from training.onnx_files import storage
from training.onnx_files.storage import (
    large_weights,
    quantised,
    rounded,
    storage_loss,
    with_rounded_weights,
)
from training.onnx_files.stored_graph import store_small
from training.onnx_files.writing import onnx_model
from xai.explained_network import Distance, ExplainedNetwork, Explanation
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

STORED = [("vgg16", "float16"), ("vit_b16 token", "int8")]
ALL = pytest.mark.parametrize(("name", "kind"), STORED)
INTEGER_KERNELS = ("Quant", "QLinear", "QGemm", "MatMulInteger", "ConvInteger", "NBits")
PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "Conv", "FusedConv")
Graphs = dict[tuple[str, str], onnx.ModelProto]


@pytest.fixture(autouse=True, scope="module")
def _few_values_are_many() -> Iterator[None]:
    """Take the small networks' weights for large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "LARGE", 100)
        yield


def rounded_network(name: str, kind: Any) -> ExplainedNetwork:
    exact = explained(name)
    width = len(exact.distance.whitening)
    distance = Distance(torch.randn(width, width), torch.zeros(4, width))
    network = with_rounded_weights(exact.network, kind)
    return ExplainedNetwork(network, distance, exact.novelty, temperature=2.0).eval()


@pytest.fixture(scope="module")
def plain() -> Graphs:
    """Graphs of rounded architectures, in float32."""
    return {
        (name, kind): onnx_model(rounded_network(name, kind), films(2), Explanation._fields)
        for name, kind in STORED
    }


@pytest.fixture(scope="module")
def small(plain: Graphs) -> Graphs:
    """The same graphs, stored small."""
    stored = {key: onnx.ModelProto.FromString(m.SerializeToString()) for key, m in plain.items()}
    for (name, _), model in stored.items():
        weights = large_weights(explained(name).network)
        store_small(model, rounded_values=sum(weight.numel() for weight in weights))
    return stored


def answers(model: onnx.ModelProto) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(list(Explanation._fields), {"pixels": films(3).numpy()})


def optimised(model: onnx.ModelProto, folder: Path) -> onnx.GraphProto:
    """Return the graph that ONNX Runtime makes of it and runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3  # it warns that the file fits this machine only
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return onnx.load(options.optimized_model_filepath).graph


def small_constants(graph: onnx.GraphProto) -> set[str]:
    kinds = (TensorProto.INT8, TensorProto.UINT8, TensorProto.FLOAT16)
    return {constant.name for constant in graph.initializer if constant.data_type in kinds}


def integer_kernels(graph: onnx.GraphProto) -> set[str]:
    types = {node.op_type for node in graph.node}
    return {kind for kind in types if any(part in kind for part in INTEGER_KERNELS)}


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 5), min_size=2, max_size=4),
    st.sampled_from([1e-30, 1e-3, 1.0, 1e6]),
)
def test_rounding_again_changes_nothing(seed: int, shape: list[int], scale: float) -> None:
    weights = (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)
    once = quantised(weights)
    again = quantised(once.weights)
    np.testing.assert_array_equal(once.integers, again.integers)
    np.testing.assert_array_equal(once.weights, again.weights)


@pytest.mark.parametrize("axis", [0, 1])
def test_no_weight_moves_by_more_than_half_a_step_of_its_channel(axis: int) -> None:
    weights = np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32)
    weights *= np.geomspace(1e-3, 1e3, weights.shape[axis]).reshape((-1, 1) if axis == 0 else -1)
    step = np.abs(weights).max(axis=1 - axis, keepdims=True) / 127
    moved = np.abs(quantised(weights, axis=axis).weights - weights)
    assert (moved <= 0.501 * step).all()
    assert (moved.max(axis=1 - axis) > 0.2 * step.ravel()).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    weights = np.array([[0, 0, 0], [1, 0, -2]], np.float32)
    np.testing.assert_allclose(quantised(weights).weights, weights, rtol=0, atol=1e-2)
    assert not quantised(weights).weights[0].any()


def test_float16_rounds_to_the_nearest_half() -> None:
    third = np.full((1, 1), 1 / 3, np.float32)
    assert rounded(third, "float16") == np.float32(1365 / 4096)
    np.testing.assert_array_equal(rounded(third, "float32"), third)


def test_only_the_large_weights_of_products_are_rounded() -> None:
    network = small_network("vit_b16 token").float()
    copy = with_rounded_weights(network, "int8").state_dict()
    changed = {name for name, value in network.state_dict().items() if (value != copy[name]).any()}
    layers = {name: layer for name, layer in network.named_modules() if hasattr(layer, "weight")}
    products = {n for n, layer in layers.items() if isinstance(layer, nn.Linear | nn.Conv2d)}
    assert changed == {f"{name}.weight" for name in products - {"head"}}


@ALL
def test_the_stored_graph_gives_the_very_answers_of_the_rounded_network(
    name: str, kind: str, plain: Graphs, small: Graphs
) -> None:
    for stored, expected in zip(
        answers(small[name, kind]), answers(plain[name, kind]), strict=True
    ):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(stored, expected, rtol=0, atol=1e-6 * scale)


@ALL
def test_the_runtime_multiplies_in_plain_float32(
    name: str, kind: str, small: Graphs, tmp_path: Path
) -> None:
    assert small_constants(small[name, kind].graph)
    graph = optimised(small[name, kind], tmp_path)
    assert not small_constants(graph)
    assert not integer_kernels(graph)
    constants = {constant.name: constant for constant in graph.initializer}
    assert not [n for n in graph.node if n.op_type == "Cast" and n.input[0] in constants]
    products = [node for node in graph.node if node.op_type in PRODUCTS]
    weights = [constants[node.input[1]] for node in products if node.input[1] in constants]
    assert len(weights) >= 5
    assert {weight.data_type for weight in weights} == {TensorProto.FLOAT}


def test_dequantize_linear_would_be_found_out(tmp_path: Path) -> None:
    shape = ["batch", 64]
    constants = {
        "weight": np.ones((64, 64), np.int8),
        "scale": np.float32(0.1),
        "zero": np.int8(0),
    }
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["weight", "scale", "zero"], ["large"]),
            helper.make_node("MatMul", ["pixels", "large"], ["logits"]),
        ],
        "dequantised",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    found = optimised(model, tmp_path)
    assert integer_kernels(found)
    assert small_constants(found)


@ALL
def test_no_large_weight_is_left_large(name: str, kind: str, small: Graphs) -> None:
    onnx.checker.check_model(small[name, kind], full_check=True)
    whitening = tuple(explained(name).distance.whitening.shape)
    constants = [c for c in small[name, kind].graph.initializer if storage.is_large(c.dims)]
    left = {tuple(c.dims) for c in constants if c.data_type == TensorProto.FLOAT}
    assert left <= {whitening}


def test_weights_that_the_exporter_folds_are_refused() -> None:
    network = rounded_network("chest_cnn", "float16")
    model = onnx_model(network, films(2), Explanation._fields)
    expected = sum(weight.numel() for weight in large_weights(network.network))
    with pytest.raises(ValueError, match="storage must be float32 for this network"):
        store_small(model, rounded_values=expected)


def said(probabilities: NDArray[np.float32], evidence: NDArray[np.float32]) -> Explanation:
    tensors = (torch.from_numpy(values) for values in (probabilities, evidence))
    shown, maps = tensors
    return Explanation(shown, shown, maps, *(torch.ones(len(shown)),) * 2)


def test_the_loss_is_measured_and_refused_when_it_is_large() -> None:
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    sure = (np.eye(3)[targets] + random.normal(0, 0.1, (60, 3))).astype(np.float32)
    maps = random.normal(size=(60, 3, 4, 4)).astype(np.float32)
    near = (maps + random.normal(0, 0.05, maps.shape)).astype(np.float32)
    exact = said(sure, maps)
    loss = storage_loss("int8", exact, said(sure, near), targets)
    assert (loss.kind, loss.auroc_difference) == ("int8", 0)
    assert loss.evidence_correlation == pytest.approx(1 / np.sqrt(1 + 0.05**2), abs=1e-3)
    for worse in (
        said(sure[::-1].copy(), near),
        said(sure, maps[::-1].copy()),
        said(sure, near * np.nan),
    ):
        with pytest.raises(ValueError, match="storage int8 changes the macro AUROC by"):
            storage_loss("int8", exact, worse, targets)


def test_a_file_stored_small_says_so_in_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(architectures, "VGG16", SmallVGG16)
    config = write_config(write_set(tmp_path / "films", films=48), epochs=3)
    config.write_text(
        'credits = ["K. Simonyan, A. Zisserman"]\n'
        + config.read_text().replace("[network]\n", '[network]\narchitecture = "vgg16"\n')
    )
    run, model = str(tmp_path / "run"), tmp_path / "model.onnx"
    assert cxr.main(["train", str(config), "--run", run]) == 0
    assert cxr.main(["export", run, "-o", str(model), "--storage", "float16"]) == 0
    assert "large weights stored as float16: on val the macro AUROC" in capsys.readouterr().out
    card = Explainer(model).card  # the golden answers are those of the stored weights
    assert card.storage
    assert card.storage.kind == "float16"
    assert card.storage.evidence_correlation > 0.999
    assert card.credits == ("K. Simonyan, A. Zisserman",)
    assert small_constants(onnx.load(model).graph)


def test_a_loss_survives_being_written_and_read() -> None:
    loss = WeightStorage(kind="int8", auroc_difference=-0.001, evidence_correlation=0.999)
    assert WeightStorage.model_validate_json(loss.model_dump_json()) == loss
