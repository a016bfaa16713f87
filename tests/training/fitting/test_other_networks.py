"""vgg16 and vit_b16, small, from weights in a file to an answer of the exported file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

import cxr
from models import architectures, pretrained
from models.checkpoint import load_checkpoint
from tests.support.bright_spot import write_config, write_set
from tests.support.small_networks import SmallVGG16, SmallViTB16
from xai.explainer import Explainer

pytestmark = pytest.mark.slow

IMAGENET = ["--mean", "0.485", "0.456", "0.406", "--std", "0.229", "0.224", "0.225"]
VARIANTS = {
    "vgg16": 'architecture = "vgg16"',
    "vgg16 fully connected": 'architecture = "vgg16"\nhead = "fully_connected"',
    "vit_b16": 'architecture = "vit_b16"',
    "vit_b16 average": 'architecture = "vit_b16"\nread_out = "average"',
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build small networks under the real ones' names."""
    monkeypatch.setattr(architectures, "VGG16", SmallVGG16)
    monkeypatch.setattr(architectures, "ViTB16", SmallViTB16)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("films"), films=48)


def config(films: Path, tmp_path: Path, variant: str, training: str = "") -> str:
    """Write a run of two epochs and return its path."""
    text = write_config(films, epochs=2).read_text()
    text = text.replace("[network]\n", f"[network]\n{VARIANTS[variant]}\n") + training
    (tmp_path / "config.toml").write_text(text)
    return str(tmp_path / "config.toml")


def weights_file(tmp_path: Path, variant: str) -> str:
    """Write weights as timm would publish them, and return the file's path."""
    torch.manual_seed(0)
    if "vgg16" in variant:
        network = timm.models.vgg.VGG(SmallVGG16.configuration, num_classes=10)
        weights = {n: w for n, w in network.state_dict().items() if n.startswith("features")}
    else:
        network = timm.models.vision_transformer.VisionTransformer(
            img_size=64, embed_dim=12, depth=3, num_heads=3, num_classes=10
        )
        weights = dict(network.state_dict())
    save_file(weights, tmp_path / "weights.safetensors")
    return str(tmp_path / "weights.safetensors")


@pytest.mark.parametrize("variant", ["vgg16", "vit_b16", "vit_b16 average"])
def test_from_a_weights_file_to_an_explaining_file(
    variant: str, films: Path, tmp_path: Path
) -> None:
    run, model = str(tmp_path / "run"), tmp_path / "model.onnx"
    given = ["--weights", weights_file(tmp_path, variant), *IMAGENET]
    assert cxr.main(["train", config(films, tmp_path, variant), "--run", run, *given]) == 0
    assert cxr.main(["export", run, "-o", str(model)]) == 0
    explainer = Explainer(model)
    assert explainer.card.mean == (0.485, 0.456, 0.406)
    answers = explainer(np.random.default_rng(0).random((3, 1, 64, 64), np.float32))
    assert answers.evidence.shape == (3, 2, 4, 4)
    assert explainer.card.backprop_report_sha256


def test_the_fully_connected_head_trains_by_hand_and_explains(films: Path, tmp_path: Path) -> None:
    run, model = str(tmp_path / "run"), tmp_path / "model.onnx"
    manual = '\n[training.gradients]\nby = "manual"\n'
    text = config(films, tmp_path, "vgg16 fully connected", manual)
    assert cxr.main(["train", text, "--run", run]) == 0
    assert cxr.main(["export", run, "-o", str(model)]) == 0
    card = Explainer(model).card
    assert (card.head, card.read_out, card.target_layer) == ("fully_connected", None, "trunk.13")
    assert isinstance(card.mean, float)


def test_training_starts_from_the_weights_given(films: Path, tmp_path: Path) -> None:
    text = config(films, tmp_path, "vgg16").replace("epochs = 2", "epochs = 1")
    weights = weights_file(tmp_path, "vgg16")
    run = tmp_path / "run"
    slow = Path(text)
    slow.write_text(slow.read_text().replace("learning_rate = 2e-3", "learning_rate = 1e-12"))
    arguments = ["train", text, "--run", str(run), "--weights", weights, *IMAGENET]
    assert cxr.main(arguments) == 0
    network, _ = load_checkpoint(run / "best")
    given = pretrained.from_file("vgg16", Path(weights), mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.testing.assert_close(network.trunk[0].weight.detach(), given.weights["features.0.weight"])


def test_the_run_folder_says_which_weights_it_began_with(films: Path, tmp_path: Path) -> None:
    weights = weights_file(tmp_path, "vit_b16")
    run = tmp_path / "run"
    text = config(films, tmp_path, "vit_b16")
    assert cxr.main(["train", text, "--run", str(run), "--weights", weights, *IMAGENET]) == 0
    network = json.loads((run / "config.json").read_text())["network"]
    assert (network["weights"], network["mean"]) == (weights, [0.485, 0.456, 0.406])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--weights", "w.safetensors"], "weights, mean and std must be given together"),
        (["--weights", "nowhere.safetensors", *IMAGENET], "nowhere.safetensors can't be read"),
    ],
)
def test_weights_that_cannot_be_used_are_said_so(
    given: list[str], message: str, films: Path, tmp_path: Path, capsys: Any
) -> None:
    text = config(films, tmp_path, "vgg16")
    assert cxr.main(["train", text, "--run", str(tmp_path / "run"), *given]) == 1
    assert message in capsys.readouterr().err
