"""A checkpoint gives back exactly what was saved, or says what does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.architectures import build
from models.card import LungFieldSpec, NetworkSpec
from models.checkpoint import load_checkpoint, lung_field, save_checkpoint
from models.lung_field import LungField
from models.radiograph import Radiograph, network_pixels
from training.data.phantom import draw_film
from training.statistics.metrics import dice_coefficients

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


def test_a_lung_field_stored_in_float16_answers_in_float32_almost_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = LungField().eval()
    pixels = torch.rand(1, 1, 64, 64)
    before = network(pixels).detach()
    save_checkpoint(tmp_path, network.half(), LungFieldSpec(image_size=(64, 64)))
    loaded, spec = lung_field(tmp_path)
    assert spec.image_size == (64, 64)
    assert not loaded.training
    assert loaded.head.weight.dtype == torch.float32
    torch.testing.assert_close(loaded(pixels).detach(), before, rtol=0.02, atol=0.02)


def test_a_classifiers_checkpoint_is_no_lung_field(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, build(SPEC), SPEC)
    with pytest.raises(ValueError, match="lung_field"):
        lung_field(tmp_path)


def test_the_lung_field_of_the_package_outlines_two_lungs_on_a_drawn_film() -> None:
    network, spec = lung_field()
    film = draw_film("normal", seed=1, columns=256)
    view = network_pixels(
        Radiograph(film.pixels / np.float32(255), "png"),
        image_size=spec.image_size,
        resize_mode="stretch",
    )
    lungs = network(torch.from_numpy(view.pixels)[None, None]).detach()[0, 0].numpy() > 0
    drawn = Image.fromarray(film.lungs).resize(lungs.shape[::-1])
    assert dice_coefficients(lungs[None], np.asarray(drawn)[None], np.ones_like(lungs)[None]) > 0.8
