"""Weights load whole or not at all, under timm's names and under torchvision's."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

from models import pretrained
from models.card import ReadLayer, ReadOut
from models.pretrained import (
    Pretrained,
    from_file,
    from_hub,
    grey_patch_embedding,
    load_pretrained,
)
from models.vgg16 import VGG16
from models.vit_b16 import ViTB16
from tests.models.test_vgg16 import IMAGENET, coloured
from tests.support.lung_networks import lung_vgg16
from tests.support.small_networks import SmallVGG16, SmallViTB16

COLOURS: dict[str, Any] = {"classes": 2, **IMAGENET}


def timm_vit(**changes: Any) -> nn.Module:
    settings = {"img_size": 32, "embed_dim": 12, "depth": 3, "num_heads": 3, "num_classes": 7}
    torch.manual_seed(0)
    network = timm.models.vision_transformer.VisionTransformer(**settings | changes)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.eval()


def small_vit() -> SmallViTB16:
    return SmallViTB16(**COLOURS, image_size=(32, 32)).eval()


def timm_vgg(**changes: Any) -> nn.Module:
    return timm.models.vgg.VGG(SmallVGG16.configuration, num_classes=7, **changes)


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return dict(network.state_dict())


def test_a_head_for_other_classes_is_left_as_it_was_drawn() -> None:
    network = small_vit()
    before = network.head.weight.clone()
    load_pretrained(network, Pretrained(weights_of(timm_vit()), **IMAGENET))
    assert torch.equal(network.head.weight, before)


def test_weights_without_a_head_are_enough() -> None:
    weights = {n: w for n, w in weights_of(timm_vit()).items() if not n.startswith("head")}
    load_pretrained(small_vit(), Pretrained(weights, **IMAGENET))


@pytest.mark.parametrize("name", ["blocks.1.norm2.bias", "cls_token", "patch_embed.proj.weight"])
def test_a_missing_weight_is_named(name: str) -> None:
    weights = weights_of(timm_vit())
    del weights[name]
    own = name.replace("patch_embed", "embed").replace("cls_token", "embed.cls_token")
    with pytest.raises(ValueError, match=rf"missing: {own}"):
        load_pretrained(small_vit(), Pretrained(weights, **IMAGENET))


def test_an_unexpected_weight_is_named() -> None:
    weights = weights_of(timm_vit()) | {"blocks.3.norm1.weight": torch.ones(12)}
    with pytest.raises(ValueError, match=r"unexpected: blocks\.3\.norm1\.weight"):
        load_pretrained(small_vit(), Pretrained(weights, **IMAGENET))


class DeeperViTB16(SmallViTB16):
    """Four narrow blocks, if all are built."""

    depth = 4


@pytest.mark.parametrize("read_out", ["token", "average"])
def test_read_after_some_blocks_it_answers_as_timms_network_of_so_many(read_out: ReadOut) -> None:
    twin = timm_vit(depth=4, num_classes=2, global_pool="token" if read_out == "token" else "avg")
    settings = COLOURS | {"read_out": read_out, "image_size": (32, 32)}
    network = DeeperViTB16(**settings, blocks=3).eval()
    load_pretrained(network, Pretrained(weights_of(twin), **IMAGENET))
    network.head.load_state_dict(twin.head.state_dict())
    assert network.target_layer == ("blocks.2.norm1" if read_out == "token" else "blocks.2")
    pixels = torch.rand(2, 1, 32, 32)
    whole = twin(coloured(pixels))
    twin.blocks = twin.blocks[:3]
    torch.testing.assert_close(network(pixels), twin(coloured(pixels)), rtol=1e-4, atol=1e-5)
    assert (network(pixels) - whole).abs().max() > 1e-3


def test_a_block_after_the_last_of_all_is_no_block_that_is_not_read() -> None:
    weights = weights_of(timm_vit(depth=5))
    network = DeeperViTB16(**COLOURS, image_size=(32, 32), blocks=3)
    with pytest.raises(ValueError, match=r"unexpected: blocks\.4\.attn\.proj\.bias"):
        load_pretrained(network, Pretrained(weights, **IMAGENET))


def test_a_weight_of_another_shape_is_named() -> None:
    weights = weights_of(timm_vit()) | {"norm.bias": torch.ones(13)}
    with pytest.raises(
        ValueError, match=r"of another shape: norm\.bias \(13,\) instead of \(12,\)"
    ):
        load_pretrained(small_vit(), Pretrained(weights, **IMAGENET))


def test_nothing_is_copied_when_anything_is_wrong() -> None:
    network = small_vit()
    before = network.norm.weight.clone()
    weights = weights_of(timm_vit())
    del weights["cls_token"]
    with pytest.raises(ValueError, match="missing"):
        load_pretrained(network, Pretrained(weights, **IMAGENET))
    assert torch.equal(network.norm.weight, before)


def test_positions_are_resampled_to_another_grid() -> None:
    network = SmallViTB16(**COLOURS, image_size=(48, 32))
    load_pretrained(network, Pretrained(weights_of(timm_vit()), **IMAGENET))
    assert network.embed.pos_embed.shape == (1, 7, 12)


def test_the_grey_patch_embedding_does_what_three_colours_did() -> None:
    torch.manual_seed(0)
    weight, bias, pixels = torch.randn(5, 3, 4, 4), torch.randn(5), torch.rand(2, 1, 8, 8)
    grey_weight, grey_bias = grey_patch_embedding(weight, bias, **IMAGENET)
    mean, std = (sum(IMAGENET[name]) / 3 for name in ("mean", "std"))
    grey = nn.functional.conv2d((pixels - mean) / std, grey_weight, grey_bias, stride=4)
    expected = nn.functional.conv2d(coloured(pixels), weight, bias, stride=4)
    torch.testing.assert_close(grey, expected, rtol=1e-4, atol=1e-5)


def test_the_pooled_head_takes_the_convolutions_of_a_classic_vgg() -> None:
    twin = timm_vgg()
    network = SmallVGG16(**COLOURS)
    load_pretrained(network, Pretrained(weights_of(twin), **IMAGENET))
    assert torch.equal(network.trunk[12].weight, twin.features[12].weight)


@pytest.mark.parametrize("read_layer", ["conv4_3", "conv5_3"])
def test_behind_a_window_the_convolutions_that_are_read_are_taken(read_layer: ReadLayer) -> None:
    twin, network = timm_vgg(), lung_vgg16(read_layer)
    scale = network.normalise[0].field.scale.clone()
    load_pretrained(network, Pretrained(weights_of(twin), **IMAGENET))
    assert torch.equal(network.trunk[9].weight, twin.features[9].weight.double())
    assert torch.equal(network.normalise[0].field.scale, scale)


def test_a_layer_after_the_last_of_vgg16_is_no_layer_that_is_not_read() -> None:
    network = lung_vgg16("conv4_3")
    weights = weights_of(timm_vgg()) | {"features.15.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"unexpected: trunk\.15\.weight"):
        load_pretrained(network, Pretrained(weights, **IMAGENET))


def test_the_fully_connected_head_misses_its_hidden_layers() -> None:
    network = SmallVGG16(**COLOURS, head="fully_connected", image_size=(32, 32))
    convolutions = {n: w for n, w in weights_of(timm_vgg()).items() if n.startswith("features")}
    with pytest.raises(ValueError, match=r"missing: hidden\.fc1\.bias, hidden\.fc1\.weight"):
        load_pretrained(network, Pretrained(convolutions, **IMAGENET))


@pytest.mark.slow
def test_torchvisions_vit_answers_the_same_under_our_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    twin = torchvision.models.vit_b_16(num_classes=2).eval()
    nn.init.normal_(twin.heads.head.weight, std=0.1)
    save_file(weights_of(twin), tmp_path / "vit.safetensors")
    network = ViTB16(**COLOURS).eval()
    load_pretrained(network, from_file("vit_b16", tmp_path / "vit.safetensors", **IMAGENET))
    network.head.load_state_dict(twin.heads.head.state_dict())
    pixels = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), twin(coloured(pixels)), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_torchvisions_vgg16_answers_the_same_under_our_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    twin = torchvision.models.vgg16(num_classes=2).eval()
    save_file(weights_of(twin), tmp_path / "vgg.safetensors")
    network = VGG16(**COLOURS, head="fully_connected").eval()
    load_pretrained(network, from_file("vgg16", tmp_path / "vgg.safetensors", **IMAGENET))
    network.head.load_state_dict(twin.classifier[6].state_dict())
    pixels = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), twin(coloured(pixels)), rtol=1e-3, atol=1e-4)


def test_weights_are_read_as_float32(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.ones(2, dtype=torch.float16)}, tmp_path / "w.safetensors")
    read = from_file("vgg16", tmp_path / "w.safetensors", **IMAGENET)
    assert read.weights["features.0.weight"].dtype == torch.float32


def test_a_file_that_is_not_safetensors_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"pickle")
    with pytest.raises(ValueError, match=r"w\.pt can't be read as a safetensors file"):
        from_file("vgg16", tmp_path / "w.pt", **IMAGENET)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        from_file("vgg16", tmp_path / "nowhere", **IMAGENET)


def test_chest_cnn_has_no_published_weights() -> None:
    with pytest.raises(ValueError, match="no pretrained weights for chest_cnn"):
        from_hub("chest_cnn")


def test_timms_own_mean_and_std_come_with_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def create_model(name: str, *, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return timm_vit()

    monkeypatch.setattr(pretrained.timm, "create_model", create_model)
    monkeypatch.setattr(
        timm.models.vision_transformer.VisionTransformer,
        "pretrained_cfg",
        {"mean": (0.5, 0.5, 0.5), "std": (0.4, 0.4, 0.4)},
        raising=False,
    )
    found = from_hub("vit_b16")
    assert asked == [("vit_base_patch16_224", True)]
    assert (found.mean, found.std) == ((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))


def test_without_a_network_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*call: Any, **settings: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(pretrained.timm, "create_model", unreachable)
    with pytest.raises(ValueError, match="give a safetensors file with --weights"):
        from_hub("vgg16")


def test_the_shared_vgg16_loads_with_only_the_head_missing(shared: Path) -> None:
    file = shared / "weights/vgg16_imagenet_conv_fp16.safetensors"
    network = VGG16(**COLOURS)
    load_pretrained(network, from_file("vgg16", file, **IMAGENET))
    expected = load_file(file)["features.28.bias"]
    torch.testing.assert_close(network.trunk[28].bias.detach(), expected)


@pytest.mark.slow
def test_the_vit_grown_from_the_shared_one_loads_with_only_the_head_missing(
    shared: Path, tmp_path: Path
) -> None:
    script, grown = shared / "weights/grow_vit_b16.py", tmp_path / "grown.safetensors"
    subprocess.run([sys.executable, str(script), str(grown)], check=True, capture_output=True)
    network = ViTB16(**COLOURS)
    load_pretrained(network, from_file("vit_b16", grown, **IMAGENET))
    expected = load_file(grown)["blocks.11.mlp.fc2.weight"].float()
    torch.testing.assert_close(network.blocks[11].mlp.fc2.weight.detach(), expected)
