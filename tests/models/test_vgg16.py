"""vgg16 is timm's, under either head."""

import pytest
import timm
import torch
from torch import Tensor

from models.architectures import build
from models.card import LungSpec, NetworkSpec, ReadLayer
from models.pretrained import Pretrained, load_pretrained
from models.vgg16 import VGG16

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SPEC = NetworkSpec(
    architecture="vgg16",
    head="pooled",
    class_names=("normal", "opacity"),
    image_size=(224, 224),
    resize_mode="stretch",
    target_layer="trunk.29",
    activation_grid=(14, 14),
    **IMAGENET,
)


def coloured(pixels: Tensor) -> Tensor:
    """Return a grey film as a published network wants it."""
    mean, std = (torch.tensor(IMAGENET[name])[:, None, None] for name in ("mean", "std"))
    return (pixels - mean) / std


def timm_twin() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vgg16", num_classes=2).eval()


def test_the_pooled_head_has_14_7_million_parameters() -> None:
    network = VGG16(classes=5, mean=0.5, std=0.25)
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + 5 * 513


@pytest.mark.slow
def test_the_fully_connected_head_answers_as_timms_vgg16() -> None:
    twin = timm_twin()
    network = build(SPEC.model_copy(update={"head": "fully_connected"})).eval()
    load_pretrained(network, Pretrained(twin.state_dict(), **IMAGENET))
    network.head.load_state_dict(twin.head.fc.state_dict())
    pixels = torch.rand(1, 1, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(pixels), twin(coloured(pixels)), rtol=1e-4, atol=1e-5)


def test_the_target_layer_is_timms_last_relu() -> None:
    twin = timm_twin()
    network = build(SPEC).eval()
    load_pretrained(network, Pretrained(twin.state_dict(), **IMAGENET))
    pixels = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = twin.features[:30](coloured(pixels))
        torch.testing.assert_close(network.features(pixels), expected, rtol=1e-4, atol=1e-5)


HALF = SPEC.model_copy(
    update={"read_layer": "conv4_3", "target_layer": "trunk.22", "activation_grid": (28, 28)}
)


def test_half_way_the_target_layer_is_timms_relu_after_conv4_3() -> None:
    twin = timm_twin()
    network = build(HALF).eval()
    load_pretrained(network, Pretrained(twin.state_dict(), **IMAGENET))
    assert len(network.trunk) == 23
    assert sum(p.numel() for p in network.trunk.parameters()) == 7_635_264
    pixels = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        expected = twin.features[:23](coloured(pixels))
        torch.testing.assert_close(network.features(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("read_layer", "side"), [("conv4_3", 92), ("conv5_3", 196)])
def test_a_position_looks_at_as_many_pixels_as_said(read_layer: ReadLayer, side: int) -> None:
    network = VGG16(classes=2, mean=0.5, std=0.25, read_layer=read_layer).eval()
    for layer in network.trunk:
        if isinstance(layer, torch.nn.Conv2d):
            layer.weight.data.fill_(1 / layer.weight[0].numel())
    pixels = torch.linspace(0.6, 1, 224 * 224).view(1, 1, 224, 224).requires_grad_()
    features = network.features(pixels)
    row, column = (size // 2 for size in features.shape[2:])
    (gradient,) = torch.autograd.grad(features[0, 0, row, column], pixels)
    assert all(
        0 < int(places.max() - places.min()) + 1 <= side for places in gradient.nonzero().T[2:]
    )


def test_behind_a_window_the_hidden_layers_take_the_crop_not_the_film() -> None:
    lungs = LungSpec(size=(64, 64), inside=False)
    changes = {"head": "fully_connected", "lungs": lungs, "image_size": (96, 96)}
    network = build(SPEC.model_copy(update=changes)).eval()
    assert network.hidden.fc1.in_features == 512 * 2 * 2


def test_hidden_layers_take_no_mean_of_positions() -> None:
    with pytest.raises(ValueError, match="masked needs a pooled head, not fully_connected"):
        VGG16(classes=2, mean=0.5, std=0.25, head="fully_connected", masked=(64, 64))


@pytest.mark.parametrize(
    "changes", [{"architecture": "chest_cnn", "head": None}, {"head": "fully_connected"}]
)
def test_only_a_pooled_vgg16_is_read_half_way(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="only vgg16 with a pooled head has one"):
        NetworkSpec.model_validate(HALF.model_dump() | changes)


def test_a_hook_on_the_cards_target_layer_sees_the_features() -> None:
    network, seen = build(SPEC).eval(), []
    layer = network.get_submodule(SPEC.target_layer)
    hook = layer.register_forward_hook(lambda *call: seen.append(call[2]))
    features = network.features(torch.rand(1, 1, 64, 64))
    hook.remove()
    assert torch.equal(features, seen[0])


def test_a_hook_before_the_in_place_relu_sees_what_the_relu_left_there() -> None:
    """Known trap: timm's ReLUs work in place, so the last convolution's output is overwritten."""
    network, seen = build(SPEC).eval(), []
    hook = network.trunk[28].register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        network(torch.rand(1, 1, 64, 64))
    hook.remove()
    assert (seen[0] >= 0).all()


@pytest.mark.parametrize("target_layer", ["trunk.28", "blocks.11"])
def test_another_target_layer_is_refused(target_layer: str) -> None:
    with pytest.raises(ValueError, match=r"target_layer of vgg16 must be 'trunk\.29'"):
        build(SPEC.model_copy(update={"target_layer": target_layer}))


@pytest.mark.parametrize("changes", [{"head": None}, {"read_out": "token"}])
def test_a_spec_with_the_wrong_variant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be given for"):
        NetworkSpec.model_validate(SPEC.model_dump() | changes)
