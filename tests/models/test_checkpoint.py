"""A checkpoint gives back exactly what was saved, or says what does not fit."""

from pathlib import Path

import pytest
import torch

from models.architectures import build
from models.card import NetworkSpec
from models.checkpoint import load_checkpoint, save_checkpoint

SPEC = NetworkSpec(
    architecture="chest_cnn",
    class_names=("normal", "opacity"),
    image_size=(64, 64),
    resize_mode="stretch",
    target_layer="stages.3",
    activation_grid=(4, 4),
    mean=0.5,
    std=0.25,
)


def test_the_loaded_network_answers_as_the_saved_one(tmp_path: Path) -> None:
    network = build(SPEC).eval()
    save_checkpoint(tmp_path, network, SPEC)
    loaded, spec = load_checkpoint(tmp_path)
    pixels = torch.rand(1, 1, 64, 64)
    assert spec == SPEC
    assert torch.equal(loaded.eval()(pixels), network(pixels))


def test_weights_of_another_number_of_classes_are_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, build(SPEC), SPEC)
    other = SPEC.model_copy(update={"class_names": ("a", "b", "c")})
    (tmp_path / "spec.json").write_text(other.model_dump_json())
    with pytest.raises(ValueError, match="not those of its spec"):
        load_checkpoint(tmp_path)


def test_a_cut_weights_file_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, build(SPEC), SPEC)
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not those of its spec"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["weights.safetensors", "spec.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    save_checkpoint(tmp_path, build(SPEC), SPEC)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=name):
        load_checkpoint(tmp_path)
