"""What is shipped for Triton fits the graphs; there is no Triton server here to ask."""

import re
import subprocess
from pathlib import Path

import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from service.settings import OWN_MODELS
from xai.explainer import Explainer

ROOT = Path(__file__).parents[2]
TRITON = ROOT / "deploy" / "triton"
BOX = sorted(file.stem for file in OWN_MODELS.glob("*.onnx"))
TYPES = {"tensor(float)": model_config_pb2.TYPE_FP32}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model repository as README lays it out."""
    folder = tmp_path_factory.mktemp("triton")
    for name in ("deploy", "service"):
        (folder / name).symlink_to(ROOT / name)
    [commands] = re.findall(r"```sh\n(.*?)```", (TRITON / "README.md").read_text(), re.DOTALL)
    subprocess.run(["sh", "-ec", commands], cwd=folder, check=True)
    return folder / "model_repository"


def config(folder: Path) -> model_config_pb2.ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def batched(tensor: model_config_pb2.ModelInput | model_config_pb2.ModelOutput) -> list:
    """Return the shape that Triton gives to the graph, or expects of it."""
    dims = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
    return ["batch", *dims]


def test_every_model_in_the_box_is_shipped(repository: Path):
    assert sorted(folder.name for folder in repository.iterdir()) == BOX


@pytest.mark.parametrize("model", BOX)
def test_a_configuration_describes_its_graph(repository: Path, model: str):
    described = config(repository / model)
    session = onnxruntime.InferenceSession(repository / model / "1" / "model.onnx")
    for tensors, nodes in (
        (described.input, session.get_inputs()),
        (described.output, session.get_outputs()),
    ):
        assert {one.name: (batched(one), one.data_type) for one in tensors} == {
            node.name: (node.shape, TYPES[node.type]) for node in nodes
        }


@pytest.mark.parametrize("model", BOX)
def test_a_configuration_is_of_its_model_and_batches(repository: Path, model: str):
    described = config(repository / model)
    assert (described.name, described.platform) == (model, "onnxruntime_onnx")
    assert described.max_batch_size > 1
    assert described.HasField("dynamic_batching")


@pytest.mark.parametrize("model", BOX)
def test_the_labels_are_the_cards_classes(repository: Path, model: str):
    card = Explainer(OWN_MODELS / f"{model}.onnx", lazy=True).card
    for output in config(repository / model).output[:2]:
        labels = (repository / model / output.label_filename).read_text().split()
        assert tuple(labels) == card.class_names


def test_a_model_is_the_file_in_the_box_as_it_is(repository: Path):
    for model in BOX:
        shipped = repository / model / "1" / "model.onnx"
        assert shipped.read_bytes() == (OWN_MODELS / f"{model}.onnx").read_bytes()
