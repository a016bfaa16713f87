"""Exported graphs of networks that look only inside the lungs, with card and golden answer."""

from pathlib import Path

import onnx
import pytest
import torch
from onnxruntime import InferenceSession

from models.card import Golden, LungSpec, Storage, WeightStorage
from models.registration import cell_centres
from tests.support.lung_networks import CROP, FILM, NETWORKS, films
from tests.support.small_networks import plain_distance, plain_novelty
from tests.support.tiny_model import card
from training.export.model_card import golden_answer
from training.onnx_files import storage
from training.onnx_files.storage import with_rounded_weights
from training.onnx_files.writing import rewrite_card, write_checked
from xai.explained_network import ExplainedNetwork
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

NAMES = pytest.mark.parametrize("name", ["chest_cnn local", "vgg16 conv4_3", "vgg16 conv5_3"])
CLASSES = ("a", "b", "c", "d")


@pytest.fixture(autouse=True)
def _few_values_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the small networks' weights for large."""
    monkeypatch.setattr(storage, "LARGE", 100)


def explained(name: str, kind: Storage = "float32") -> ExplainedNetwork:
    network = with_rounded_weights(NETWORKS[name]().float(), kind)
    distance = plain_distance(network, films(1).float())
    return ExplainedNetwork(network, distance, plain_novelty(lungs=True), temperature=2.0).eval()


def write(network: ExplainedNetwork, file: Path, golden: Golden, **changes: object) -> str:
    own = network.network
    one = card()
    described = card(
        class_names=CLASSES,
        decision_thresholds=one.decision_thresholds[:1] * 4,
        score_histograms=one.score_histograms[:1] * 4,
        image_size=FILM,
        lungs=LungSpec(size=CROP),
        target_layer=own.target_layer,
        activation_grid=own.inside.cells.grid,
        cell_centres=cell_centres(own),
        temperature=2.0,
        golden=golden,
        **changes,
    )
    return write_checked(network, described, file, pixels=films(3).float())


@NAMES
def test_onnx_runtime_answers_as_pytorch_and_repeats_the_golden_answer_and_no_other(
    name: str, tmp_path: Path
) -> None:
    network, file = explained(name), tmp_path / "model.onnx"
    assert "region" in write(network, file, golden_answer(network, FILM))
    found = Explainer(file).card
    black = torch.zeros(1, 1, *FILM)
    [novelty] = InferenceSession(file).run(["novelty"], {"pixels": black.numpy()})
    assert novelty == pytest.approx(network(black).novelty.detach().numpy(), rel=1e-3)
    model = onnx.load(file)
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    logits = tuple(1.01 * x + 0.1 for x in found.golden.logits)
    other = found.golden.model_copy(update={"logits": logits})
    rewrite_card(file, found.model_copy(update={"golden": other}))
    with pytest.raises(ValueError, match="golden logits not reproduced"):
        Explainer(file)


@pytest.mark.parametrize("name", ["chest_cnn local", "vgg16 conv4_3"])
@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_weights_stored_small_give_the_answers_of_the_rounded_ones(
    name: str, kind: Storage, tmp_path: Path
) -> None:
    network, file = explained(name, kind), tmp_path / "model.onnx"
    stored = WeightStorage(kind=kind, auroc_difference=0, evidence_correlation=1)
    write(network, file, golden_answer(network, FILM), storage=stored)
    small = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT16}
    assert small & {tensor.data_type for tensor in onnx.load(file).graph.initializer}
    answers = Explainer(file)(films(2).float().numpy())
    assert torch.from_numpy(answers.evidence).isfinite().all()
    as_trained = explained(name)(films(2).float()).novelty
    torch.testing.assert_close(torch.from_numpy(answers.novelty), as_trained, rtol=1e-3, atol=0)
